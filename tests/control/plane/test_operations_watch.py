"""Alarms and canaries inside the plane: what is said, when, and that it is not said over and over."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Alarm, Arrived, FirstToken, Gone, Left, Shift, Time, Wake
from workbench.control.plane.operations.budgets import Budget
from workbench.control.plane.plane import ControlPlane

SECOND = 10**9
RULE = {"name": "fast", "severity": "page", "long_ns": 10 * SECOND, "short_ns": 2 * SECOND, "rate_milli": 5000}
PRICES = [{"model": "*", "kind": "input", "flat": 1_000_000}, {"model": "*", "kind": "output", "flat": 1_000_000}]


class Told:
    """A plane that is told one request after another; `said` are its alarms and shifts."""

    def __init__(self, **facts: Any) -> None:
        self.plane, self.said, self.count = plane_of(facts), list[tuple[int, Any]](), 0

    def on(self, now_ns: int, event: Any) -> None:
        due_ns = self.plane.due_ns()
        while due_ns is not None and due_ns <= now_ns:
            self._on(due_ns, Time())
            due_ns = self.plane.due_ns()
        self._on(now_ns, event)

    def _on(self, now_ns: int, event: Any) -> None:
        self.said += [(now_ns, one) for one in self.plane.on(now_ns, event) if isinstance(one, (Alarm, Shift))]

    def request(self, now_ns: int, ok: bool = True, ttft_ns: int = 0, tok: int = 1, **facts: Any) -> None:
        self.count += 1
        name = f"r{self.count}"
        self.on(now_ns, Arrived(name, **facts))
        if not ok:
            self.on(now_ns, Left(name, 1, "failure", error="broken"))
            return
        self.on(now_ns + ttft_ns, FirstToken(name, 1))
        self.on(now_ns + ttft_ns, Left(name, 1, "ok", 0, 0, tok))


def sla(**target: int) -> dict[str, Any]:
    return {"window_ns": 60 * SECOND, "targets": {"gold": {"target_ppm": 900_000, **target}}}


def burning(quiet_ns: int = 0) -> Told:
    return Told(sla=sla(ttft_ns=SECOND // 2), alarms={
        "every_ns": SECOND, "quiet_ns": quiet_ns, "burn": {"rules": [RULE], "step_ns": SECOND}})


def test_a_tier_that_burns_its_budget_pages_once_and_again_when_it_burns_again() -> None:
    one = burning()
    for second in range(60):
        bad = 20 <= second < 30 or second >= 50
        one.request(second * SECOND, ok=not bad, tier="gold")
        one.request(second * SECOND, ok=False, tier="none")  # without a promise
    # 10 % may fail; of 10 s more than half are bad after six seconds, told at the end of the sixth
    assert [(at_ns // SECOND, alarm) for at_ns, alarm in one.said] == [
        (at_s, Alarm("gold burns: fast", "page", 6000, 5000, "milli_rate")) for at_s in (26, 56)]


def test_a_late_first_byte_burns_as_an_error_does_and_what_is_the_clients_own_does_not() -> None:
    late, own = burning(), burning()
    for second in range(20):
        late.request(second * SECOND, ttft_ns=SECOND * 3 // 4, tier="gold")
        name = f"c{second}"
        own.on(second * SECOND, Arrived(name, tier="gold"))
        own.on(second * SECOND, FirstToken(name, 1))
        own.on(second * SECOND, Gone(name))
    assert len(late.said) == 1
    assert own.said == []


def test_what_was_said_is_not_said_again_for_a_while() -> None:
    loud, quiet = burning(), burning(quiet_ns=3600 * SECOND)
    for one in (loud, quiet):
        for second in range(200):
            one.request(second * SECOND, ok=second % 40 < 20, tier="gold")
    assert len(loud.said) == 5
    assert len(quiet.said) == 1
    assert quiet.plane.desk.operations is not None
    assert quiet.plane.desk.operations.alarms is not None
    assert quiet.plane.desk.operations.alarms.suppressed == 4


def test_a_jump_of_arrivals_is_noticed_once() -> None:
    one = Told(alarms={"every_ns": SECOND, "changes": [
        {"signal": "arrivals", "detector": {"name": "cusum", "parameters": {"learn": 20}}}]})
    rng = Random(5)
    for second in range(100):
        for _ in range((5 if second < 50 else 15) + rng.randint(-1, 1)):
            one.request(second * SECOND + 1)
    [(at_ns, alarm)] = one.said
    assert 50 < at_ns // SECOND <= 55
    assert (alarm.what, alarm.severity) == ("arrivals changed: up", "notice")


@pytest.mark.parametrize(("signal", "detector"), [
    ("ttft", {"name": "page_hinkley", "parameters": {"limit": 200_000, "learn": 5}}),
    ("errors", {"name": "page_hinkley", "parameters": {"limit": 500_000, "learn": 5}}),
    ("charged", {"name": "seasonal_naive", "parameters": {"season": 4}}),
    ("charged", {"name": "cusum_seasonal", "parameters": {"season": 4, "learn": 8}}),
    pytest.param("ttft", {"name": "river", "parameters": {"name": "ADWIN", "delta": 0.002}}, marks=pytest.mark.slow),
])
def test_every_signal_reaches_its_detector(signal: str, detector: dict[str, Any]) -> None:
    one = Told(billing={"prices": PRICES}, alarms={"every_ns": SECOND, "changes": [
        {"signal": signal, "detector": detector}]})
    for second in range(120):
        after = second >= 60
        one.request(second * SECOND, ok=not (after and signal == "errors"),
                    ttft_ns=SECOND // 2 if after and signal == "ttft" else SECOND // 20,
                    tok=50 if after and signal == "charged" else 5)
    assert one.said, "it saw nothing"
    assert all(at_ns > 60 * SECOND for at_ns, _ in one.said)
    assert one.said[0][1].what.startswith(f"{signal} changed: ")


def test_a_budget_says_that_it_will_not_last_and_then_that_it_did_not() -> None:
    """100 replica seconds may be spent; one replica takes 100 s, two from 30 s on are too much."""
    one = Told(replicas=[{}, {"started": False}], alarms={
        "every_ns": SECOND, "pusd_per_replica_s": 1000,
        "budgets": {"fleet": {"most_pusd": 100_000, "period_ns": 100 * SECOND, "rate_ns": 10 * SECOND}}})
    assert one.plane.desk.operations is not None
    for second in range(1, 201):
        one.on(second * SECOND, Time())
        if second == 30:
            one.plane.desk.operations.members.start(30 * SECOND, 1, "by hand")
        if second == 99:
            one.plane.desk.operations.members.stop(99 * SECOND, 1, "by hand")
    # 31 s: of 10 s one with two replicas: 31,000 + 1,000 spent and 1,100 a second to come
    assert [(at_ns // SECOND, alarm.what, alarm.severity) for at_ns, alarm in one.said] == [
        (31, "budget fleet: projected", "ticket"), (66, "budget fleet: spent", "page")]
    assert one.said[1][1].value == 102_000


def test_a_tenants_budget_counts_what_it_is_charged_and_begins_anew() -> None:
    one = Told(billing={"prices": PRICES}, alarms={"every_ns": SECOND, "quiet_ns": 0, "budgets": {
        "acme": {"tenant": "acme", "most_pusd": 50 * 10**6, "period_ns": 60 * SECOND, "rate_ns": 59 * SECOND}}})
    for second in range(120):
        one.request(second * SECOND, tenant="acme" if second % 2 else "other", tok=2)
    assert [(at_ns // SECOND, alarm.what) for at_ns, alarm in one.said] == [
        (52, "budget acme: spent"), (112, "budget acme: spent")]


@settings(max_examples=60, deadline=None)
@given(spends=st.lists(st.integers(0, 30), min_size=1, max_size=80), most=st.integers(1, 400))
def test_a_budget_pages_exactly_when_it_is_spent_and_once_a_period(spends: list[int], most: int) -> None:
    budget, total, said = Budget(most, 20, rate_ns=5), 0, []
    spent = dict[int, int]()
    for now_ns, spend in enumerate(spends, start=1):
        total += spend
        period = (now_ns - 1) // 20  # what was spent in the second that ends now
        before = spent.get(period, 0)
        spent[period] = before + spend
        found = [alarm.what for alarm in budget.look(now_ns, total)]
        assert ("spent" in found) == (before <= most < before + spend)
        said += [(period, what) for what in found]
    assert len(said) == len(set(said))


MODELS = {"versions": [{"model": "m", "version": v, "revision": v, "context_tok": 9999} for v in ("1", "2")],
          "aliases": {"chat": {"m@1": 1}}}
CANARY = {"alias": "chat", "baseline": "m@1", "canary": "m@2", "begin_ns": 10,
          "parameters": {"stages_ppm": [200_000, 500_000], "stage_pairs": 40, "most_pairs": 2000}}


def canary(bad_ppm: int, slow: bool = False, seed: int = 1) -> Told:
    """One in a hundred of the baseline's fails."""
    one = Told(models=MODELS, canary=CANARY, sla=sla(ttft_ns=100))
    rng = Random(seed)
    for i in range(8000):
        on_canary = one.plane.desk.models.resolve(i * 1000, "chat", f"u{i}").version.name == "m@2"  # type: ignore[union-attr]
        fails = rng.randrange(10**6) < (bad_ppm if on_canary else 10_000)
        one.request(i * 1000, ok=slow or not fails, ttft_ns=500 if slow and fails else 10, model="chat", user=f"u{i}",
                    tier="gold")
    return one


def test_a_bad_canary_is_rolled_back_and_nobody_is_sent_there_any_more() -> None:
    for slow in (False, True):  # by errors, by first bytes that are late
        one = canary(200_000, slow)
        shifts = [shift for _, shift in one.said]
        assert (shifts[0].act, shifts[-1].act) == ("begin", "roll back")
        assert shifts[-1].share_ppm == 0
        models = one.plane.desk.models
        assert models is not None
        assert {models.resolve(10**9, "chat", f"u{i}").version.name for i in range(500)} == {"m@1"}


def test_a_good_canary_widens_and_is_promoted() -> None:
    one = canary(1_000)
    assert [shift.act for _, shift in one.said][:2] == ["begin", "widen"]
    assert one.said[-1][1] == Shift("chat", "promote", 1_000_000, one.said[-1][1].reason)
    assert one.said[0] == (10, Shift("chat", "begin", 200_000, "m@2 beside m@1"))


def test_a_canary_that_begins_at_once_begins_with_the_first_event() -> None:
    one = Told(models=MODELS, canary={**CANARY, "begin_ns": 0})
    one.request(0, model="chat", user="u")
    assert [shift.act for _, shift in one.said] == ["begin"]


def test_kept_answers_and_refusals_say_nothing_of_a_canary() -> None:
    one = Told(models=MODELS, canary={**CANARY, "begin_ns": 0}, cache={"capacity_bytes": 1000, "ttl_ns": 10**12})
    for i in range(400):
        one.request(i, model="chat", user=f"u{i}", prompt_tok=99_999 if i % 2 else 1, cache="q")
    assert one.plane.desk.operations is not None
    rollout = one.plane.desk.operations.rollout
    assert rollout is not None
    assert rollout.canary.test.pairs == 1, "each version computed one answer"
    assert one.plane.desk.tally.answered == 198
    assert one.plane.desk.tally.rejected == 200


def test_steps_that_were_due_before_anything_happened_are_not_forgotten() -> None:
    one = plane_of({"autoscale": {"every_ns": 100, "slots": 1}, "replicas": [{"started": False}]})
    assert [type(x).__name__ for x in one.on(250, Arrived("a"))] == ["Start", "Wake"]
    assert one.due_ns() == 300


def test_operations_only_wake_the_plane_for_their_steps() -> None:
    one: ControlPlane = plane_of({"alarms": {"every_ns": 100}})
    assert [x for x in one.on(0, Arrived("a")) if isinstance(x, Wake)] == [Wake(100)]
    assert one.on(100, Time()) == (Wake(200),)
