"""What headquarters publishes for all: price sets and policies, each whole under its own version.

Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from edge_agent.model.canonical import canonical_json
from edge_agent.model.catalogues import PricesPayload
from edge_agent.model.errors import ConfigRefused, PolicyRefused, Problem
from edge_agent.model.policy import NO_POLICY, Policy, accept_policy, load_policy
from edge_agent.model.wire import EVERY_STATION
from hq.books import HqBooks
from hq.content import Content

PRICE_SETS_IN_ONE = 64


class CatalogueDesk:
    """Keeps prices and policies, of any age, and composes what a station lacks."""

    def __init__(self, books: HqBooks) -> None:
        self._db = books.connection
        self._policies: dict[int, Policy] = {NO_POLICY.version: NO_POLICY}

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
        policy = accept_policy(text)
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

    def policy_in_force(self) -> Policy:
        """Return the newest policy; the empty one before the first."""
        return self.policy(self.version("policy")) or NO_POLICY

    # --- what a station lacks --------------------------------------------------------------------

    def version(self, dataset: str) -> int:
        """Return the newest version of a dataset; 0 before the first."""
        row = self._db.execute(
            "SELECT version FROM dataset WHERE dataset = ?", (dataset,)
        ).fetchone()
        return int(row[0])

    def prices(self, station: str, in_force: int, now_ms: int) -> Content | None:
        """Return every price set in force or to come, for a station that has an older version."""
        newest = self.version("prices")
        if in_force >= newest:
            return None
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
        return Content("prices", newest, payload)

    def newest_policy(self, in_force: int) -> Content | None:
        """Return the newest policy, for a station that has an older one."""
        newest = self.version("policy")
        if in_force >= newest:
            return None
        row = self._db.execute("SELECT json FROM policy WHERE version = ?", (newest,)).fetchone()
        return Content("policy", newest, row[0])

    def _next_version(self, dataset: str) -> int:
        row = self._db.execute(
            "UPDATE dataset SET version = version + 1 WHERE dataset = ? RETURNING version",
            (dataset,),
        ).fetchone()
        return int(row[0])


def _refused(detail: str) -> ConfigRefused:
    return ConfigRefused(
        Problem("catalogue_refused", "目录内容不合规则，未发布", "not published: it breaks a rule"),
        detail,
    )
