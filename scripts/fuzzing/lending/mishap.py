"""A death at a write: before the commit, when nothing of it lasts, or after, when nobody hears."""

from __future__ import annotations


class Died(Exception):
    """The process is gone; what was committed stays."""

    def __init__(self, *, committed: bool) -> None:
        super().__init__("after the commit" if committed else "before the commit")
        self.committed = committed


class Mishap:
    """Counts writes down to the one that kills."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._late = False
        self.deaths = 0

    def arm(self, writes: int, *, late: bool) -> None:
        """Die at the so many-th write from now: after its commit (`late`) or before."""
        self._left, self._late = writes, late

    def disarm(self) -> None:
        """Let nothing happen."""
        self._left = None

    def before(self) -> None:
        """A write is about to be committed.

        Raises:
            Died: it never is.
        """
        if self._left is not None:
            self._left -= 1
            if self._left <= 0 and not self._late:
                self._die(committed=False)

    def after(self) -> None:
        """A write was committed.

        Raises:
            Died: and nobody hears of it.
        """
        if self._left is not None and self._left <= 0:
            self._die(committed=True)

    def _die(self, *, committed: bool) -> None:
        self._left = None
        self.deaths += 1
        raise Died(committed=committed)
