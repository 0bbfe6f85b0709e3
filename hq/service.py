"""The headquarters process: takes groups of messages, commits, then answers."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho

from hq.books import HqBooks
from hq.headquarters import Headquarters, Message
from hq.link import HqLink

log = logging.getLogger("hq")

MOST_MESSAGES = 256
"""Messages in one transaction: one fsync for all of them."""


class Service:
    """Runs in the calling thread until `stop` is called from another, or from a signal handler."""

    def __init__(self, root: Path, host: str, port: int) -> None:
        self._books = HqBooks(root / "hq.db")
        self._headquarters = Headquarters(self._books)
        self._link = HqLink(host, port)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the loop to end after the group in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until stopped."""
        self._link.start()
        try:
            while not self._stopping.is_set():
                group = self._link.receive(MOST_MESSAGES, wait_s=0.2)
                if group:
                    self._serve(group)
        finally:
            self._link.stop()
            self._books.close()

    def _serve(self, group: list[paho.MQTTMessage]) -> None:
        messages = [Message(item.topic, bytes(item.payload)) for item in group]
        now_ms = time.time_ns() // 1_000_000
        try:
            answers = self._headquarters.handle(messages, now_ms, self._link.load)
        except sqlite3.OperationalError as error:
            # Disk full or locked: nothing was taken, so nothing is acknowledged; stations repeat.
            log.error("books unavailable: %s", error)
            answers = []
        for answer in answers:
            self._link.send(answer)
        self._link.acknowledge(group)
