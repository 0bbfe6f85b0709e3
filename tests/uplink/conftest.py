"""A real broker on a port of its own for the tests of this folder."""

from collections.abc import Iterator

import pytest

from edge_agent.sim.live.broker import LocalBroker, mosquitto_path


@pytest.fixture(scope="module")
def broker() -> Iterator[LocalBroker]:
    """mosquitto, or the broker of the wheel where it is not installed (the test's name says so)."""
    started = LocalBroker()
    started.start("mosquitto" if mosquitto_path() else "wheel")
    yield started
    started.stop()


@pytest.fixture
def own_broker() -> Iterator[LocalBroker]:
    """A broker that a test may kill."""
    started = LocalBroker()
    started.start()
    yield started
    started.stop()
