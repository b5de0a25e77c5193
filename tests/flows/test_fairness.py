"""Service over jointly backlogged time: by hand, and against a count of every token and nanosecond."""

from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import Failure
from workbench.flows.fairness import Fairness, fairness
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Row
from workbench.runlog.table import RunLog

WEIGHTS = {"a": 1, "b": 3}


def row(name: str, tenant: str, sent: int, start: int | None, tokens: tuple[int, ...] = (), **more: Any) -> Row:
    begun = {"first_token_ns": tokens[0], "last_token_ns": tokens[-1], "end_ns": tokens[-1], "chunk_ns": tokens,
             "chunk_tok": (1,) * len(tokens), "outcome": "ok"} if tokens else {}
    return Row(name, tenant, sent_ns=sent, start_ns=start, admit_ns=start, **{"prompt_tok": 10, **begun, **more})


def log_of(rows: list[Row], world: Literal["real", "simulated"] = "simulated") -> RunLog:
    return RunLog.from_rows(Provenance(world, "2026-01-01T00:00:00Z"), rows)


# a waits in [0, 30) and [50, 90): shed at 90; b waits in [10, 60). Together: [10, 30) and [50, 60)
HAND = [
    row("a1", "a", 0, 30, (32, 40, 55)),  # the token at 55 alone lies inside
    row("a2", "a", 50, None, end_ns=90, outcome="shed", error="x"),
    row("b1", "b", 10, 20, (30, 31, 50, 51)),  # first token with its prompt at 30, and one at 51
    row("b2", "b", 15, 60, (61,)),
    row("b3", "b", 52, None, (53, 53), cached_tok=0),  # answered by the cache: neither waits nor is served
    row("c1", "c", 0, 5, (25,)),  # nobody asked of c; its token loads the fleet
]


def test_by_hand() -> None:
    found = fairness(log_of(HAND), WEIGHTS)
    assert found.joint_ns == 20 + 10
    assert found.span_ns == 90
    assert found.service == {"a": 2, "b": 10 + 2 + 2}
    assert found.output_tok == 1 + 2 + 1
    assert found.joint_frac == pytest.approx(1 / 3)
    assert found.share_frac("b") == 14 / 16
    assert found.fair_frac("b") == 0.75
    assert found.error_frac == pytest.approx(1 / 8)
    assert found.jain == pytest.approx((2 + 14 / 3) ** 2 / (2 * (4 + (14 / 3) ** 2)))
    assert found.output_tok_per_s == pytest.approx(4 / 30e-9)
    dearer = fairness(log_of(HAND), WEIGHTS, prompt_cost=5, output_cost=1)
    assert dearer.service == {"a": 1, "b": 52}


def test_cached_prompts_cost_nothing_and_shares_by_weight_are_fair() -> None:
    rows = [row("a1", "a", 0, 1, (9,), cached_tok=10), row("b1", "b", 0, 1, (9, 9, 9), cached_tok=10),
            row("a2", "a", 0, None, end_ns=20, outcome="timeout"),
            row("b2", "b", 0, None, end_ns=20, outcome="timeout")]
    found = fairness(log_of(rows), WEIGHTS)
    assert found.service == {"a": 2, "b": 6}
    assert (found.jain, found.error_frac) == (1, 0)


def test_cached_answers_neither_wait_nor_are_served() -> None:
    rows = [row("a1", "a", 0, 10, (11,)), row("b1", "b", 4, None, (8, 8, 8))]
    found = fairness(log_of(rows), WEIGHTS)
    assert (found.joint_ns, found.service) == (0, {"a": 0, "b": 0})
    rows.append(row("b2", "b", 2, None, end_ns=11, outcome="shed"))
    assert fairness(log_of(rows), WEIGHTS).service == {"a": 0, "b": 0}, "what nobody computed is no service"


def test_where_they_never_waited_together_there_is_no_figure() -> None:
    rows = [row("a1", "a", 0, 10, (11,)), row("b1", "b", 10, 20, (21,))]
    found = fairness(log_of(rows), WEIGHTS)
    assert found.joint_ns == 0
    assert found.joint_frac == 0
    assert (found.jain, found.error_frac, found.share_frac("a"), found.output_tok_per_s) == (None, None, None, None)
    with pytest.raises(ValueError, match="two tenants or more"):
        fairness(log_of(rows), {"a": 1})


def test_a_real_run_needs_to_know_when_requests_were_released() -> None:
    rows = [replace(one, start_ns=None) for one in HAND]
    assert fairness(log_of(rows, "real"), WEIGHTS) == fairness(log_of(HAND), WEIGHTS)
    with pytest.raises(Failure, match="measure behind the gateway"):
        fairness(log_of([replace(one, admit_ns=None) for one in rows], "real"), WEIGHTS)


@st.composite
def requests(draw: st.DrawFn) -> list[Row]:
    rows = []
    for i in range(draw(st.integers(2, 12))):
        sent, wait = draw(st.integers(0, 30)), draw(st.integers(0, 15))
        gaps = draw(st.lists(st.integers(0, 5), max_size=6))
        at, tokens = sent + wait, list[int]()
        for gap in gaps:
            at += gap
            tokens.append(at)
        end = {} if tokens else {"end_ns": sent + wait, "outcome": "shed"}
        rows.append(row(f"r{i}", draw(st.sampled_from("ab")), sent, sent + wait if tokens else None, tuple(tokens),
                        prompt_tok=draw(st.integers(1, 9)), **end))
    return rows


def counted(rows: list[Row]) -> tuple[int, dict[str, int]]:
    """The definition, nanosecond by nanosecond."""
    units = [t for t in range(200) if all(
        any(one.tenant == name and (one.sent_ns or 0) <= t < (one.start_ns if one.start_ns is not None else
            one.end_ns or 0) for one in rows) for name in WEIGHTS)]
    ends = {t + 1 for t in units}
    service = dict.fromkeys(WEIGHTS, 0)
    for one in rows:
        service[one.tenant] += 2 * sum(t in ends for t in one.chunk_ns or ())
        service[one.tenant] += (one.prompt_tok or 0) * (one.first_token_ns in ends)
    return len(units), service


@settings(max_examples=150)
@given(rows=requests())
def test_equals_the_definition_and_an_order_of_rows_changes_nothing(rows: list[Row]) -> None:
    found = fairness(log_of(rows), WEIGHTS)
    assert (found.joint_ns, found.service) == counted(rows)
    again: Fairness = fairness(log_of(rows[::-1]), WEIGHTS)
    assert (again.service, again.joint_ns, again.output_tok) == (found.service, found.joint_ns, found.output_tok)
