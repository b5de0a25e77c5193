"""Attempts from the journal: what was on a node that is taken for dead ends there, whatever it says later."""

from typing import Any

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Arrived, FirstToken, Heartbeat, Left, Time
from workbench.control.plane.journal import Entry
from workbench.flows.plane_attempts import attempts


def test_who_was_on_a_lost_node_failed_when_it_was_given_up() -> None:
    plane = plane_of({"replicas": 2, "retries": {"wait_ns": 1, "most_wait_ns": 1, "ratio_ppm": 10**6, "most": 9},
                      "cluster": {"nodes": {"a": 1, "b": 1, "c": 1}, "dead_after_ns": 100, "probation_ns": 50}})
    told: list[tuple[int, Any]] = [
        (0, Arrived("r1")), (0, Arrived("r2")), (0, Arrived("r3")), (5, FirstToken("r3", 1)), (60, Heartbeat("b")),
        (60, Heartbeat("c")), (100, Time()), (101, Time()), (110, Left("r2", 1, "ok", 1, 0, 4)),
        (120, FirstToken("r1", 1)), (121, Left("r1", 1, "ok", 1, 0, 7)),  # the network healed
        (122, Left("r3", 1, "ok", 1, 0, 7)), (130, Left("r1", 2, "ok", 1, 0, 7))]
    rows = attempts([Entry(now_ns, event, plane.on(now_ns, event)) for now_ns, event in told]).to_pylist()
    assert [(row["request_id"], row["attempt"], row["end_ns"], row["outcome"], row["error"]) for row in rows] == [
        ("r1", 1, 100, "failure", "node lost: a is down"), ("r2", 1, 110, "ok", None),
        ("r3", 1, 100, "failure", "node lost: a is down"), ("r1", 2, 130, "ok", None)]
    assert [row["first_token_ns"] for row in rows] == [None, None, 5, None]
