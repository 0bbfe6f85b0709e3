"""What headquarters publishes: members, price sets, policies, each dataset with its own version.

Members travel as changes since the version that a station has, in pieces, or as a whole from the
beginning where changes do not lead there. Prices and policy are small and always travel whole.
Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.model.canonical import canonical_json
from edge_agent.model.catalogues import MemberEntry, MembersPayload, PricesPayload
from edge_agent.model.errors import ConfigRefused, PolicyRefused, Problem
from edge_agent.model.identifiers import blind_index, mask_name, normalise
from edge_agent.model.policy import NO_POLICY, Policy, load_policy
from edge_agent.model.wire import EVERY_STATION
from hq.books import HqBooks

MEMBERS_IN_ONE = 1000
"""Members in one message: about 250 kB on the wire."""
PRICE_SETS_IN_ONE = 64
MOST_LOST_VERSIONS = 10_000_000
"""So many versions of the members may have been published after the backup that headquarters was
restored from. A station that claims more is not believed: numbers are bounded on the wire, and one
claim near the bound would leave no number to publish under."""


@dataclass(frozen=True, slots=True)
class NewMember:
    """A person as the enrolment desk knows one. Only masks and indexes of this are kept."""

    ref: str
    name: str
    tier: str
    account: str | None = None
    plate_pay: bool = False
    cards: Sequence[str] = ()
    phones: Sequence[str] = ()
    plates: Sequence[str] = ()
    granted_fen: Mapping[str, int] = field(default_factory=dict)
    """What is set aside on the account, by station."""


@dataclass(frozen=True, slots=True)
class Content:
    """One version of a dataset, ready to be signed."""

    dataset: str
    version: int
    payload: str


class CatalogueDesk:
    """Keeps what is published, and composes what a station lacks."""

    def __init__(self, books: HqBooks, index_key: bytes) -> None:
        self._db = books.connection
        self._index_key = index_key
        self._policies: dict[int, Policy] = {NO_POLICY.version: NO_POLICY}

    # --- members ---------------------------------------------------------------------------------

    def enrol(self, member: NewMember) -> None:
        """Add a member or change one; what is granted never shrinks.

        Raises:
            ConfigRefused: an identifier is empty, or a grant has no account.
        """
        if member.granted_fen and member.account is None:
            raise _refused(f"{member.ref}: a grant needs an account")
        entry = MemberEntry(
            ref=member.ref,
            tier=member.tier,
            masked_name=mask_name(member.name),
            account=member.account,
            granted_fen=0,
            plate_pay=member.plate_pay,
            indexes={
                "card": self._indexed("card", member.cards),
                "phone": self._indexed("phone", member.phones),
                "plate": self._indexed("plate", member.plates),
            },
        )
        indexes = canonical_json({kind: list(found) for kind, found in entry.indexes.items()})
        version = self._next_version("members")
        self._note_tier(entry.ref, version, entry.tier)
        self._db.execute(
            "INSERT OR REPLACE INTO member"
            " (ref, version, tier, masked_name, account, plate_pay, indexes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                entry.ref,
                version,
                entry.tier,
                entry.masked_name,
                entry.account,
                int(entry.plate_pay),
                indexes.decode(),
            ),
        )
        for station, granted_fen in member.granted_fen.items():
            self._grant_at_least(station, str(member.account), granted_fen)

    def top_up(self, account: str, station: str, fen: int) -> None:
        """Set more aside for an account at a station.

        Raises:
            ConfigRefused: the amount is not positive, or nobody has this account.
        """
        if fen <= 0:
            raise _refused("a top-up is above zero")
        holders = self._db.execute(
            "SELECT ref FROM member WHERE account = ?", (account,)
        ).fetchall()
        if not holders:
            raise _refused(f"no member has account {account}")
        self._grant_at_least(station, account, self.granted(account, station) + fen)
        for (ref,) in holders:  # each its own version, since messages are cut between versions
            version = self._next_version("members")
            self._db.execute("UPDATE member SET version = ? WHERE ref = ?", (version, ref))

    def set_withdrawn(self, station: str, forgotten_fen: Mapping[str, int]) -> None:
        """Take what a station spent and no longer knows of from what it is told it may spend.

        A station keeps the largest grant that it ever heard of, so this works only before a
        restored one has heard any (`Publisher` waits with its members for that).
        """
        self._db.executemany(
            "UPDATE granted SET withdrawn_fen = ? WHERE station = ? AND account = ?",
            [(max(0, fen), station, account) for account, fen in forgotten_fen.items()],
        )

    def remove(self, ref: str) -> None:
        """Take a member out: every station gets its members anew."""
        gone = self._db.execute("DELETE FROM member WHERE ref = ?", (ref,)).rowcount
        self._number_anew(self.version("members"))
        if gone:
            self._note_tier(ref, self._whole_from(), "")

    def granted(self, account: str, station: str) -> int:
        """Return what is set aside for an account at a station in all, in fen."""
        row = self._db.execute(
            "SELECT granted_fen FROM granted WHERE station = ? AND account = ?", (station, account)
        ).fetchone()
        return int(row[0]) if row else 0

    # --- prices and policy -----------------------------------------------------------------------

    def publish_prices(
        self, set_id: str, valid_from_ms: int, prices: Mapping[str, int], scope: str = EVERY_STATION
    ) -> None:
        """Publish a price set: thousandths of a yuan per litre by grade. A set is never changed.

        Raises:
            ConfigRefused: the id is taken, or a price makes no sense.
        """
        entry = {"id": set_id, "valid_from_ms": valid_from_ms, "prices": dict(prices)}
        try:
            PricesPayload.model_validate({"price_sets": [entry]})
        except ValueError as error:
            raise _refused(f"price set {set_id}: {error}") from None
        added = self._db.execute(
            "INSERT OR IGNORE INTO price_set (id, scope, valid_from_ms, prices)"
            " VALUES (?, ?, ?, ?)",
            (set_id, scope, valid_from_ms, canonical_json(dict(prices)).decode()),
        )
        if added.rowcount != 1:
            raise _refused(f"price set {set_id}: this id is taken")
        self._next_version("prices")

    def publish_policy(self, text: str) -> Policy:
        """Publish a policy; its own version is the dataset's.

        Raises:
            PolicyRefused: it is malformed or senseless.
            ConfigRefused: its version is not above the last one.
        """
        policy = load_policy(text)
        if policy.version <= self.version("policy"):
            raise _refused(f"policy {policy.version}: the last one is {self.version('policy')}")
        canonical = canonical_json(json.loads(text)).decode()
        self._db.execute(
            "INSERT INTO policy (version, json) VALUES (?, ?)", (policy.version, canonical)
        )
        self._db.execute(
            "UPDATE dataset SET version = ? WHERE dataset = 'policy'", (policy.version,)
        )
        return policy

    def policy(self, version: int) -> Policy | None:
        """Return a policy that was published, of any age; None if there was none."""
        known = self._policies.get(version)
        if known is None:
            row = self._db.execute(
                "SELECT json FROM policy WHERE version = ?", (version,)
            ).fetchone()
            if row is None:
                return None
            try:
                known = self._policies[version] = load_policy(row[0])
            except PolicyRefused:
                # A rule made stricter since; such a sale cannot be priced again, and it shows.
                return None
        return known

    # --- what a station lacks --------------------------------------------------------------------

    def version(self, dataset: str) -> int:
        """Return the newest version of a dataset; 0 before the first."""
        row = self._db.execute(
            "SELECT version FROM dataset WHERE dataset = ?", (dataset,)
        ).fetchone()
        return int(row[0])

    def is_ahead(self, dataset: str, in_force: int) -> bool:
        """Whether a station claims a version beyond what headquarters can overcome.

        Members are numbered anew beyond what a station has, within reason; prices and policy are
        not, so a station that knows later ones keeps them until a person has published more.
        """
        beyond = in_force - self.version(dataset)
        return beyond > (MOST_LOST_VERSIONS if dataset == "members" else 0)

    def lacking(self, station: str, dataset: str, in_force: int, now_ms: int) -> Content | None:
        """Return the next piece that brings a station forward, or None when it has everything."""
        newest = self.version(dataset)
        if in_force == newest or self.is_ahead(dataset, in_force):
            return None
        if dataset == "members":
            return self._members(station, in_force)
        return self._prices(station, now_ms) if dataset == "prices" else self._policy(newest)

    def _members(self, station: str, in_force: int) -> Content:
        newest = self.version("members")
        if in_force > newest:
            # This database is older than what it once published: begin beyond it.
            self._number_anew(in_force)
            newest = self.version("members")
        whole_from = self._whole_from()
        base = in_force if in_force >= whole_from else 0
        rows = self._db.execute(
            "SELECT m.ref, m.tier, m.masked_name, m.account, m.plate_pay, m.indexes, m.version,"
            " max(coalesce(g.granted_fen - g.withdrawn_fen, 0), 0) FROM member m"
            " LEFT JOIN granted g ON g.account = m.account AND g.station = ?"
            " WHERE m.version > ? ORDER BY m.version LIMIT ?",
            (station, base, MEMBERS_IN_ONE + 1),
        ).fetchall()
        more = len(rows) > MEMBERS_IN_ONE
        rows = rows[:MEMBERS_IN_ONE]
        payload = MembersPayload(base=base, members=[_entry(row) for row in rows])
        text = canonical_json(payload.model_dump()).decode()
        return Content("members", rows[-1][6] if more else newest, text)

    def _prices(self, station: str, now_ms: int) -> Content:
        rows = self._db.execute(
            "SELECT id, valid_from_ms, prices FROM price_set WHERE scope IN (?1, ?2)"
            " AND valid_from_ms >= coalesce((SELECT max(valid_from_ms) FROM price_set"
            "   WHERE scope IN (?1, ?2) AND valid_from_ms <= ?3), 0)"
            " ORDER BY valid_from_ms LIMIT ?4",
            (EVERY_STATION, station, now_ms, PRICE_SETS_IN_ONE),
        ).fetchall()
        sets = [
            {"id": row[0], "valid_from_ms": row[1], "prices": json.loads(row[2])} for row in rows
        ]
        payload = canonical_json({"price_sets": sets}).decode()
        return Content("prices", self.version("prices"), payload)

    def _policy(self, newest: int) -> Content:
        row = self._db.execute("SELECT json FROM policy WHERE version = ?", (newest,)).fetchone()
        return Content("policy", newest, row[0])

    def _indexed(self, kind: str, texts: Sequence[str]) -> list[str]:
        for text in texts:
            if not normalise(kind, text):
                raise _refused(f"a {kind} is empty")
        return [blind_index(self._index_key, kind, text) for text in texts]

    def _grant_at_least(self, station: str, account: str, fen: int) -> None:
        self._db.execute(
            "INSERT INTO granted (station, account, granted_fen) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (station, account) DO UPDATE"
            " SET granted_fen = max(granted_fen, ?3)",
            (station, account, fen),
        )

    def _next_version(self, dataset: str) -> int:
        row = self._db.execute(
            "UPDATE dataset SET version = version + 1 WHERE dataset = ? RETURNING version",
            (dataset,),
        ).fetchone()
        return int(row[0])

    def _whole_from(self) -> int:
        row = self._db.execute(
            "SELECT whole_from FROM dataset WHERE dataset = 'members'"
        ).fetchone()
        return int(row[0])

    def _note_tier(self, ref: str, version: int, tier: str) -> None:
        last = self._db.execute(
            "SELECT tier FROM member_tier WHERE ref = ? ORDER BY version DESC LIMIT 1", (ref,)
        ).fetchone()
        if last is None or last[0] != tier:
            self._db.execute(
                "INSERT INTO member_tier (ref, version, tier) VALUES (?, ?, ?)",
                (ref, version, tier),
            )

    def _number_anew(self, after: int) -> None:
        """Number all members beyond `after`, so that every station takes them from the start."""
        refs = self._db.execute("SELECT ref FROM member ORDER BY version, ref").fetchall()
        self._db.executemany(
            "UPDATE member SET version = ? WHERE ref = ?",
            [(after + place, ref) for place, (ref,) in enumerate(refs, 1)],
        )
        self._db.execute(
            "UPDATE dataset SET version = ?, whole_from = ? WHERE dataset = 'members'",
            (after + max(1, len(refs)), after + 1),
        )


def _entry(row: tuple[str, str, str, str | None, int, str, int, int]) -> MemberEntry:
    ref, tier, masked_name, account, plate_pay, indexes, _, granted_fen = row
    return MemberEntry(
        ref=ref,
        tier=tier,
        masked_name=masked_name,
        account=account,
        granted_fen=granted_fen,
        plate_pay=bool(plate_pay),
        indexes=json.loads(indexes),
    )


def _refused(detail: str) -> ConfigRefused:
    return ConfigRefused(
        Problem("catalogue_refused", "目录内容不合规则，未发布", "not published: it breaks a rule"),
        detail,
    )
