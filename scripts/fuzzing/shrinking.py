"""Makes a failing case small: leaves out whatever it fails without."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from edge_agent.model.errors import EdgeAgentError
from edge_agent.model.policy import load_policy
from scripts.fuzzing.policies import Json
from scripts.fuzzing.prices import Case, Trouble, examine

T = TypeVar("T")
MOST_TRIES = 2_000


def shrunk(trouble: Trouble) -> Case:
    """Return the smallest case found of which the same rule does not hold."""
    case, tries = trouble.case, 0
    progress = True
    while progress and tries < MOST_TRIES:
        progress = False
        for smaller in _smaller(case):
            tries += 1
            if _fails(smaller, trouble):
                case, progress = smaller, True
                break
    return case


def _fails(case: Case, trouble: Trouble) -> bool:
    chance = random.Random(f"{trouble.seed}/{trouble.number}")
    return any(rule == trouble.rule for rule, _ in examine(case, chance))


def _smaller(case: Case) -> Iterator[Case]:
    for content in _simpler_policies(case.content):
        try:
            policy = load_policy(json.dumps(content))
            useless = load_policy(json.dumps(_with(content, case)))
        except EdgeAgentError:
            continue
        yield replace(case, content=content, policy=policy, with_useless=useless)
    request = case.request
    for goods in _fewer(request.goods):
        yield replace(case, request=replace(request, goods=goods))
    for coupons in _fewer(request.coupons):
        yield replace(case, request=replace(request, coupons=coupons))
    for budgets in _fewer(request.budgets):
        yield replace(case, request=replace(request, budgets=budgets))
    if request.points_redeemed:
        yield replace(case, request=replace(request, points_redeemed=0))
    if request.paying is not None:
        yield replace(case, request=replace(request, paying=None))
    if request.member is not None:
        yield replace(case, request=replace(request, member=None, points_redeemed=0))


def _fewer(values: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    for place in range(len(values)):
        yield (*values[:place], *values[place + 1 :])


def _with(content: Json, case: Case) -> Json:
    """Return the policy with the useless offer of the case."""
    known = {offer.id for offer in case.policy.offers}
    extra = [offer for offer in case.with_useless.offers if offer.id not in known]
    return {
        **content,
        "offers": [*content["offers"], *(offer.model_dump(mode="json") for offer in extra)],
    }


def _simpler_policies(content: Json) -> Iterator[Json]:
    for part in ("offers", "coupon_templates"):
        for place in range(len(content[part])):
            fewer = copy.deepcopy(content)
            del fewer[part][place]
            yield fewer
    for key in ("limits", "points", "calendar"):
        if content.get(key):
            yield {**content, key: {}}
    for part in ("offers", "coupon_templates"):
        for place, entry in enumerate(content[part]):
            offer = entry.get("offer", entry)
            for key in ("conditions", "cap_fen", "budget_fen", "floor_milli", "priority",
                        "stacks_with"):  # fmt: skip
                if key in offer:
                    plainer = copy.deepcopy(content)
                    target = plainer[part][place]
                    del target.get("offer", target)[key]
                    yield plainer
