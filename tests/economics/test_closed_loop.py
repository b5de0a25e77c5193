"""Closed loops by hand, as laws, and against simulation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.scenario import rules_for
from workbench.config import parse
from workbench.economics.capacity_spec import SessionSpec
from workbench.economics.closed_loop import bounds, solve
from workbench.errors import UsageError
from workbench.flows.trial import Bench
from workbench.flows.users import loop, rates_inside
from workbench.metrics import Slo
from workbench.paths import datasets
from workbench.profile.profile import read
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

RATES = st.lists(st.floats(0.1, 50), min_size=1, max_size=20).map(sorted)


def test_two_users_of_one_server_by_hand() -> None:
    """Think 1, service 1: nobody, one, both inside as 1 : 2 : 2, so it works 4/5 of the time."""
    found = solve(2, 1.0, [1.0])
    assert found.throughput_rps == pytest.approx(0.8)
    assert found.response_s == pytest.approx(2 / 0.8 - 1)
    assert solve(1, 3.0, [0.5]).throughput_rps == pytest.approx(1 / (3 + 2))
    assert solve(5, 0.0, [1.0, 1.5]).throughput_rps == 1.5


@given(users=st.integers(1, 400), think=st.floats(0.01, 100), rates=RATES)
def test_littles_law_and_the_bounds(users: int, think: float, rates: list[float]) -> None:
    found, ends = solve(users, think, rates), bounds(users, think, 1 / max(rates), max(rates))
    assert found.throughput_rps * (found.response_s + think) == pytest.approx(users)
    assert found.inside_mean == pytest.approx(found.throughput_rps * found.response_s, rel=1e-6, abs=1e-9)
    assert found.throughput_rps <= ends.throughput_rps * (1 + 1e-9)
    more = solve(users + 1, think, rates)
    assert more.throughput_rps >= found.throughput_rps * (1 - 1e-9)


@pytest.mark.parametrize("bad", [(0, 1.0, [1.0]), (1, -1.0, [1.0]), (1, 1.0, []), (1, 1.0, [0.0])])
def test_what_is_no_loop_is_refused(bad: tuple[int, float, list[float]]) -> None:
    with pytest.raises(UsageError, match="closed loop"):
        solve(*bad)


@pytest.mark.slow
@pytest.mark.parametrize("users", [50, 200, 400])
def test_theory_and_simulation_of_a_batching_engine_agree(users: int) -> None:
    """An H100's profile with random lengths is no exponential server; the shared-capacity model holds all the same."""
    profile = read(datasets() / "profiles" / "silicon" / "llama-3.1-8b-h100-tp1-fp8.json")
    workload = parse(WorkloadSpec, """
requests = 400
arrivals = { kind = "poisson", rate_per_s = 10 }
prompt_tok = { kind = "lognormal", mean_tok = 900, sigma = 0.8, max_tok = 6000 }
output_tok = { kind = "lognormal", mean_tok = 220, sigma = 0.7, max_tok = 1500 }
""", "workload")
    seeds = (1, 2, 3)
    schedules = tuple(draw(workload, seed) for seed in seeds)
    bench = Bench(profile, rules_for(profile, {}, "rules"), schedules, Slo(1.0), 0.9)
    theory = solve(users, 20.0, rates_inside(bench))
    done = loop(bench, SessionSpec(think_s=20, requests_per_user=15), seeds, users)
    assert done["throughput_rps"]["mean"] == pytest.approx(theory.throughput_rps, rel=0.03)
    assert done["response_s"]["mean"] == pytest.approx(theory.response_s, rel=0.15)
