"""Which nozzle is out, out of reports that come and go.

Pumps report a lifted nozzle in some answers and not in others. Only what two reports in a row agree
on counts: nothing is authorised on one glimpse, and no nozzle hangs because one glimpse is missing.
"""

from __future__ import annotations

from typing import Final

from edge_agent.model.ids import LogicalNozzle

GLIMPSES: Final = 2


class NozzleWatch:
    """The debounced nozzle of one fuelling point."""

    def __init__(self) -> None:
        self.lifted: LogicalNozzle | None = None
        self._seen: LogicalNozzle | None = None
        self._glimpses = 0

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last report contradicts what counts, and another one should be asked for."""
        return self._glimpses > 0

    def forget(self) -> None:
        """Know nothing; a nozzle counts as hung until reported out."""
        self.lifted = None
        self.dismiss()

    def dismiss(self) -> None:
        """Let a doubt rest that no further report has confirmed."""
        self._seen, self._glimpses = None, 0

    def glimpse(self, out: LogicalNozzle | None) -> list[tuple[LogicalNozzle, bool]]:
        """Take one report in (None: no nozzle out); return what changed: nozzle, lifted."""
        if out == self.lifted:
            self.dismiss()
            return []
        self._glimpses = self._glimpses + 1 if self._glimpses and out == self._seen else 1
        self._seen = out
        if self._glimpses < GLIMPSES:
            return []
        changes = [] if self.lifted is None else [(self.lifted, False)]
        if out is not None:
            changes.append((out, True))
        self.lifted = out
        self.dismiss()
        return changes
