"""Topics: what is built can be taken apart, and what is not ours is told apart."""

import pytest

from edge_agent.model import topics
from edge_agent.sim.memory_broker import matches


def test_topics_are_those_of_the_design() -> None:
    assert topics.up("S-1", "ledger") == "forecourt/v1/S-1/up/ledger"
    assert topics.down("S-1", "ack") == "forecourt/v1/S-1/down/ack"
    assert topics.SHARED_CATALOGUE == "forecourt/v1/all/down/catalogue"


def test_a_topic_is_taken_apart() -> None:
    assert topics.split(topics.up("S-1", "birth")) == ("S-1", "up", "birth")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "forecourt/v1",
        "forecourt/v2/S/up/x",
        "forecourt/v1/S/up",
        "forecourt/v1/S/in/x",
        "forecourt/v1/S/up/x/y",
    ],
)
def test_a_strange_topic_is_nobodys(topic: str) -> None:
    assert topics.split(topic) is None


def test_a_station_hears_itself_and_everyone_but_no_other_station() -> None:
    def hears(topic: str) -> bool:
        return any(matches(wanted, topic) for wanted in topics.station_filters("S-1"))

    assert hears(topics.down("S-1", "ack"))
    assert hears(topics.SHARED_CATALOGUE)
    assert not hears(topics.down("S-2", "ack"))
    assert not hears(topics.up("S-1", "ledger"))
    assert matches(topics.EVERY_UP, topics.up("S-2", "birth"))
    assert not matches(topics.EVERY_UP, topics.down("S-2", "ack"))
