"""A rule that a policy breaks, named so that its author finds and mends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a policy breaks: the rule's code, where, and what is wrong in both languages.

    `docs/policy.md` lists the codes.
    """

    rule: str
    place: str
    text_zh: str
    text_en: str

    def __str__(self) -> str:
        said = f"{self.place}: {self.text_en}" if self.place else self.text_en
        return f"{said} [{self.rule}]"


class PolicyUnlawful(ValueError):
    """What pydantic is told of a policy that breaks the law; it passes `breaches` on."""

    def __init__(self, breaches: list[Breach]) -> None:
        super().__init__("; ".join(str(breach) for breach in breaches))
        self.breaches = tuple(breaches)
