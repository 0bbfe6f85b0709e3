"""Takes in what headquarters sends down besides acknowledgements: the signed catalogues.

A catalogue comes into force when it is for this station, signed by a trusted key, whole, within its
time, newer than what is in force, and its content is sound; all in one transaction. Anything else
is refused with a reason: recorded in the ledger, parked for a person, told to HQ.
"""

from __future__ import annotations

from edge_agent.model import topics
from edge_agent.model.canonical import sha256_hex
from edge_agent.model.catalogues import LeasesPayload, MembersPayload, PricesPayload
from edge_agent.model.errors import MessageRefused, PolicyRefused, StorageUnavailable
from edge_agent.model.ids import GradeId, PriceSetId, StationId
from edge_agent.model.policy import accept_policy
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import DownlinkRefused
from edge_agent.model.units import UnitPrice
from edge_agent.model.wire import (
    EVERY_STATION,
    CatalogueReply,
    SignedCatalogue,
    decode,
    decode_payload,
    payload_digest,
    refuse,
    signing_bytes,
)
from edge_agent.ports import (
    Books,
    CatalogueAcceptor,
    Catalogues,
    Clock,
    Inbound,
    Parking,
    SignatureVerifier,
)

REFUSALS_PER_WINDOW = 30
REFUSAL_WINDOW_MS = 600_000
"""A flood of bad messages fills neither ledger nor disk: beyond 30 in ten minutes they are only
counted."""


class Downlink:
    """Decides about every message from HQ that is no acknowledgement."""

    def __init__(
        self,
        station: StationId,
        books: Books,
        catalogues: Catalogues,
        acceptor: CatalogueAcceptor,
        verifier: SignatureVerifier,
        parking: Parking,
        clock: Clock,
    ) -> None:
        self._station = station
        self._books = books
        self._catalogues = catalogues
        self._acceptor = acceptor
        self._verifier = verifier
        self._parking = parking
        self._clock = clock
        self._window_from_ms = clock.monotonic_ms()
        self._in_window = 0
        self.refused = 0
        """Messages refused since the start."""

    def versions(self) -> dict[str, int]:
        """Return the version in force of each dataset."""
        return self._catalogues.versions()

    async def take(self, inbound: Inbound) -> CatalogueReply | None:
        """Act on a message; return what HQ is told.

        Raises:
            MessageRefused: it is no message that this station reads.
            StorageUnavailable: it could not be brought into force now.
        """
        place = topics.split(inbound.topic)
        if place is None or place[1:] != ("down", "catalogue"):
            raise refuse("unknown_topic")
        if place[0] not in {self._station, EVERY_STATION}:
            raise refuse("wrong_station")
        catalogue = decode(SignedCatalogue, inbound.payload)
        try:
            await self._accept(catalogue)
        except MessageRefused as refusal:
            await self.refuse(inbound, refusal.problem.code)
            return self._reply(catalogue, refusal.problem.code)
        return self._reply(catalogue, "")

    async def refuse(self, inbound: Inbound, reason: str) -> None:
        """Note a message that was not acted upon: counted, parked, and recorded in the ledger."""
        self.refused += 1
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._window_from_ms >= REFUSAL_WINDOW_MS:
            self._window_from_ms, self._in_window = now_ms, 0
        if self._in_window >= REFUSALS_PER_WINDOW:
            return
        self._in_window += 1
        self._parking.park(inbound.topic, reason, inbound.payload)
        record = DownlinkRefused(
            topic=inbound.topic[:200],
            reason=reason,
            sha256=sha256_hex(inbound.payload),
            size_bytes=len(inbound.payload),
        )
        try:
            await self._books.append([record])
        except StorageUnavailable:
            # The screen shows the disk; the message itself is parked or lost with it.
            return

    def _reply(self, catalogue: SignedCatalogue, reason: str) -> CatalogueReply:
        return CatalogueReply(
            station=self._station,
            dataset=catalogue.dataset,
            version=catalogue.version,
            in_force=self._catalogues.versions().get(catalogue.dataset, 0),
            accepted=not reason,
            reason=reason,
        )

    async def _accept(self, catalogue: SignedCatalogue) -> None:
        self._check(catalogue)
        in_force = self._catalogues.versions().get(catalogue.dataset, 0)
        if catalogue.version == in_force:
            return  # Delivered twice, or HQ missed our reply: say so again, change nothing.
        if catalogue.version < in_force:
            raise refuse("replayed")
        if catalogue.dataset == "members":
            await self._accept_members(catalogue, in_force)
        elif catalogue.dataset == "prices":
            await self._accept_prices(catalogue)
        elif catalogue.dataset == "leases":
            await self._accept_leases(catalogue, in_force)
        else:
            await self._accept_policy(catalogue)

    def _check(self, catalogue: SignedCatalogue) -> None:
        if catalogue.scope not in {self._station, EVERY_STATION}:
            raise refuse("wrong_station")
        signature = bytes.fromhex(catalogue.signature)
        self._verifier.verify(catalogue.key_id, signing_bytes(catalogue), signature)
        if payload_digest(catalogue.payload) != catalogue.sha256:
            raise refuse("digest_mismatch")
        if not self._clock.trusted:
            # A PC that boots in 2010 must not refuse every price: version and counter still hold.
            return
        now_ms = self._clock.wall_ms()
        if now_ms < catalogue.not_before_ms:
            raise refuse("not_yet_valid")
        if now_ms >= catalogue.expires_ms:
            raise refuse("expired")

    async def _accept_members(self, catalogue: SignedCatalogue, in_force: int) -> None:
        """Changes may begin before what is in force: headquarters sent more before it heard that
        this station has the last piece. Each member in them is whole, so nothing is lost."""
        content = decode_payload(MembersPayload, catalogue)
        if content.base > in_force:
            raise refuse("out_of_order")
        await self._acceptor.accept_members(
            catalogue.version,
            catalogue.counter,
            content.members,
            replaced=content.base == 0,
            sha256=catalogue.sha256,
        )

    async def _accept_leases(self, catalogue: SignedCatalogue, in_force: int) -> None:
        """A lease is one station's alone, and in one epoch of its books: others have none of it.

        A piece may begin before what is in force: headquarters granted something to another
        customer before it heard that this station has the last piece. No lease is taken twice.
        """
        if catalogue.scope != self._station:
            raise refuse("wrong_station")
        content = decode_payload(LeasesPayload, catalogue)
        if content.base > in_force or content.epoch != self._books.head().epoch:
            raise refuse("out_of_order")
        await self._acceptor.accept_leases(
            catalogue.version,
            catalogue.counter,
            content.granted,
            content.recalled,
            sha256=catalogue.sha256,
        )

    async def _accept_prices(self, catalogue: SignedCatalogue) -> None:
        content = decode_payload(PricesPayload, catalogue)
        price_sets = [
            PriceSet(
                PriceSetId(entry.id),
                catalogue.version,
                entry.valid_from_ms,
                {GradeId(grade): UnitPrice(milli) for grade, milli in entry.prices.items()},
            )
            for entry in content.price_sets
        ]
        await self._acceptor.accept_prices(
            catalogue.version, catalogue.counter, price_sets, sha256=catalogue.sha256
        )

    async def _accept_policy(self, catalogue: SignedCatalogue) -> None:
        try:
            policy = accept_policy(catalogue.payload)
        except PolicyRefused as refusal:
            raise refuse("bad_content", refusal.detail) from None
        if policy.version != catalogue.version:
            raise refuse("bad_content", "the policy names another version")
        await self._acceptor.accept_policy(
            catalogue.version, catalogue.counter, catalogue.payload, sha256=catalogue.sha256
        )
