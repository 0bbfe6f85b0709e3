"""Campaign budgets: put in by the policy that names them, split over the stations.

Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from edge_agent.model.policy import Policy
from hq.books import HqBooks
from hq.holdings import Cause, Vault
from hq.standing import StandingPlan


class Campaigns:
    """Keeps each offer's budget at what the latest policy says, less what was spent."""

    def __init__(self, books: HqBooks, vault: Vault, standing: StandingPlan) -> None:
        self._db = books.connection
        self._vault = vault
        self._standing = standing

    def fund(self, policy: Policy, now_ms: int) -> None:
        """Put in what the budgets of a policy exceed earlier ones by, or take out the difference.

        What is taken out and lies at stations becomes a debt, so that nothing is set aside until
        it came back.
        """
        for offer, budget_fen in _budgets(policy):
            row = self._db.execute(
                "SELECT budget_fen FROM campaign WHERE offer = ?", (offer,)
            ).fetchone()
            change = budget_fen - (row[0] if row else 0)
            cause = Cause(now_ms, "policy")
            if change > 0:
                self._vault.credit("budget", offer, change, cause)
            elif change < 0:
                self._vault.move("budget", offer, -change, ("free", "world"), cause)
            self._db.execute(
                "INSERT OR REPLACE INTO campaign (offer, budget_fen) VALUES (?, ?)",
                (offer, budget_fen),
            )
        self.spread(policy)

    def spread(self, policy: Policy) -> None:
        """Let every station that an offer may apply at have its share of the budget."""
        rows = self._db.execute("SELECT station FROM lease_book ORDER BY station").fetchall()
        everywhere = [station for (station,) in rows]
        for _, offer in policy.all_offers():
            if getattr(offer, "budget_fen", None) is not None:
                named = offer.conditions.stations
                stations = [s for s in everywhere if named is None or s in named]
                self._standing.settle("budget", offer.id, dict.fromkeys(stations))


def _budgets(policy: Policy) -> list[tuple[str, int]]:
    return [
        (offer.id, budget_fen)
        for _, offer in policy.all_offers()
        if (budget_fen := getattr(offer, "budget_fen", None)) is not None
    ]
