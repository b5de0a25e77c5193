"""The breaker against a model that remembers everything and recomputes its state from it."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.routing.breaker import CircuitBreaker, Outcome, State

OPEN, MOST, PROBE = 10, 35, 6
OUTCOMES: list[Outcome] = ["ok", "failure", "failure", "rejected", "cancelled"]
# gap_ns, then what: send a new request (where allowed), or the answer of one that is out
STEPS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 3, 9, 40]), st.integers(0, 9), st.sampled_from(OUTCOMES)),
                 min_size=15, max_size=60)


class Model(NamedTuple):
    """A table of transitions over plain values: phase, answers since it closed, when the phase ends, openings."""

    phase: State = "closed"
    answers: tuple[bool, ...] = ()
    until: int = 0
    openings: int = 0
    probe: str | None = None

    def opened(self, at: int) -> "Model":
        return Model("open", (), at + min(MOST, OPEN * 2**self.openings), self.openings + 1)

    def at(self, now: int) -> "Model":
        lost = self.phase == "half_open" and self.probe is not None and now >= self.until
        return self.opened(self.until) if lost else self

    def may(self, now: int) -> bool:
        return {"closed": True, "open": now >= self.until, "half_open": self.probe is None}[self.phase]

    def sends(self, now: int, who: str) -> "Model":
        return self if self.phase == "closed" else self._replace(phase="half_open", until=now + PROBE, probe=who)

    def hears(self, now: int, who: str, outcome: Outcome, failures: int, window: int) -> "Model":
        if self.phase == "closed" and outcome in ("ok", "failure"):
            answers = (*self.answers, outcome == "failure")
            trips = outcome == "failure" and sum(answers[-window:]) >= failures
            return self.opened(now) if trips else self._replace(answers=answers)
        if self.phase == "half_open" and who == self.probe:
            if outcome == "failure":
                return self.opened(now)
            return self._replace(probe=None) if outcome == "cancelled" else Model()
        return self


@given(st.integers(1, 3), st.integers(0, 2), STEPS)
def test_the_breaker_equals_its_model(failures: int, more: int, steps: list[tuple[int, int, Outcome]]) -> None:
    window = failures + more
    breaker, model = CircuitBreaker(failures, window, OPEN, MOST, PROBE), Model()
    now, out = 0, list[str]()
    for number, (gap, choice, outcome) in enumerate(steps):
        now += gap
        model = model.at(now)
        assert breaker.state(now, 0) == model.phase
        assert breaker.allows(now, 0) == model.may(now)
        timed = model.until if model.until > now and (model.phase == "open" or model.probe is not None) else None
        assert breaker.due_ns() == timed
        if choice < 5 or not out:
            who = f"r{number}"
            if model.may(now):
                breaker.sent(now, 0, who)
                model = model.sends(now, who)
                out.append(who)
            else:
                with pytest.raises(ValueError, match="no probe may go"):
                    breaker.sent(now, 0, who)
        else:
            who = out.pop(choice % len(out))
            breaker.done(now, 0, who, outcome)
            model = model.hears(now, who, outcome, failures, window)
        assert breaker.state(now, 0) == model.phase


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker(2, 2, OPEN, MOST, PROBE)
    for i in range(2):
        breaker.sent(0, 7, f"f{i}")
        breaker.done(0, 7, f"f{i}", "failure")
    return breaker


def test_429_is_not_a_failure() -> None:
    breaker = CircuitBreaker(2, 2)
    for i in range(50):
        breaker.sent(i, 0, f"r{i}")
        breaker.done(i, 0, f"r{i}", "rejected")
    assert breaker.state(50, 0) == "closed"
    half = opened()
    half.sent(OPEN, 7, "p")
    half.done(OPEN, 7, "p", "rejected")
    assert half.state(OPEN, 7) == "closed"


def test_one_probe_only() -> None:
    breaker = opened()
    assert not breaker.allows(OPEN - 1, 7)
    breaker.sent(OPEN, 7, "p")
    assert not breaker.allows(OPEN, 7)
    breaker.done(OPEN, 7, "f9", "ok")  # an old request's answer is not the probe's
    assert breaker.state(OPEN, 7) == "half_open"


def test_replicas_have_circuits_of_their_own() -> None:
    breaker = opened()
    assert [breaker.state(0, r) for r in (6, 7)] == ["closed", "open"]


def test_waits_double_up_to_the_cap() -> None:
    breaker, waits, now = opened(), list[int](), 0
    for i in range(4):
        due = breaker.due_ns()
        assert due is not None
        waits.append(due - now)
        now = due
        breaker.sent(now, 7, f"p{i}")
        breaker.done(now, 7, f"p{i}", "failure")
    assert waits == [10, 20, 35, 35]


def test_bad_parameters() -> None:
    with pytest.raises(ValueError, match="failures 5: more than the window of 4"):
        CircuitBreaker(5, 4)
    with pytest.raises(ValueError, match="open_most_ns"):
        CircuitBreaker(open_ns=10, open_most_ns=9)
    breaker = opened()
    breaker.allows(5, 7)
    with pytest.raises(ValueError, match="went back from 5 to 4"):
        breaker.allows(4, 7)
