"""What the service's isolation forbids must not end any of its processes."""

from __future__ import annotations

import io
import os
import sys
from types import SimpleNamespace

import pytest

from edge_agent.vision import worker


def test_the_camera_process_bears_that_it_may_not_lower_its_priority(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`SystemCallFilter=~@resources` answers setpriority(2) with EPERM."""

    def refused(_: int) -> int:
        raise PermissionError

    out = io.BytesIO()
    monkeypatch.setattr(os, "nice", refused)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"no configuration\n")))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    assert worker.main() == 1
    assert b"vision_message_malformed" in out.getvalue()
