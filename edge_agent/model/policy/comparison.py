"""What changed from one policy to another: offer by offer, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pydantic import JsonValue

from edge_agent.model.policy.policy import Policy

ChangeKind: TypeAlias = Literal["added", "removed", "changed"]
Fields: TypeAlias = Mapping[str, JsonValue]

_NAMED: Final = {"tiers": "code", "grades": "code", "goods": "code", "offers": "id"}
"""Lists whose entries have a name: an entry that moved is no change."""
_LEFT_OUT: Final = frozenset({"format", "version"})


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. An entry that came or went is one change, with all that it says."""

    kind: ChangeKind
    place: str
    """Such as `offers.tier-silver` or `offers.tier-silver.off_bp`."""
    old: JsonValue
    new: JsonValue


def compared(old: Policy, new: Policy) -> list[Change]:
    """Return what changed, in the order of the policy; version and order of entries do not count.

    The order of tiers, from the lowest, does.
    """
    before, after = _flat(old), _flat(new)
    changes = list(_changes("", before, after))
    order = [tier.code for tier in old.tiers], [tier.code for tier in new.tiers]
    if order[0] != order[1] and sorted(order[0]) == sorted(order[1]):
        changes.append(Change("changed", "tiers", list(order[0]), list(order[1])))
    return changes


def _flat(policy: Policy) -> dict[str, JsonValue]:
    """Return a policy as plain values, the entries of its lists by name, without what is absent."""
    plain = policy.model_dump(mode="json", exclude_none=True)
    for table, key in _NAMED.items():
        plain[table] = {entry[key]: entry for entry in plain[table]}
    plain["coupon_templates"] = {entry["offer"]["id"]: entry for entry in plain["coupon_templates"]}
    return {key: value for key, value in plain.items() if key not in _LEFT_OUT}


def _changes(above: str, before: Fields, after: Fields) -> Iterator[Change]:
    for key in [*before, *(key for key in after if key not in before)]:
        place = f"{above}.{key}" if above else key
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(place, old, new)
        elif key not in before:
            yield Change("added", place, None, new)
        elif key not in after:
            yield Change("removed", place, old, None)
        else:
            yield Change("changed", place, old, new)
