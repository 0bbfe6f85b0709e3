"""Wayne DART: dispensers on a two-wire bus, polled by address."""

from __future__ import annotations

from drivers.dart.driver import DRIVER

__all__ = ["DRIVER"]
