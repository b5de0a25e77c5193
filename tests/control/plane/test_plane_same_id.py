"""An id that comes again: what was set for the request of before is not for this one."""

from typing import Any

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Arrived, FirstToken, Gone, Left, Reject, Release, Time, Wake
from workbench.control.plane.plane import ControlPlane
from workbench.control.routing.hedging import Hedging

RETRY = {"most": 3, "wait_ns": 100, "most_wait_ns": 100, "ratio_ppm": 10**6, "burst": 9}


def told(one: ControlPlane, now_ns: int, event: Any) -> list[Any]:
    found = [decided for decided in one.on(now_ns, event) if not isinstance(decided, Wake)]
    one.check()
    return found


def retry_ns(one: ControlPlane, now_ns: int, event: Any) -> int:
    """When it is to be tried again."""
    (wake,) = [decided for decided in one.on(now_ns, event) if isinstance(decided, Wake)]
    return wake.at_ns


def test_the_patience_of_before_ends_nobody() -> None:
    one = plane_of({"retries": {**RETRY, "wait_ns": 1000, "most_wait_ns": 1000}})
    told(one, 0, Arrived("a", deadline_ns=2000))
    assert retry_ns(one, 1, Left("a", 1, "failure")) > 1
    told(one, 2, Gone("a"))
    told(one, 3, Arrived("a", deadline_ns=10**6))
    at_ns = 2000
    told(one, at_ns, Left("a", 1, "failure"))
    assert told(one, 2001, Time()) == [], "the first one's deadline"
    assert not any(isinstance(decided, Reject) for decided in told(one, 2002, Time()))
    assert list(one.desk.inside) == ["a"]


def test_the_retry_of_before_sends_nobody() -> None:
    one = plane_of({"retries": RETRY})
    told(one, 0, Arrived("a"))
    first_ns = retry_ns(one, 1, Left("a", 1, "failure"))
    told(one, 2, Gone("a"))
    told(one, 3, Arrived("a"))
    told(one, first_ns - 1, Left("a", 1, "failure"))
    assert told(one, first_ns, Time()) == []
    assert told(one, first_ns + 100, Time()) == [Release("a", 2, 0, "")]


def test_the_hedge_of_before_hedges_nobody() -> None:
    hedging = Hedging(quantile_ppm=10**6, share_ppm=10**6, window=9, least_seen=1)
    hedging.sent(0, "w", "1")
    hedging.first_byte(10, "w", "1")
    hedging.sent(20, "a", "1")
    hedging.over(22, "a", "1")
    hedging.sent(25, "a", "1")
    assert hedging.on_time(30) == [], "10 after the first"
    assert hedging.due_ns() == 35
    assert hedging.on_time(35) == ["a"]


def test_a_plane_hedges_by_the_time_of_the_request_that_is_inside() -> None:
    one = plane_of({"replicas": 3, "hedging": {"least_seen": 1, "window": 9, "share_ppm": 10**6}})
    told(one, 0, Arrived("w"))
    told(one, 10, FirstToken("w", 1))
    told(one, 20, Arrived("a"))
    told(one, 21, Gone("a"))
    told(one, 25, Arrived("a"))
    assert told(one, 30, Time()) == []
    assert [decided.attempt for decided in told(one, 35, Time())] == [2]
