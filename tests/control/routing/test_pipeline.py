"""The bound on one replica's share within a signal's age, and the herd that comes without it."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.request import Waiting
from workbench.control.routing.pipeline import Pipeline
from workbench.control.routing.protocol import Candidate, Signal

AGE_NS = 1000
REPORTED = [{"name": "reported"}]


def told(now_ns: int, *waiting: int) -> list[Candidate]:
    return [Candidate(i, signal=Signal(now_ns, n)) for i, n in enumerate(waiting)]


@given(st.lists(st.integers(0, 400), max_size=120), st.lists(st.integers(0, 50), min_size=1, max_size=6),
       st.sampled_from([1_000_000, 1_300_000, 2_000_000]), st.booleans())
def test_whoever_is_picked_has_at_most_its_share_within_the_age(
    gaps: list[int], waiting: list[int], share_ppm: int, choose: bool
) -> None:
    router = Pipeline(REPORTED, Random(1), corrected=False, choices=2 * choose, share_ppm=share_ppm, window_ns=AGE_NS)
    now_ns, sent = 0, list[tuple[int, int]]()
    for gap_ns in gaps:
        now_ns += gap_ns
        sent.append((now_ns, router.pick(now_ns, Waiting("r"), told(0, *waiting))))
        recent = Counter(replica for at_ns, replica in sent if at_ns > now_ns - AGE_NS)
        assert recent[sent[-1][1]] <= -(-share_ppm * recent.total() // (1_000_000 * len(waiting)))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(0, 60))
def test_corrected_signals_fill_like_water(waiting: list[int], arrivals: int) -> None:
    """Within one report nobody gets more than brings it to the common level, rounded up."""
    router, got = Pipeline(REPORTED, Random(1), window_ns=AGE_NS), Counter[int]()
    for i in range(arrivals):
        got[router.pick(i, Waiting("r"), told(0, *waiting))] += 1
        level = (sum(waiting) + i) // len(waiting)
        assert all(got[r] <= max(0, level - waiting[r] + 1) for r in range(len(waiting)))


def test_a_newer_report_ends_the_correction() -> None:
    router = Pipeline(REPORTED, Random(1), window_ns=AGE_NS)
    assert [router.pick(t, Waiting("r"), told(0, 0, 1)) for t in (5, 6, 7)] == [0, 1, 0]
    assert router.pick(9, Waiting("r"), told(8, 1, 2)) == 0  # it knows those of 5 to 7
    assert router.pick(9, Waiting("r"), told(9, 0, 1)) == 1  # one sent at 9 may be unknown to a report of 9


def herd(gateways: list[Pipeline], replicas: int, seed: int) -> tuple[float, int]:
    """Every gateway sees the same reports, AGE_NS old at most. The largest share that one replica got of the arrivals
    between two reports, and the longest queue."""
    randomness, queues, largest, longest = Random(seed), [0] * replicas, 0.0, 0
    for report in range(20):
        now_ns = report * AGE_NS
        candidates, got = told(now_ns, *queues), Counter[int]()
        for i in range(160):
            at_ns = now_ns + 6 * i
            gateway = gateways[randomness.randrange(len(gateways))]
            got[gateway.pick(at_ns, Waiting("r"), candidates)] += 1
        largest = max(largest, max(got.values()) / 160)
        queues = [max(0, queue + got[r] - 22) for r, queue in enumerate(queues)]  # each serves 22 between reports
        longest = max(longest, *queues)
    return largest, longest


def fleet_of(count: int, **options: Any) -> list[Pipeline]:
    return [Pipeline(REPORTED, Random(100 + i), **{"window_ns": AGE_NS, **options}) for i in range(count)]


def naive_fleet() -> list[Pipeline]:
    return fleet_of(8, corrected=False, window_ns=1)


def test_public_fault_every_router_sends_to_the_same_replica_under_stale_metrics() -> None:
    """8 gateways, 8 replicas, load 91 %. Least loaded by reports alone: the whole fleet's arrivals meet on one."""
    assert herd(naive_fleet(), 8, seed=1) == (1.0, 160 - 22)
    naive, queue = herd(naive_fleet(), 8, seed=1)
    options: dict[str, Any]
    for options in ({"share_ppm": 1_250_000}, {"choices": 2}, {"choices": 2, "share_ppm": 1_250_000}):
        largest, longest = herd(fleet_of(8, **options), 8, seed=1)
        bound = 1.25 / 8 + 8 / 160 if "share_ppm" in options else 2 / 8 + 4 * (0.25 * 0.75 / 160) ** 0.5
        assert largest <= bound < 0.5 < naive
        assert longest < queue / 2


def test_parts_exclude_but_never_everybody() -> None:
    parts = [{"name": "room", "most": 2}, {"name": "kv_room", "most_ppm": 500}, {"name": "fresh", "age_ns": 100},
             {"name": "outstanding", "weight": 2}, {"name": "outstanding_tok"}]
    router = Pipeline(parts, Random(1))
    ok = Signal(950)
    full, old = ok._replace(kv_used_ppm=501), Signal(899)
    candidates = [Candidate(0, 2, 0, ok), Candidate(1, 0, 0, full), Candidate(2, 0, 0, old), Candidate(3, 0, 0, None)]
    assert router.pick(1000, Waiting("r"), [*candidates, Candidate(4, 1, 90, ok)]) == 4
    assert router.pick(1000, Waiting("r"), candidates) == 1  # all excluded: the costs decide, nobody is lost
    assert router.pick(1000, Waiting("r"), [Candidate(0, 1, 1, ok), Candidate(1, 0, 4, ok)]) == 0  # 3 against 4


@pytest.mark.parametrize(("parts", "options", "message"), [
    ([], {}, "at least one of"),
    ([{"name": "outstandin"}], {}, r"parts\.0\.name 'outstandin' is unknown; did you mean 'outstanding'"),
    ([{"name": "room"}], {}, "parts.0 'room'.*most"),
    ([{"name": "room", "most": 0}], {}, "most 0"),
    ([{"name": "reported", "weight": -1}], {}, "parts.0.weight -1"),
    (REPORTED, {"share_ppm": 5}, "share_ppm 5"),
    (REPORTED, {"window_ns": 0}, "window_ns 0"),
])
def test_bad_parameters_say_where(parts: list[dict[str, Any]], options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pipeline(parts, Random(1), **options)


def test_the_clock_never_goes_back() -> None:
    router = Pipeline(REPORTED, Random(1))
    router.pick(5, Waiting("r"), told(0, 0))
    with pytest.raises(ValueError, match="went back from 5 to 4"):
        router.pick(4, Waiting("r"), told(0, 0))
