"""Signs catalogues and brings every station to the newest version of each dataset, in step.

One piece at a time per station and dataset: the next one follows the station's own word that the
last one is in force. Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from edge_agent.model import topics
from edge_agent.model.wire import (
    DATASETS,
    CatalogueReply,
    SignedCatalogue,
    encode,
    payload_digest,
    refuse,
    signing_bytes,
)
from hq.books import HqBooks
from hq.catalogues import CatalogueDesk
from hq.content import Content
from hq.intake import Finding
from hq.keys import HqKeys
from hq.lease_catalogue import LeaseCatalogue
from hq.members import MOST_LOST_VERSIONS, Members
from hq.message import Message

RESEND_MS = 30_000
"""A piece that a station has not answered is sent again after this."""
REFUSED_MS = 3_600_000
"""A piece that a station has refused is sent again after this, since its cause may have gone, and
since a refusal may have been sent in its name."""
VALID_MS = 24 * 3_600_000
CLOCK_SLACK_MS = 300_000
"""A catalogue may be accepted from so much before its issue until so long after: station clocks
are a little off, and an old catalogue must not turn up later."""
MOST_LOST_MS = 366 * 24 * 3_600_000
"""Leases are numbered by the clock: so far ahead of these books a station may be."""
PASSING = {"out_of_order", "not_yet_valid", "expired"}
"""Reasons that another try, with the same content, may overcome."""


class Publisher:
    """Knows what each station works with and what it lacks."""

    def __init__(
        self,
        books: HqBooks,
        keys: HqKeys,
        desk: CatalogueDesk,
        members: Members,
        leases: LeaseCatalogue,
    ) -> None:
        self._books = books
        self._db = books.connection
        self._keys = keys
        self._desk = desk
        self._members = members
        self._leases = leases

    def station_has(self, station: str, versions: dict[str, int], now_ms: int) -> None:
        """Note what a station reported at its birth; what was refused before is tried again."""
        for dataset in DATASETS:
            self._db.execute(
                "INSERT INTO delivery (station, dataset, in_force) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (station, dataset) DO UPDATE"
                " SET in_force = ?3, sent_version = 0, sent_ms = 0, refused = ''",
                (station, dataset, versions.get(dataset, 0)),
            )
            self._weigh(station, dataset, versions.get(dataset, 0), now_ms)

    def on_reply(self, reply: CatalogueReply, now_ms: int) -> None:
        """Note that a station took a catalogue, or why not.

        Raises:
            MessageRefused: `malformed`; there is no such dataset.
        """
        if reply.dataset not in DATASETS:
            raise refuse("malformed", "dataset")
        refused = "" if reply.reason in PASSING else reply.reason
        self._db.execute(
            "UPDATE delivery SET in_force = ?, refused = ? WHERE station = ? AND dataset = ?",
            (reply.in_force, refused, reply.station, reply.dataset),
        )
        if not reply.accepted and not self._passes(reply):
            finding = Finding(reply.version, f"{reply.dataset}_refused", reply.reason)
            self._books.raise_alarm(reply.station, 0, finding, now_ms)
        self._weigh(reply.station, reply.dataset, reply.in_force, now_ms)

    def due(self, station: str, now_ms: int) -> list[Message]:
        """Return what to send to a station now."""
        pieces = (self._due(station, dataset, now_ms) for dataset in DATASETS)
        return [piece for piece in pieces if piece is not None]

    def due_leases(self, station: str, now_ms: int) -> list[Message]:
        """Return what to send to a station now of its leases alone: a customer waits."""
        piece = self._due(station, "leases", now_ms)
        return [] if piece is None else [piece]

    def _due(self, station: str, dataset: str, now_ms: int) -> Message | None:
        row = self._db.execute(
            "SELECT in_force, sent_version, sent_ms, refused FROM delivery"
            " WHERE station = ? AND dataset = ?",
            (station, dataset),
        ).fetchone()
        if row is None:
            return None
        in_force, sent_version, sent_ms, refused = row
        content = self._lacking(station, dataset, in_force, now_ms)
        if content is None:
            return None
        pause_ms = REFUSED_MS if refused else RESEND_MS
        if content.version == sent_version and now_ms - sent_ms < pause_ms:
            return None
        return self._send(station, content, now_ms)

    def _lacking(self, station: str, dataset: str, in_force: int, now_ms: int) -> Content | None:
        if self._newest(station, dataset, in_force, now_ms) is not None:
            return None
        if dataset == "members":
            return self._members.lacking(in_force)
        if dataset == "leases":
            return self._leases.lacking(station, in_force, now_ms)
        if dataset == "prices":
            return self._desk.prices(station, in_force, now_ms)
        return self._desk.newest_policy(in_force)

    def _newest(self, station: str, dataset: str, in_force: int, now_ms: int) -> int | None:
        """Return our newest version where a station claims one that we cannot overcome.

        Members and leases are numbered anew beyond what a station has, within reason; prices and
        policy are not, so a station that knows later ones keeps them until a person has published
        more.
        """
        if dataset == "members":
            newest, slack = self._members.version(), MOST_LOST_VERSIONS
        elif dataset == "leases":
            newest, slack = max(self._leases.version(station), now_ms), MOST_LOST_MS
        else:
            newest, slack = self._desk.version(dataset), 0
        return newest if in_force - newest > slack else None

    def _passes(self, reply: CatalogueReply) -> bool:
        """Whether a refusal is in order: leases for books that have begun a new epoch."""
        return reply.dataset == "leases" and reply.reason == "out_of_order"

    def _weigh(self, station: str, dataset: str, in_force: int, now_ms: int) -> None:
        newest = self._newest(station, dataset, in_force, now_ms)
        if newest is not None:
            finding = Finding(in_force, f"{dataset}_ahead", f"the newest here is {newest}")
            self._books.raise_alarm(station, 0, finding, now_ms)

    def _send(self, station: str, content: Content, now_ms: int) -> Message:
        self._db.execute(
            "UPDATE delivery SET sent_version = ?, sent_ms = ?, refused = ''"
            " WHERE station = ? AND dataset = ?",
            (content.version, now_ms, station, content.dataset),
        )
        catalogue = self.sign(content, station, now_ms)
        return Message(topics.down(station, "catalogue"), encode(catalogue))

    def sign(self, content: Content, scope: str, now_ms: int) -> SignedCatalogue:
        """Return a signed catalogue under the next counter."""
        unsigned = SignedCatalogue.model_validate(
            {
                "dataset": content.dataset,
                "version": content.version,
                "counter": self._next_counter(now_ms),
                "scope": scope,
                "issued_ms": now_ms,
                "not_before_ms": max(0, now_ms - CLOCK_SLACK_MS),
                "expires_ms": now_ms + VALID_MS,
                "sha256": payload_digest(content.payload),
                "payload": content.payload,
                "key_id": self._keys.key_id,
                "signature": "0" * 128,
            }
        )
        signature = self._keys.sign(signing_bytes(unsigned)).hex()
        return unsigned.model_copy(update={"signature": signature})

    def _next_counter(self, now_ms: int) -> int:
        # Never below the clock, so that a headquarters restored from a backup is still believed.
        row = self._db.execute(
            "INSERT INTO signer (key_id, counter) VALUES (?1, ?2) ON CONFLICT (key_id)"
            " DO UPDATE SET counter = max(counter + 1, ?2) RETURNING counter",
            (self._keys.key_id, now_ms),
        ).fetchone()
        return int(row[0])
