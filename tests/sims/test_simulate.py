"""The simulator against exact oracles, and the laws that hold on every run."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sims.cluster
from sims.clock import Clock
from sims.overheads import Overheads
from sims.record import Record
from sims.result import check_laws
from sims.rules import LlamaCppRules, Rules, VllmRules
from sims.run import simulate
from sims.saturation import arrival_rps, saturation_rps
from tests.sims.oracles import kiefer_wolfowitz, lindley
from tests.sims.timing import Linear, Timed
from workbench.control.journal import first_difference
from workbench.errors import Failure, UsageError
from workbench.runlog.schema import Planned, Row

STEP_NS = 1_000
JOBS = st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 300), st.integers(1, 15)), min_size=1, max_size=30)
RULES = st.one_of(
    st.builds(LlamaCppRules, slots=st.integers(1, 5), n_batch=st.integers(5, 200), n_ubatch=st.integers(1, 200)),
    st.builds(VllmRules, max_num_seqs=st.integers(1, 6), max_num_batched_tokens=st.integers(1, 200),
              block_tok=st.integers(1, 16), kv_blocks=st.integers(4, 40)),
)


def planned(jobs: list[tuple[int, int, int]]) -> list[Planned]:
    return [Planned(f"r{i:03d}", *job) for i, job in enumerate(jobs)]


@given(JOBS)
@settings(max_examples=50)
def test_one_slot_is_lindley(jobs: list[tuple[int, int, int]]) -> None:
    """A request alone in a batch: its service is the sum of its iterations, whatever they cost."""
    jobs = sorted(jobs, key=lambda job: job[0])
    timing = Linear(step_ns=70, prefill_ns=3, decode_ns=11, ctx_ns=2)
    services = [
        70 + 3 * p + sum(70 + 11 + 2 * (p + k) for k in range(1, o)) for _, p, o in jobs
    ]
    rows = simulate(planned(jobs), timing, LlamaCppRules(slots=1)).log.rows()
    assert [row.end_ns for row in rows] == lindley([job[0] for job in jobs], services)


@given(JOBS, st.integers(2, 5))
@settings(max_examples=50)
def test_constant_steps_are_kiefer_wolfowitz_within_one_step(jobs: list[tuple[int, int, int]], slots: int) -> None:
    """Steps of one length whatever is in them: each request is served `output_tok` steps, in one of `slots` places.
    It may wait for the step in progress, at most one step, and that wait never adds up over requests."""
    jobs = sorted((at, 1, output) for at, _, output in jobs)
    rows = simulate(planned(jobs), Timed(lambda _: STEP_NS), LlamaCppRules(slots=slots)).log.rows()
    exact = kiefer_wolfowitz([job[0] for job in jobs], [job[2] * STEP_NS for job in jobs], slots)
    late = [(row.end_ns or 0) - end for row, end in zip(rows, exact, strict=True)]
    assert all(0 <= ns < STEP_NS for ns in late), late


@given(JOBS, st.integers(2, 4))
@settings(max_examples=50)
def test_arrivals_on_the_grid_are_kiefer_wolfowitz_exactly(jobs: list[tuple[int, int, int]], slots: int) -> None:
    jobs = sorted((at // STEP_NS * STEP_NS, 1, output) for at, _, output in jobs)
    rows = simulate(planned(jobs), Timed(lambda _: STEP_NS), VllmRules(max_num_seqs=slots, kv_blocks=10_000)).log.rows()
    exact = kiefer_wolfowitz([job[0] for job in jobs], [job[2] * STEP_NS for job in jobs], slots)
    assert [row.end_ns for row in rows] == exact


def test_mutant_decisions_before_arrivals_of_the_same_instant_break_the_exact_grid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With arrivals last, a request that arrives as a step ends misses the next one."""
    class Swapped:
        ARRIVE, END = 3, 1

    monkeypatch.setattr(sims.cluster, "Turn", Swapped)
    rows = simulate(
        planned([(0, 1, 4), (STEP_NS, 1, 1)]), Timed(lambda _: STEP_NS), VllmRules(max_num_seqs=2, kv_blocks=10_000),
        mode="oracle").log.rows()
    assert rows[1].end_ns != kiefer_wolfowitz([0, STEP_NS], [4 * STEP_NS, STEP_NS], 2)[1]


def test_mutant_decoders_beside_a_prompt_for_free_break_lindley_work() -> None:
    """Total work is what the profile says: a batch whose decodes cost nothing ends earlier than the sum."""
    jobs = planned([(0, 100, 10), (0, 100, 10)])
    true, free = Linear(), Timed(lambda b: Linear().iteration_ns(replace(b, decode_n=0) if b.prefills else b))
    late = replace(jobs[1], intended_ns=4_000)
    ends = [simulate([jobs[0], late], t, LlamaCppRules(slots=2)).stop_ns for t in (true, free)]
    assert ends[0] - ends[1] == Linear().decode_ns


@given(JOBS, RULES, st.integers(1, 3), st.sampled_from([None, 1, 3]), st.sampled_from([None, 30_000]))
@settings(max_examples=80)
def test_laws_on_every_run(
    jobs: list[tuple[int, int, int]], rules: Rules, replicas: int, window: int | None, horizon_ns: int | None
) -> None:
    """Conservation, Little's law from two sides, work, causality, cost: all integers, all equal."""
    schedule = planned(jobs)
    result = simulate(
        schedule, Linear(), rules, replicas=replicas, window=window, horizon_ns=horizon_ns,
        overheads=Overheads(in_ns=130, out_ns=70, admit_ns=40), price_usd_per_hour=3.0, keep_iterations=True,
    )
    rows = result.log.rows()
    assert [row.request_id for row in rows] == [item.request_id for item in schedule]
    assert sum(result.log.outcomes().values()) == len(schedule)
    for row, item in zip(rows, schedule, strict=True):
        _row_makes_sense(row, item, result.stop_ns)
    assert horizon_ns is None or result.stop_ns <= horizon_ns
    assert horizon_ns is not None or not result.log.outcomes()["unfinished"]
    assert _little_by_sweep(rows, result.stop_ns) == result.area_ns
    assert result.trace is not None
    if horizon_ns is None:
        assert sum(it.end_ns - it.start_ns for _, it in result.trace) == sum(result.busy_ns)
        assert sum(len(it.emitted) for _, it in result.trace) == sum(row.output_tok or 0 for row in rows)
    assert all(busy <= result.stop_ns for busy in result.busy_ns)
    costs = [row.cost_pusd or 0 for row in rows]
    assert min(costs) >= 0
    started = any(row.start_ns is not None and row.start_ns < result.stop_ns for row in rows)
    assert sum(costs) == (3 * 10**12 * replicas * result.stop_ns // 3_600_000_000_000 if started else 0)
    assert result.journal is not None
    assert first_difference(result.journal) is None


def _row_makes_sense(row: Row, item: Planned, stop_ns: int) -> None:
    times = [t for t in (row.sent_ns, row.admit_ns, row.start_ns, row.first_token_ns, row.last_token_ns, row.end_ns)
             if t is not None]
    assert times == sorted(times)
    assert (row.output_tok or 0) == len(row.chunk_ns or ())
    assert all(t <= stop_ns for t in times)
    if row.outcome == "ok":
        assert (row.output_tok, row.error) == (item.asked_output_tok, None)
    else:
        assert row.error
        assert row.outcome in {"rejected", "unfinished"}


def _little_by_sweep(rows: list[Row], stop_ns: int) -> int:
    """Integral of the number inside, from the log alone, by sweeping over time."""
    changes = sorted(
        change for row in rows if row.sent_ns is not None
        for change in ((row.sent_ns, 1), (stop_ns if row.end_ns is None else row.end_ns, -1))
    )
    area, inside, last = 0, 0, 0
    for at, change in changes:
        area, inside, last = area + inside * (at - last), inside + change, at
    return area


def test_mutant_a_lost_token_or_a_wrong_count_is_noticed() -> None:
    record = Record([Planned("a", 0, 5, 2)])
    record.sent_ns[0], record.left_ns[0], record.token_ns = 0, 10, {0: [5, 10]}
    check_laws(record, 10, 10)
    with pytest.raises(Failure, match="Little"):
        check_laws(record, 11, 10)
    record.token_ns = {0: [10]}
    with pytest.raises(Failure, match="got 1 of 2 tokens"):
        check_laws(record, 10, 10)
    record.token_ns = {0: [10, 5]}
    with pytest.raises(Failure, match="out of order"):
        check_laws(record, 10, 10)


@given(JOBS, RULES)
@settings(max_examples=50)
@pytest.mark.slow
def test_the_same_input_gives_the_same_log(jobs: list[tuple[int, int, int]], rules: Rules) -> None:
    first, second = (simulate(planned(jobs), Linear(), rules, replicas=2) for _ in range(2))
    assert first.log.table.equals(second.log.table)
    assert first.journal == second.journal


@given(JOBS, RULES, st.integers(1, 3), st.sampled_from([None, 1, 3]), st.sampled_from([0, 1_000]))
@settings(max_examples=50)
@pytest.mark.slow
def test_deciding_at_once_equals_deciding_in_an_event_of_its_own(
    jobs: list[tuple[int, int, int]], rules: Rules, replicas: int, window: int | None, grid_ns: int
) -> None:
    """The short cut of the station, with many arrivals at the very ends of iterations."""
    schedule = planned([(at // grid_ns * grid_ns if grid_ns else at, p, o) for at, p, o in jobs])
    timing = Timed(lambda _: STEP_NS) if grid_ns else Linear()
    short = simulate(schedule, timing, rules, replicas=replicas, window=window, mode="oracle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clock, "last_of_instant", False)
        whole = simulate(schedule, timing, rules, replicas=replicas, window=window, mode="oracle")
    assert short.log.table.equals(whole.log.table)
    assert short.journal == whole.journal
    assert short.events <= whole.events


def test_mutant_a_short_cut_before_everybody_had_a_turn_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed loop: who follows one that left arrives at the end of an iteration and belongs to the next."""
    jobs = [replace(item, intended_ns=None) for item in planned([(0, 1, 1), (0, 1, 3), (0, 1, 1)])]

    def ends() -> list[int | None]:
        result = simulate(jobs, Timed(lambda _: STEP_NS), VllmRules(max_num_seqs=2, kv_blocks=10_000), concurrency=2,
                              mode="oracle")
        return [row.end_ns for row in result.log.rows()]

    assert ends() == [1_000, 3_000, 2_000]
    monkeypatch.setattr(Clock, "last_of_instant", True)
    assert ends() != [1_000, 3_000, 2_000]


def test_overheads_shift_latency_and_leave_throughput_alone() -> None:
    """A saturated engine: in and out move every time by themselves, an admission cost slows the engine."""
    jobs = planned([(0, 10, 5) for _ in range(20)])
    rules = LlamaCppRules(slots=2)
    plain = simulate(jobs, Linear(), rules)
    moved = simulate(jobs, Linear(), rules, overheads=Overheads(in_ns=500, out_ns=200))
    slowed = simulate(jobs, Linear(), rules, overheads=Overheads(admit_ns=300))
    assert moved.stop_ns == plain.stop_ns + 700
    assert moved.busy_ns == plain.busy_ns
    assert slowed.busy_ns[0] == plain.busy_ns[0] + 20 * 300


def test_a_closed_loop_keeps_its_concurrency() -> None:
    jobs = [replace(item, intended_ns=None) for item in planned([(0, 10, 5), (0, 9_000, 1), *[(0, 10, 4)] * 9])]
    result = simulate(jobs, Linear(), LlamaCppRules(slots=4), concurrency=3)
    rows = [row for row in result.log.rows() if row.outcome == "ok"]
    assert len(rows) == 10
    for row in rows:
        assert sum((o.sent_ns or 0) <= (row.sent_ns or 0) < (o.end_ns or 0) for o in rows) <= 3
    assert result.log.outcomes()["rejected"] == 1
    assert result.area_ns > 2 * result.stop_ns


def test_a_horizon_keeps_what_is_inside() -> None:
    result = simulate(planned([(i * 10, 50, 20) for i in range(50)]), Linear(), LlamaCppRules(slots=1), horizon_ns=400)
    outcomes = result.log.outcomes()
    assert (outcomes["unfinished"], result.stop_ns) == (50, 400)
    assert [row.sent_ns is not None for row in result.log.rows()] == [True] * 41 + [False] * 9
    assert result.facts["busy_frac"] == 1.0


def test_saturation_is_where_the_queue_begins_to_grow() -> None:
    """One slot: exactly one over the service time. Four slots of constant steps: four requests an output's steps."""
    jobs = planned([(i, 10, 5) for i in range(100)])
    service_ns = Linear().step_ns + 100 + 4 * (Linear().step_ns + Linear().decode_ns)
    assert saturation_rps(jobs, Linear(), LlamaCppRules(slots=1)) == pytest.approx(1e9 / service_ns)
    steps = Timed(lambda _: STEP_NS)
    assert saturation_rps(jobs, steps, LlamaCppRules(slots=4), replicas=2) == pytest.approx(8e9 / (5 * STEP_NS))
    assert saturation_rps(planned([(0, 9_000, 1)]), Linear(), LlamaCppRules()) is None
    assert arrival_rps(planned([(0, 1, 1), (500_000_000, 1, 1), (1_000_000_000, 1, 1)])) == pytest.approx(2.0)
    assert arrival_rps(planned([(0, 1, 1)])) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [({"queue": "fifo"}, "queue 'fifo' is unknown"), ({"window": 0}, "window 0"), ({"replicas": 0}, "replicas 0"),
     ({"concurrency": 0}, "concurrency 0"), ({"arrivals_ns": [-1]}, "arrives at -1"),
     ({"router_with": {"x": 1}}, "parameter 'x'")],
)
def test_bad_input_is_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        simulate(planned([(0, 1, 1)]), Linear(), LlamaCppRules(), **change)  # type: ignore[arg-type]


def test_an_empty_schedule_or_a_repeated_id_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        simulate([], Linear(), LlamaCppRules())
    with pytest.raises(UsageError, match="twice"):
        simulate([Planned("a", 0, 1, 1)] * 2, Linear(), LlamaCppRules())
    with pytest.raises(ValueError, match="at least 1 ns"):
        simulate(planned([(0, 1, 1)]), Timed(lambda _: 0), LlamaCppRules())
    with pytest.raises(ValueError, match="never negative"):
        Overheads(in_ns=-1)
