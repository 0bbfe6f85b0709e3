"""What a check of `edge-agent doctor` found: a cause and a next step, in both languages."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from edge_agent.cli.speech import language

State = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check-up. `warn`: it sells, but somebody should act; `fail`: it does not."""

    check: str
    state: State
    text_en: str
    text_zh: str
    next_en: str = ""
    next_zh: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the finding as plain values."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the finding for a person: state, check, cause, and the step after an arrow."""
        zh = language() == "zh"
        cause, step = (self.text_zh, self.next_zh) if zh else (self.text_en, self.next_en)
        mark = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL", "skip": "-   "}[self.state]
        line = f"{mark}  {self.check}: {cause}"
        steps = "".join(f"\n      -> {part}" for part in step.splitlines())
        return line + steps


def good(check: str, text_en: str, text_zh: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(check, "ok", text_en, text_zh)
