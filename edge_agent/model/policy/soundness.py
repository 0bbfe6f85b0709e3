"""What a policy may not say although every value in it is well formed: the law, and sense.

Judged when a policy is published and when a station accepts it (`reading.accept_policy`). One that
was accepted before a rule was added stays readable, so that old sales can be priced again.

Each rule has a code, which error messages, `edge-agent policy check` and `docs/policy.md` name.
Only what is certain is refused; what may be meant is `edge_agent.model.policy.advice`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.model.policy.breach import Breach
from edge_agent.model.policy.law import unlawful
from edge_agent.model.policy.soundness_conditions import contradicting_offers
from edge_agent.model.policy.soundness_limits import contradicting_limits
from edge_agent.model.policy.soundness_margins import below_margin
from edge_agent.model.policy.soundness_points import money_machines
from edge_agent.model.policy.soundness_stacking import contradicting_groups
from edge_agent.model.policy.soundness_times import times_that_never_come

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Policy


def breaches(policy: Policy) -> list[Breach]:
    """Return every rule that the policy breaks: the law first, then rule by rule."""
    return [
        *unlawful(policy),
        *contradicting_limits(policy),
        *contradicting_offers(policy),
        *times_that_never_come(policy),
        *contradicting_groups(policy),
        *below_margin(policy),
        *money_machines(policy),
    ]
