"""The control plane driven by SimPy: v0.1's scenarios to the nanosecond, failures, money, outcomes."""

from collections import Counter
from dataclasses import replace

import pytest
from timing import Linear

from sims.overheads import Overheads
from sims.plane.failures import Failure
from sims.plane.run import arrival_of, simulate_plane
from sims.rules import VllmRules
from sims.run import simulate
from workbench import paths
from workbench.control.plane.events import Release, Report
from workbench.control.plane.journal import first_difference
from workbench.errors import UsageError
from workbench.flows.replicate import Case
from workbench.runlog.schema import Planned

RULES = VllmRules(kv_blocks=400, max_num_seqs=4, max_num_batched_tokens=256)
SECOND = 10**9


def schedule(n: int = 60, gap_ns: int = 4_000) -> list[Planned]:
    return [Planned(f"r{i}", i * gap_ns, 20 + 7 * i % 90, 2 + 5 * i % 23, tenant=("a", "b")[i % 2]) for i in range(n)]


@pytest.mark.parametrize("name", ["single_replica", "small_fleet", "shared_prefix"])
def test_a_scenario_of_v0_1_runs_unchanged_through_the_plane(name: str) -> None:
    case = Case.load(paths.data("scenarios") / f"{name}.toml")
    fleet, policies = case.scenario.fleet, case.scenario.policies
    plans = case.draw(1)[:120]
    before = simulate(plans, case.profile, case.rules, replicas=fleet.replicas, window=policies.window, mode="oracle")
    facts = {"replicas": fleet.replicas, "routing": "least_loaded"}
    if policies.window is not None:
        facts["window"] = policies.window
    after = simulate_plane(plans, case.profile, case.rules, facts, checked=True)
    columns = ["request_id", "outcome", "replica", "admit_ns", "start_ns", "end_ns", "chunk_ns", "output_tok"]
    assert after.log.table.select(columns).to_pydict() == before.log.table.select(columns).to_pydict()
    assert after.iterations == before.iterations
    assert after.busy_ns == before.busy_ns


def test_a_slow_replica_is_one_whose_profile_takes_so_many_times_as_long() -> None:
    columns = ["request_id", "outcome", "replica", "admit_ns", "start_ns", "end_ns", "chunk_ns", "output_tok"]
    slow = simulate_plane(schedule(), Linear(), RULES, {}, failures=[Failure(0, 0, None, "slow", slow_x=3.0)])
    other = simulate_plane(schedule(), Linear(3_000, 30, 300), RULES, {}, mode="oracle")
    assert slow.log.table.select(columns).to_pydict() == other.log.table.select(columns).to_pydict()
    assert (slow.mode, slow.busy_ns) == ("oracle", other.busy_ns)
    assert "grows slow" in str(slow.why)


def test_it_is_slow_from_the_next_iteration_on_until_it_is_over() -> None:
    """Prompt: 1,000 + 200 ns; each token after it: 1,100 ns, twice that for what begins from 1,500 to 7,000 ns."""
    found = simulate_plane([Planned("a", 0, 20, 6)], Linear(), RULES, {},
                           failures=[Failure(1_500, 0, 5_500, "slow", slow_x=2.0)])
    (times,) = found.log.table.column("chunk_ns").to_pylist()
    assert times == [1_200, 2_300, 4_500, 6_700, 8_900, 10_000]


def test_a_dead_replica_loses_what_it_had_and_retries_save_it() -> None:
    for retries in (False, True):
        facts = {"replicas": 2, **({"retries": {"wait_ns": 10, "burst": 50}} if retries else {})}
        found = simulate_plane(schedule(), Linear(), RULES, facts, failures=[Failure(50_000, 0, 60_000)], checked=True)
        outcomes = Counter(found.log.text("outcome"))
        assert sum(outcomes.values()) == 60
        rows = found.log.table.select(["outcome", "error", "attempts", "replica"]).to_pylist()
        lost = [row for row in rows if row["outcome"] == "error"]
        assert lost
        if retries:
            assert all("the first byte is out" in row["error"] for row in lost)
            assert any(row["attempts"] == 2 and row["outcome"] == "ok" and row["replica"] == "1" for row in rows)
        else:
            assert {row["error"] for row in lost} == {"replica down"}
        assert rows[-1]["replica"] in "01"
        assert found.journal is not None
        assert first_difference(found.journal) is None


def test_a_run_is_the_same_every_time_with_overheads_and_impatient_clients() -> None:
    facts = {"replicas": 2, "window": 2, "routing": "power_of_choices", "queue": {"limit": 10}}
    runs = [simulate_plane(schedule(gap_ns=900), Linear(), RULES, facts, patience_ns=40_000, checked=True,
                           overheads=Overheads(300, 500, 20)) for _ in range(2)]
    assert [*runs[0].journal.lines()] == [*runs[1].journal.lines()]  # type: ignore[union-attr]
    outcomes = Counter(runs[0].log.text("outcome"))
    assert outcomes["cancelled"]
    assert outcomes["shed"]
    assert outcomes["ok"]


def test_money_of_the_log_is_the_ledgers() -> None:
    prices = [{"model": "*", "kind": "input", "flat": 150_000}, {"model": "*", "kind": "output", "flat": 600_000}]
    found = simulate_plane(schedule(), Linear(), RULES, {"replicas": 2, "billing": {"prices": prices}},
                           price_usd_per_hour=2.0, checked=True)
    rows = found.log.table.select(["price_pusd", "cost_pusd", "asked_prompt_tok", "asked_output_tok"]).to_pylist()
    assert [row["price_pusd"] for row in rows] == [
        row["asked_prompt_tok"] * 150_000 + row["asked_output_tok"] * 600_000 for row in rows]
    ledger = found.plane.desk.billing.ledger  # type: ignore[union-attr]
    assert sum(row["price_pusd"] for row in rows) == -ledger.group("revenue")
    assert sum(row["cost_pusd"] for row in rows) == round(2e12) * 2 * found.stop_ns // 3_600_000_000_000


def test_an_answer_of_the_cache_comes_at_once() -> None:
    found = simulate_plane(
        schedule(6, gap_ns=SECOND), Linear(), RULES, {"cache": {"capacity_bytes": 10_000, "ttl_ns": 9 * SECOND}},
        arrival=lambda plan: arrival_of(plan)._replace(tenant="all", cache="the same"))
    rows = found.log.table.select(["outcome", "sent_ns", "first_token_ns", "end_ns", "replica"]).to_pylist()
    assert [row["replica"] for row in rows] == ["0"] + [None] * 5
    assert all(row["sent_ns"] == row["first_token_ns"] == row["end_ns"] for row in rows[1:])
    assert {row["outcome"] for row in rows} == {"ok"}


def test_what_never_fits_is_refused_by_the_engine() -> None:
    plans = [replace(schedule(1)[0], asked_prompt_tok=100_000), *schedule(3)[1:]]
    found = simulate_plane(plans, Linear(), RULES, {}, checked=True)
    assert [row["outcome"] for row in found.log.table.select(["outcome"]).to_pylist()] == ["error", "ok", "ok"]


def test_replicas_report_at_the_declared_times_and_no_router_knows_more() -> None:
    parts = {"parts": [{"name": "reported"}], "corrected": False}
    facts = {"replicas": 3, "routing": {"name": "pipeline", "parameters": parts}}
    found = simulate_plane(schedule(gap_ns=900), Linear(), RULES, facts, report_ns=10_000, checked=True)
    assert found.journal is not None
    seen: dict[int, int] = {0: 0, 1: 0, 2: 0}
    for now_ns, event, decisions in found.journal.entries:
        if isinstance(event, Report):
            assert event.reported_ns == now_ns
            assert now_ns % 10_000 == 0
            assert 0 <= event.kv_used_ppm <= 1_000_000
            seen[event.replica] = event.waiting + event.running
        for one in decisions:
            if isinstance(one, Release):
                assert seen[one.replica] == min(seen.values())
    busy = [event for _, event, _ in found.journal.entries if isinstance(event, Report) and event.kv_used_ppm]
    assert busy
    last_ns = max(entry.now_ns for entry in found.journal.entries if not isinstance(entry.event, Report))
    assert found.journal.entries[-1].now_ns <= last_ns + 10_000


def test_who_waits_for_a_fleet_that_never_comes_back_stays_unfinished() -> None:
    found = simulate_plane(schedule(8), Linear(), RULES, {}, failures=[Failure(5_000, 0)], report_ns=1_000)
    outcomes = Counter(found.log.text("outcome"))
    assert outcomes["unfinished"] >= 6
    assert sum(outcomes.values()) == 8


def test_bad_input_is_said_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"control\.scheduling: scheduling 'ftfo' is unknown; did you mean 'fifo'"):
        simulate_plane(schedule(1), Linear(), RULES, {"scheduling": "ftfo"})
    with pytest.raises(UsageError, match="needs a time of at least 0"):
        simulate_plane([Planned("a", None, 1, 1)], Linear(), RULES, {})
    with pytest.raises(UsageError, match="request_id twice"):
        simulate_plane([Planned("a", 0, 1, 1)] * 2, Linear(), RULES, {})
