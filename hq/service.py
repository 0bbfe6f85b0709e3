"""The headquarters process: takes groups of messages, commits, then answers."""

from __future__ import annotations

import logging
import sqlite3
import ssl
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho

from hq.books import HqBooks
from hq.headquarters import Headquarters
from hq.keys import HqKeys
from hq.link import HqLink
from hq.message import Message

log = logging.getLogger("hq")

DATABASE = "hq.db"
KEYS = "keys"
MOST_MESSAGES = 16
"""Messages in one transaction: one fsync for all of them, and acknowledgements often enough that a
station sends the next rows while these are being written."""
AUDIT_IDLE_ROWS = 200
AUDIT_BUSY_ROWS = 20
AUDIT_EVERY_S = 0.05
"""Rows audited in one turn: many while nothing waits, and now and then some even while much does.
Not after every group, since a customer may be waiting for the answer to the next one."""
PUBLISH_EVERY_S = 1.0
IDLE_S = 0.1
QUIET_S = 0.005
"""Silence after which there is time for the audit."""


class Service:
    """Runs in the calling thread until `stop` is called from another, or from a signal handler."""

    def __init__(self, root: Path, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._books = HqBooks(root / DATABASE)
        self._headquarters = Headquarters(self._books, HqKeys.open(root / KEYS))
        self._link = HqLink(host, port, tls)
        self._stopping = threading.Event()
        self._publish_at = 0.0
        self._audit_at = 0.0

    def stop(self) -> None:
        """Ask the loop to end after the group in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until stopped."""
        behind = True
        try:
            while not self._stopping.is_set():
                group = self._link.receive(MOST_MESSAGES, wait_s=QUIET_S if behind else IDLE_S)
                try:
                    behind = self._serve(group)
                except sqlite3.OperationalError as error:
                    # Disk full or locked: nothing was taken, so nothing was answered. Stations
                    # ask again.
                    log.error("books unavailable: %s", error)
                    behind = False
                    self._stopping.wait(IDLE_S)
                # After the commit, or after its failure: either way the broker need not keep them.
                self._link.acknowledge(group)
        finally:
            self._link.stop()
            self._books.close()

    def _serve(self, group: list[paho.MQTTMessage]) -> bool:
        """Deal with a group and whatever is due; return whether the audit is behind."""
        if group:
            messages = [Message(item.topic, bytes(item.payload)) for item in group]
            load = len(group) / MOST_MESSAGES
            self._send(self._headquarters.handle(messages, _now_ms(), load))
        if time.monotonic() >= self._publish_at:
            self._publish_at = time.monotonic() + PUBLISH_EVERY_S
            self._send(self._headquarters.publish(_now_ms()))
        if group and time.monotonic() < self._audit_at:
            return True
        self._audit_at = time.monotonic() + AUDIT_EVERY_S
        most = AUDIT_BUSY_ROWS if group else AUDIT_IDLE_ROWS
        return self._headquarters.examine(most, _now_ms()) == most

    def _send(self, answers: list[Message]) -> None:
        for answer in answers:
            self._link.send(answer)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
