"""Rates that change: against their own integrals, against the plain kinds, and one tenant beside another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import validate
from workbench.errors import UsageError
from workbench.workload.arrivals import Bursts, Diurnal, Gamma, Hourly, Open, Poisson, expected_n, times_ns
from workbench.workload.draw import draw
from workbench.workload.spec import NamedWorkload, WorkloadSpec, check_names
from workbench.workload.tenants import draw_all

BURST = {"at_s": 100.0, "for_s": 10.0, "rate_per_s": 40.0}
KINDS: list[Open] = [
    Diurnal(rate_per_s=4.0, swing_frac=1.0, period_s=300.0, peak_s=70.0),
    Diurnal(rate_per_s=4.0, swing_frac=0.3, period_s=50.0, peak_s=0.0),
    Hourly(rate_per_s=4.0, weights=(0, 3, 1, 0, 2), period_s=100.0),
    Bursts(rate_per_s=2.0, bursts=({"at_s": 0.0, "for_s": 5.0, "rate_per_s": 0.0}, BURST)),  # type: ignore[arg-type]
]
TOK = {"kind": "fixed", "tok": 8}


def uniform(n: int, seed: int = 3) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).random(n)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_expected_number_at_the_nth_arrival_is_the_nth_moment_of_the_clock(kind: Open) -> None:
    clock = np.cumsum(-np.log1p(-uniform(2000)))
    at_s = np.cumsum(kind.gaps_s(uniform(2000)))
    assert (np.diff(at_s) >= 0).all()
    assert [expected_n(kind, float(one)) for one in at_s] == pytest.approx(clock.tolist(), rel=1e-7, abs=1e-6)


@pytest.mark.parametrize("cv", [1.0, 2.5])
@given(rate=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_a_constant_rate_gives_the_times_of_the_plain_kinds(cv: float, rate: float, seed: int) -> None:
    plain: Open = Poisson(rate_per_s=rate) if cv == 1 else Gamma(rate_per_s=rate, cv=cv)
    same: list[Open] = [
        Diurnal(rate_per_s=rate, cv=cv, swing_frac=0.0, period_s=60),
        Hourly(rate_per_s=rate, cv=cv, weights=(2.0, 2.0)),
        Bursts(rate_per_s=rate, cv=cv, bursts=({"at_s": 3, "for_s": 4, "rate_per_s": rate},))]  # type: ignore[arg-type]
    want = times_ns(plain, uniform(50, seed))
    for kind in same:
        assert np.abs(times_ns(kind, uniform(50, seed)) - want).max() <= 1 + want[-1] // 10**12


def test_a_burst_brings_what_it_says_and_moves_only_what_comes_after() -> None:
    calm = times_ns(Poisson(rate_per_s=2.0), uniform(900))
    crowd = times_ns(Bursts(rate_per_s=2.0, bursts=(BURST,)), uniform(900))  # type: ignore[arg-type]
    before = int((calm < 100 * 10**9).sum())
    assert np.abs(crowd[:before] - calm[:before]).max() <= 1
    inside = int(((crowd >= 100 * 10**9) & (crowd < 110 * 10**9)).sum())
    assert 340 < inside < 460  # 400 expected: three times its root


def workloads(*changed: dict[str, object]) -> list[NamedWorkload]:
    about = {name: {"tenant": name, "arrivals": {"kind": "poisson", "rate_per_s": 2.0}, "requests": 50,
                    "prompt_tok": {"kind": "lognormal", "p50_tok": 90, "p95_tok": 300, "max_tok": 900},
                    "output_tok": TOK, "prefix": {"groups": 3, "tok": 64}} for name in ("acme", "blue")}
    for one in changed:
        about[str(one["tenant"])] = {**about.get(str(one["tenant"]), about["blue"]), **one}
    return [validate(NamedWorkload, raw, "t") for raw in about.values()]


def test_who_changes_or_adds_a_tenant_leaves_the_requests_of_the_others() -> None:
    base = draw_all(workloads(), 7)
    other = draw_all(workloads({"tenant": "acme", "requests": 9}, {"tenant": "new", "requests": 50}), 7)
    for plans in (base, other):
        assert [plan.intended_ns for plan in plans] == sorted(plan.intended_ns or 0 for plan in plans)
    mine, theirs = ([plan for plan in plans if plan.tenant == "blue"] for plans in (base, other))
    assert mine == theirs
    assert len(other) == 9 + 50 + 50
    assert {plan.request_id for plan in other if plan.tenant == "acme"} <= {plan.request_id for plan in base}
    first = {plan.tenant: {one for item in base if item.tenant == plan.tenant for one in item.prefix_ids}
             for plan in base}
    assert not first["acme"] & first["blue"]
    assert [plan.asked_prompt_tok for plan in base if plan.tenant == "acme"] != [
        plan.asked_prompt_tok for plan in mine], "one stream for both"
    assert draw_all(workloads(), 7, requests=20) == base[:20]
    assert draw_all(workloads(), 8) != base


def test_what_cannot_be_told_apart_or_never_comes_is_said() -> None:
    twice = workloads() + workloads()
    with pytest.raises(ValueError, match="'acme' is there already"):
        check_names(twice)
    check_names([*workloads(), *(one.model_copy(update={"name": f"{one.tenant}-night"}) for one in workloads())])
    for arrivals, says in (
        ({"kind": "bursts", "rate_per_s": 1, "bursts": [{"at_s": 0, "for_s": 5, "rate_per_s": 1},
                                                        {"at_s": 4, "for_s": 5, "rate_per_s": 1}]}, "one at 4.0 s"),
        ({"kind": "hourly", "rate_per_s": 1, "weights": [0, 0]}, "nobody would ever come"),
        ({"kind": "diurnal", "rate_per_s": 1, "swing_frac": 1.5}, "less than or equal to 1"),
    ):
        with pytest.raises(UsageError, match=says):
            validate(WorkloadSpec, {"arrivals": arrivals, "requests": 3, "prompt_tok": TOK, "output_tok": TOK}, "w")
    huge = {"kind": "bursts", "rate_per_s": 1, "bursts": [{"at_s": 0, "for_s": 9, "rate_per_s": 1e9}]}
    with pytest.raises(UsageError, match="exceeds"):
        draw(validate(WorkloadSpec, {"arrivals": huge, "duration_s": 10, "prompt_tok": TOK, "output_tok": TOK}, "w"), 1)
