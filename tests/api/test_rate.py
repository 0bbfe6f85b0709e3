"""How many requests a client may send."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.api.rate import ALLOWANCES, MAX_CLIENTS, Allowance, RateLimit


class Time:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    time = Time()
    limit = RateLimit({"client": Allowance(per_second=10, burst=5)}, monotonic_s=time)
    assert [limit.wait_s("client", "a") for _ in range(6)] == [0, 0, 0, 0, 0, 1]
    time.s += 0.1
    assert limit.wait_s("client", "a") == 0
    assert limit.wait_s("client", "a") == 1


@given(st.lists(st.floats(min_value=0, max_value=3), max_size=200))
def test_never_more_than_burst_and_rate_allow(gaps: list[float]) -> None:
    time = Time()
    limit = RateLimit({"client": Allowance(per_second=10, burst=5)}, monotonic_s=time)
    passed = 0
    for gap in gaps:
        time.s += gap
        passed += limit.wait_s("client", "a") == 0
    assert passed <= 5 + 10 * time.s + 1e-6


def test_clients_do_not_spend_each_others_requests() -> None:
    limit = RateLimit({"client": Allowance(1, 1), "screen": Allowance(1, 1)}, monotonic_s=Time())
    assert limit.wait_s("client", "a") == 0
    assert limit.wait_s("client", "b") == 0
    assert limit.wait_s("screen", "a") == 0
    assert limit.wait_s("client", "a") > 0


def test_memory_is_bounded() -> None:
    limit = RateLimit(monotonic_s=Time())
    for number in range(3 * MAX_CLIENTS):
        limit.wait_s("client", str(number))
    assert len(limit._buckets) == MAX_CLIENTS


def test_programs_get_the_usual_ten_a_second() -> None:
    assert ALLOWANCES["client"].per_second == 10
    assert ALLOWANCES["screen"].per_second > ALLOWANCES["client"].per_second
