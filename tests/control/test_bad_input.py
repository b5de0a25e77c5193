"""Bad input through the doors by which it comes: one line with file, key, value and remedy, and nothing is lost."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.plane.scenario import PlaneCase
from workbench.cli.main import main
from workbench.control.money.billing import Billing
from workbench.control.money.errors import ClockWentBack, Conflict, Overlap, PeriodClosed
from workbench.control.money.ledger import Ledger
from workbench.control.money.payments import Payments, ProviderEvent
from workbench.control.money.price_book import PriceBook, Version
from workbench.control.money.rates import rate_from
from workbench.control.money.usage import Usage
from workbench.control.plane.build import plane_of
from workbench.control.plane.events import (
    Arrived,
    Decision,
    Event,
    Gone,
    Heartbeat,
    Left,
    Notice,
    Progress,
    ReplicaDown,
    ReplicaUp,
    Report,
    Time,
)
from workbench.errors import UsageError

SCENARIO = """
[workload]
requests = 3
arrivals = { kind = "poisson", rate_per_s = 1.0 }
prompt_tok = { kind = "fixed", tok = 10 }
output_tok = { kind = "fixed", tok = 3 }
who = [{ tenant = "a", share = 1.0 }]
[fleet]
profile = "llama-3.1-8b-h100-tp1-bf16"
replicas = 2
"""
PRICES = '[control.billing]\nprices = [{ model = "*", kind = "input", flat = 1, from_ns = 0, until_ns = 100 },\n'
TABLES = [  # what is written, and the whole line after the file's name
    ('[control]\nscheduling = "wfqq"', "control.scheduling: scheduling 'wfqq' is unknown; did you mean 'wfq'?"),
    ('[control]\nschedulng = "wfq"', "control.schedulng: unknown; did you mean 'scheduling'?"),
    ('[control]\nscheduling = { name = "ageing", parameters = { step = 1 } }',
     "control.scheduling: scheduling 'ageing': parameter 'step' is unknown; did you mean 'step_ns'?"),
    ('[control]\nrouting = "round_robbin"', "control.routing: routing 'round_robbin' is unknown; did you mean "
     "'round_robin'?"),
    ('[control.limits]\nlevels = [{ name = "tenant", meter = "gcrra" }]',
     "control.limits: meter 'gcrra' is unknown; did you mean 'gcra'?"),
    ('[control]\nlimits = "pln"', "control.limits: 'pln': must be 'plan', or a table with levels"),
    ('[control]\nscheduling = { name = "wfq", parameters = { weights = { a = 0 } } }',
     "control.scheduling: weights.a 0: must be a whole number of at least 1"),
    ('[control]\nscheduling = { name = "vtc", parameters = { weights = { a = -1 } } }',
     "control.scheduling: weights.a -1: must be a whole number of at least 1"),
    ('[control]\nscheduling = { name = "drr", parameters = { weights = { a = 0.5 } } }',
     "control.scheduling: weights.a 0.5: must be a whole number of at least 1"),
    ("[control.tenants.tiers.free]\nweight = 0\n[control.tenants.tenants.a]\ntier = 'free'",
     "control.tenants.tiers.free.weight: 0 is not a whole number of at least 1"),
    ("[control.tenants.tiers.free]\n[control.tenants.tenants.a]\ntier = 'free'\nweight = -2",
     "control.tenants.tenants.a.weight: -2 is not a whole number of at least 1"),
    ("[control]\nreplicas = [{ weight = 0 }]", "control.replicas.0.weight: 0: must be a whole number of at least 1"),
    ('[control.models]\nversions = [{ model = "m", version = "1", revision = "r", context_tok = 9 }]\n'
     'aliases = { x = { "m@1" = -1 } }', "control.models: alias x: m@1 -1: must be a whole number of at least 1"),
    ("[control.tenants.tiers.free]\n[control.tenants.tenants.a]\nweight = 2",
     "control.tenants.tenants.a: has no tier; known: free"),
    ("[control.tenants.tiers.free]\n[control.tenants.tenants.a]\ntier = 'fre'",
     "control.tenants.tenants.a.tier: 'fre' is unknown; did you mean 'free'?"),
    (PRICES + '{ model = "*", kind = "input", flat = 2, from_ns = 50 }]',
     "control.billing: price * input [50, ) overlaps * input [0, 100); end the older where the newer begins"),
    ("[control]\nwindow = 0", "control.window: 0: must be a whole number of at least 1"),
    ("[control]\nscheduling = 5", "control.scheduling: 5 is not of the shape that it should be ('int' object is not "
     "iterable); docs/control/plane.md names the keys"),
    ("[control]\ntenants = [1]", "control.tenants: [1] is not of the shape that it should be ('list' object has no "
     "attribute 'items'); docs/control/plane.md names the keys"),
    ("[control.cluster]\nnodes = { a = 0 }", "control.cluster.nodes.a: 0: must be a whole number of at least 1"),
    ("[control.alarms]\nburnn = 1", "control.alarms: parameter 'burnn' is unknown; known: every_ns, quiet_ns, "
     "pusd_per_replica_s"),
    ("[[failures]]\nat_s = 1.0\nreplica = 2", "failures.0.replica: 2 is none of the 2, from 0 on"),
]


@pytest.mark.parametrize(("text", "says"), TABLES, ids=[says.partition(":")[0] + str(i) for i, (_, says) in
                                                         enumerate(TABLES)])
def test_a_wrong_table_is_one_line_with_file_key_value_and_remedy(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SCENARIO + text + "\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        PlaneCase.load(path)
    assert str(caught.value) == f"mine.toml: {says}"


def test_the_scenario_without_a_fault_loads(tmp_path: Path) -> None:
    """Otherwise the test before would show nothing."""
    path = tmp_path / "mine.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    assert PlaneCase.load(path).scenario.fleet.replicas == 2


def test_at_the_command_line_it_is_exit_2_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(SCENARIO + TABLES[0][0], encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["sim", "run", "mine.toml"])
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.err.strip().splitlines() == [f"workbench: mine.toml: {TABLES[0][1]}"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


# the plane: refused events among others change nothing that it decides afterwards

FACTS: dict[str, Any] = {
    "replicas": 2, "window": 1, "scheduling": "wfq", "retries": {"most": 2, "wait_ns": 5},
    "cluster": {"nodes": {"a": 1, "b": 1}},
    "queue": {"limit": 4}, "billing": {"prices": [{"model": "*", "kind": kind, "flat": 3} for kind in
                                                  ("input", "output")]},
}
REFUSED: list[tuple[Event, int, str]] = [  # event, how much later than the last one, what is said
    (Time(), -1, "the clock went back from"),
    (Arrived("inside"), 0, "request inside: is inside already; every request has an id of its own"),
    (Arrived("new", prompt_tok=-1), 9, "prompt_tok -1 and estimated_tok 1 must be at least 1"),
    (Arrived("new", prompt_tok=1.5), 9, "Arrived.prompt_tok: 1.5 is not a whole number (of 'new')"),  # type: ignore[arg-type]
    (Arrived("new", estimated_tok=0), 9, "estimated_tok 0 must be at least 1"),
    (Left("inside", 1, "ok", 5, 6, 1), 9, "of it cached_tok 6"),
    (Left("inside", 1, "ok", 5, 0, -1), 9, "output_tok -1"),
    (Report(7, 0), 9, "replica 7: unknown; there are 0 to 1"),
    (Report(0, 10**9), 9, "its report of 1000000000 ns comes before it"),
    (ReplicaUp(-1), 9, "replica -1: unknown"), (ReplicaDown(2), 9, "replica 2: unknown"),
    (Notice(2, 5), 9, "replica 2: unknown"),
    (Left("inside", 1, "bogus"), 9, "request inside: outcome 'bogus' is unknown; known: failure, ok"),  # type: ignore[arg-type]
    (Left("inside", 1, "ok", 5, 0, True), 9, "Left.output_tok: True is not a whole number"),
    (Left("inside", 1, "failure", retry_after_ns=1.5), 9, "Left.retry_after_ns: 1.5 is not a whole"),  # type: ignore[arg-type]
    (Left("inside", 1, "failure", error=5), 9, "Left.error: 5 is not a text"),  # type: ignore[arg-type]
    (Arrived(["x"]), 9, "Arrived.request_id: ['x'] is not a text"),  # type: ignore[arg-type]
    (Arrived("new", deadline_ns="soon"), 9, "Arrived.deadline_ns: 'soon' is not a whole number or None"),  # type: ignore[arg-type]
    (Arrived("new", tenant=None), 9, "Arrived.tenant: None is not a text"),  # type: ignore[arg-type]
    (Arrived("new", prefix_ids=[1]), 9, "Arrived.prefix_ids: [1] is not a tuple"),  # type: ignore[arg-type]
    (Arrived("new", keep="here"), 9, "request new: keep 'here' is unknown; known: any, device, server"),  # type: ignore[arg-type]
    (Progress("inside", 1, 1.5), 9, "Progress.output_tok: 1.5 is not a whole number"),  # type: ignore[arg-type]
    (Gone({}), 9, "Gone.request_id: {} is not a text"),  # type: ignore[arg-type]
    (ReplicaUp(1, 99), 9, "replica 1: is up by token 99, but the last one given is 0"),
    (Heartbeat("zzz"), 9, "node zzz: unknown; known: a, b"),
    ("not an event", 9, "'not an event' is no event; known: Arrived"),  # type: ignore[list-item]
]


def story(bad: list[tuple[int, int]]) -> tuple[list[tuple[Decision, ...]], int]:
    """Ten requests through two replicas, with refused events `bad` (before which step, which one) in between."""
    plane, found, said = plane_of(FACTS), list[tuple[Decision, ...]](), 0
    events: list[Event] = [Arrived("inside", prompt_tok=9)]
    events += [Arrived(f"r{i}", f"t{i % 3}", prompt_tok=9, deadline_ns=70 + 10 * i) for i in range(9)]
    events += [Left("inside", 1, "failure"), Time(), Time(), Left("r0", 1, "ok", 9, 0, 4)]
    events += [event for _ in range(3) for event in (ReplicaDown(0), ReplicaUp(0), Time())]
    for step, event in enumerate(events):
        for _, which in [one for one in bad if one[0] == step and step]:
            wrong, later_ns, says = REFUSED[which]
            if which == 1 and "inside" not in plane.desk.inside:
                continue
            with pytest.raises(ValueError, match=re.escape(says)):
                plane.on(step * 10 - 10 + later_ns, wrong)
            plane.check()
            said += 1
        found.append(plane.on(step * 10, event))
        plane.check()
    return found, said


@given(st.lists(st.tuples(st.integers(1, 22), st.integers(0, len(REFUSED) - 1)), min_size=1, max_size=12))
def test_a_refused_event_changes_nothing_that_is_decided_afterwards(bad: list[tuple[int, int]]) -> None:
    untroubled, _ = story([])
    troubled, _ = story(bad)
    assert troubled == untroubled


def test_every_refusal_was_really_tried_and_says_what_is_wrong() -> None:
    for which in range(len(REFUSED)):
        assert story([(2, which)])[1] == 1


# money: what is refused leaves the books as they were

DAY = 86_400 * 10**9
BOOK = [{"model": "*", "kind": kind, "flat": 1_000_000} for kind in ("input", "output")]
WRONG: list[tuple[str, Callable[[Billing], object], type[ValueError], str]] = [
    ("a key with another content", lambda b: b.record(5 * DAY, Usage("k", DAY, "a", "m", 7, 0)), Conflict,
     "usage 'k': recorded before as"),
    ("the clock back", lambda b: b.record(DAY, Usage("new", DAY, "a", "m", 7, 0)), ClockWentBack,
     "the clock went back from"),
    ("from the future", lambda b: b.record(5 * DAY, Usage("new", 6 * DAY, "a", "m", 7, 0)), ValueError, "after now"),
    ("a closed period", lambda b: b.close(400 * DAY, "a", b.calendar.period(DAY)), PeriodClosed,
     "is closed; what is late goes to the invoice of the period from"),
    ("prices that overlap", lambda b: b.add_price(
        50 * DAY, Version("*", "input", rate_from("", {"flat": 2}), 90 * DAY)), Overlap,
     "end the older where the newer begins"),
    ("negative tokens", lambda b: b.record(90 * DAY, Usage("new", 5 * DAY, "a", "m", -1, 0)), ValueError,
     "none is negative"),
    ("no integer", lambda b: b.record(90 * DAY, Usage("new", 5 * DAY, "a", "m", 1.5, 0)), ValueError,  # type: ignore[arg-type]
     "times, tokens and cost are integers"),
]


@pytest.mark.parametrize(("make", "kind", "says"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_what_billing_refuses_leaves_the_books_as_they_were(
    make: Callable[[Billing], object], kind: type[ValueError], says: str
) -> None:
    def books(wrong: Callable[[Billing], object] | None) -> tuple[object, ...]:
        billing = Billing(PriceBook.from_facts(BOOK))
        billing.record(3 * DAY, Usage("k", DAY, "a", "m", 10_000_000, 0))
        billing.on_time(40 * DAY)
        if wrong is not None:
            with pytest.raises(kind, match=says) as caught:
                wrong(billing)
            assert "\n" not in str(caught.value)
        late = billing.record(41 * DAY, Usage("late", 2 * DAY, "a", "m", 1_000_000, 0))
        issued = billing.on_time(80 * DAY)
        return late, issued, list(billing.ledger), billing.ledger.balances()
    assert books(make) == books(None)


def test_a_webhook_that_cannot_be_leaves_the_books_as_they_were() -> None:
    ledger = Ledger()
    payments = Payments(ledger)
    good = ProviderEvent("e1", DAY, "payment", "p1", "succeeded", 500, tenant="a")
    payments.on(DAY, good)
    before = ledger.balances(), list(ledger)
    for wrong, says in ((good._replace(kind="paymnt"), "paymnt 'succeeded' is unknown; known:"),
                        (good._replace(cents=-1), "cents"), (good._replace(tenant=""), "a payment names its tenant"),
                        (good._replace(status="succeded"), "is unknown; known:")):
        with pytest.raises(ValueError, match=says):
            payments.on(2 * DAY, wrong._replace(event_id="e2"))
        assert (ledger.balances(), list(ledger)) == before
    payments.on(2 * DAY, good)
    assert (ledger.balances(), list(ledger)) == before
