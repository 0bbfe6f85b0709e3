"""The policy in force: read once per version, and held fast for a fuelling that was quoted."""

from __future__ import annotations

import logging
from typing import Final

from edge_agent.model.errors import PolicyRefused, Problem
from edge_agent.model.ids import FuellingId
from edge_agent.model.policy import NO_POLICY, Policy, load_policy
from edge_agent.ports import Catalogues

logger = logging.getLogger(__name__)

MAX_QUOTED: Final = 256
"""Fuellings that are quoted and not yet settled; the one quoted first gives way."""


class PolicyInForce:
    """What headquarters' newest readable policy says."""

    def __init__(self, catalogues: Catalogues) -> None:
        self._catalogues = catalogues
        self._policy = NO_POLICY
        self._version: int | None = None
        self._problem: Problem | None = None
        self._quoted: dict[FuellingId, Policy] = {}

    def current(self) -> Policy:
        """Return the policy in force; the list price for everybody while there is none.

        A policy that this program cannot read is passed over for the last one that it could.
        """
        version = self._catalogues.versions().get("policy")
        if version != self._version:
            self._read()
            self._version = version
        return self._policy

    def problem(self) -> Problem | None:
        """Return why the newest policy is not in force, or None when it is."""
        self.current()
        return self._problem

    def of(self, fuelling: FuellingId) -> Policy:
        """Return the policy under which a fuelling was first quoted: what was shown is charged."""
        if fuelling not in self._quoted:
            while len(self._quoted) >= MAX_QUOTED:
                del self._quoted[next(iter(self._quoted))]
            self._quoted[fuelling] = self.current()
        return self._quoted[fuelling]

    def forget(self, fuelling: FuellingId) -> None:
        """Let go of a fuelling that was settled."""
        self._quoted.pop(fuelling, None)

    def _read(self) -> None:
        text = self._catalogues.policy_json()
        try:
            self._policy = NO_POLICY if text is None else load_policy(text)
        except PolicyRefused as error:
            logger.error("the newest policy is not used: %s", error.detail)
            self._problem = error.problem
        else:
            self._problem = None
