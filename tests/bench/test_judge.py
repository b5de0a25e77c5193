"""The client's judgement of itself, on figures worked out by hand."""

import pytest

from workbench.bench.judge import Limits, Sends, judge, nearest_rank, unjudged
from workbench.runlog.schema import Row

MS = 1_000_000


def sends(late_ms: list[int], gap_ms: int = 100) -> Sends:
    return taken([
        Row(request_id=f"r{i}", intended_ns=i * gap_ms * MS, sent_ns=(i * gap_ms + late) * MS, outcome="ok",
            first_token_ns=(i * gap_ms + late + 100) * MS)
        for i, late in enumerate(late_ms)
    ])


def taken(rows: list[Row]) -> Sends:
    found = Sends()
    for row in rows:
        found.take(row)
    return found


@pytest.mark.parametrize(
    ("q", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)]
)
def test_nearest_rank(q: float, value: int) -> None:
    assert nearest_rank(list(range(100, 0, -1)), q) == value


def test_nearest_rank_of_nothing() -> None:
    assert nearest_rank([], 0.5) is None


def test_a_client_in_time_is_not_the_limit() -> None:
    found = judge(sends([0] * 21), [MS] * 100, 0.1, Limits())
    assert found["client_limited"] is False
    assert found["reasons"] == []
    assert found["asked_rps"] == found["delivered_rps"] == 10.0


@pytest.mark.parametrize(
    ("late_ms", "lag_ms", "cpu_frac", "reason"),
    [
        ([0] * 20, 6, 0.1, "woke 0.0060 s late at p99 (limit 5% of the median TTFT, 0.1000 s)"),
        ([0] * 20, 1, 0.85, "used 0.85 of a core"),
        ([0] * 19 + [100], 1, 0.1, "9.5 requests per second were delivered, 10 asked for"),
        ([60] + [0] * 19, 1, 0.1, "10.33 requests per second were delivered, 10 asked for"),
    ],
)
def test_each_limit(late_ms: list[int], lag_ms: int, cpu_frac: float, reason: str) -> None:
    found = judge(sends(late_ms), [lag_ms * MS] * 50, cpu_frac, Limits())
    assert found["client_limited"] is True
    assert any(reason in text for text in found["reasons"]), found["reasons"]


def test_rates_need_two_sends() -> None:
    assert sends([0]).rates == (None, None)
    assert taken([Row(request_id="a", sent_ns=5)] * 3).rates == (None, None)  # a closed loop asks for no rate
    assert sends([0, 0, 100]).rates == (10.0, 2 / 0.3)


def test_a_client_that_died_is_not_trusted() -> None:
    assert unjudged("killed") == {"client_limited": True, "reasons": ["killed"]}
