"""Drawn schedules: exact times, statistics over seeds, and what two workloads share."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import Settings, validate
from workbench.errors import ConfigError, UsageError
from workbench.runlog.schema import Planned
from workbench.workload.draw import draw
from workbench.workload.lengths import expected_tok
from workbench.workload.spec import WorkloadSpec

BASE: dict[str, Any] = {
    "arrivals": {"kind": "poisson", "rate_per_s": 2.0},
    "prompt_tok": {"kind": "lognormal", "p50_tok": 100, "p95_tok": 400, "max_tok": 4000},
    "output_tok": {"kind": "lognormal", "mean_tok": 80, "sigma": 0.7, "max_tok": 1000},
    "requests": 200,
}
Draw = Callable[[WorkloadSpec, int], tuple[Planned, ...]]


def spec(**changes: Any) -> WorkloadSpec:
    raw = copy.deepcopy(BASE) | changes
    return validate(WorkloadSpec, {key: value for key, value in raw.items() if value is not None}, "w.toml")


def times(schedule: tuple[Planned, ...]) -> list[int]:
    return [item.intended_ns for item in schedule if item.intended_ns is not None]


def lengths(schedule: tuple[Planned, ...]) -> list[tuple[int, int]]:
    return [(item.asked_prompt_tok, item.asked_output_tok) for item in schedule]


def test_fixed_rate_is_exact_and_starts_at_zero() -> None:
    found = draw(spec(arrivals={"kind": "fixed", "rate_per_s": 8}, requests=100), 1)
    assert times(found) == [i * 125_000_000 for i in range(100)]


def test_closed_has_no_times() -> None:
    found = draw(spec(arrivals={"kind": "closed"}), 1)
    assert [item.intended_ns for item in found] == [None] * 200


def test_ids_warmup_tenant_and_tier() -> None:
    found = draw(spec(warmup_requests=3, tenant="acme", tier="gold"), 5)
    assert [item.request_id for item in found[:2]] == ["r000000", "r000001"]
    assert [item.warmup for item in found[:5]] == [True, True, True, False, False]
    assert {(item.tenant, item.tier) for item in found} == {("acme", "gold")}


def test_same_seed_same_schedule_other_seed_other_schedule() -> None:
    assert draw(spec(), 7) == draw(spec(), 7)
    assert times(draw(spec(), 7)) != times(draw(spec(), 8))


@pytest.mark.parametrize(("cv", "kind"), [(1.0, "poisson"), (0.5, "gamma"), (2.0, "gamma")])
def test_gaps_have_the_asked_mean_and_cv(cv: float, kind: str) -> None:
    """Over 40 seeds: the mean of an estimate lies within 3 standard errors, computed from the seeds themselves."""
    arrivals = {"kind": kind, "rate_per_s": 5.0} | ({"cv": cv} if kind == "gamma" else {})
    gaps = np.asarray([np.diff(times(draw(spec(arrivals=arrivals, requests=1000), seed)), prepend=0) / 1e9
                       for seed in range(40)])
    squares = (gaps**2).mean(axis=1)  # unbiased, unlike a sample's own cv
    for estimates, truth in ((gaps.mean(axis=1), 0.2), (squares, 0.04 * (1 + cv**2))):
        assert abs(estimates.mean() - truth) < 3 * estimates.std(ddof=1) / np.sqrt(40)


def test_gamma_of_cv_one_is_poisson_to_the_nanosecond() -> None:
    """Two different formulas, the same uniforms."""
    poisson = times(draw(spec(), 3))
    gamma = times(draw(spec(arrivals={"kind": "gamma", "rate_per_s": 2.0, "cv": 1}), 3))
    assert max(abs(a - b) for a, b in zip(poisson, gamma, strict=True)) <= 1


def test_shape_and_cv_say_the_same() -> None:
    by_cv = draw(spec(arrivals={"kind": "gamma", "rate_per_s": 2.0, "cv": 2.0}), 3)
    assert by_cv == draw(spec(arrivals={"kind": "gamma", "rate_per_s": 2.0, "shape": 0.25}), 3)


def test_counts_of_a_poisson_hour_are_poisson() -> None:
    """Mean and variance of the number of arrivals agree: 60 seeds, mean 200."""
    counts = np.asarray([len(draw(spec(requests=None, duration_s=100), seed)) for seed in range(60)])
    assert abs(counts.mean() - 200) < 3 * counts.std(ddof=1) / np.sqrt(60)
    assert 0.6 < counts.var(ddof=1) / 200 < 1.6  # chi-square with 59 degrees, 0.1 % to 99.9 %: 0.51 to 1.7


def shares_lengths(draw_: Draw) -> bool:
    slow, fast = (draw_(spec(arrivals={"kind": "poisson", "rate_per_s": rate}), 11) for rate in (2.0, 4.0))
    stretched = all(abs(a - 2 * b) <= 1 for a, b in zip(times(slow), times(fast), strict=True))
    longer = draw_(spec(requests=300), 11)
    other = draw_(spec(prompt_tok={"kind": "fixed", "tok": 5}), 11)
    same_outputs = [b for _, b in lengths(other)] == [b for _, b in lengths(slow)]
    return stretched and lengths(slow) == lengths(fast) and longer[:200] == slow and same_outputs


def one_stream(workload: WorkloadSpec, seed: int) -> tuple[Planned, ...]:
    """The mutant: one generator for everything, read request by request as far as each kind needs."""
    generator = np.random.default_rng(seed)
    arrivals, prompt, output = workload.arrivals, workload.prompt_tok, workload.output_tok
    assert arrivals is not None
    assert arrivals.kind != "closed"
    assert prompt is not None
    assert output is not None
    n, here = workload.requests or 0, Path()
    moments = np.rint(np.cumsum(arrivals.gaps_s(generator.random(n))) * 1e9).astype(int).tolist()
    first, second = (kind.lengths_tok(generator.random(n), here).tolist() for kind in (prompt, output))
    rows = zip(moments, first, second, strict=True)
    return tuple(Planned(f"r{i:06d}", *row) for i, row in enumerate(rows))


def test_workloads_that_differ_in_one_thing_share_the_rest() -> None:
    assert shares_lengths(draw)
    assert not shares_lengths(one_stream)


@given(rate=st.floats(0.01, 1000), seed=st.integers(0, 2**32), duration_s=st.floats(0.5, 20))
@pytest.mark.slow
def test_a_duration_takes_the_beginning_of_the_same_arrivals(rate: float, seed: int, duration_s: float) -> None:
    arrivals = {"kind": "poisson", "rate_per_s": rate}
    by_number = draw(spec(arrivals=arrivals, requests=400), seed)
    expected = tuple(item for item in by_number if (item.intended_ns or 0) < round(duration_s * 1e9))
    try:
        found = draw(spec(arrivals=arrivals, requests=None, duration_s=duration_s), seed)
    except UsageError:
        found = ()
    assert found[:400] == expected


def test_lognormal_has_the_asked_percentiles() -> None:
    prompts = np.asarray([item.asked_prompt_tok for seed in range(20) for item in draw(spec(requests=1000), seed)])
    assert abs((prompts <= 100).mean() - 0.50) < 3 * np.sqrt(0.25 / 20_000) + 0.004  # 0.4 % lie on the value itself
    assert abs((prompts <= 400).mean() - 0.95) < 3 * np.sqrt(0.05 * 0.95 / 20_000) + 0.001


@pytest.mark.parametrize("raw", [
    {"kind": "lognormal", "mean_tok": 80, "sigma": 0.7, "max_tok": 100_000},
    {"kind": "lognormal", "mean_tok": 80, "sigma": 0.7, "min_tok": 40, "max_tok": 120},
    {"kind": "lognormal", "mean_tok": 80, "sigma": 0, "max_tok": 60},
    {"kind": "empirical", "tok": [3, 3, 9]}, {"kind": "fixed", "tok": 7},
])
def test_expected_length_counts_clipping(raw: dict[str, Any]) -> None:
    workload = spec(prompt_tok=raw, requests=50_000)
    assert workload.prompt_tok is not None
    drawn = np.asarray([item.asked_prompt_tok for item in draw(workload, 2)])
    band = 3 * drawn.std() / np.sqrt(len(drawn)) + 0.02  # rounding to whole tokens: under 0.02
    assert abs(drawn.mean() - expected_tok(workload.prompt_tok)) < band
    if raw["kind"] == "lognormal":
        assert drawn.max() <= raw["max_tok"]
        assert drawn.min() >= raw.get("min_tok", 1)


def test_empirical_column_is_read_and_drawn_evenly(tmp_path: Path) -> None:
    (tmp_path / "lengths.csv").write_text("id,tok\n1,10\n2,20\n3,40\n")
    workload = spec(output_tok={"kind": "empirical", "file": "lengths.csv", "column": "tok"}, requests=9000)
    drawn = np.asarray([item.asked_output_tok for item in draw(workload, 4, base=tmp_path)])
    for value in (10, 20, 40):
        assert abs((drawn == value).mean() - 1 / 3) < 3 * np.sqrt(2 / 9 / 9000)
    assert set(drawn.tolist()) == {10, 20, 40}


@pytest.mark.parametrize(("text", "message"), [
    ("id,tok\n1,10\n2,ten\n", "lengths.csv: line 3: tok: 'ten' is not a whole number of at least 1"),
    ("id,tok\n1,0\n", "lengths.csv: line 2: tok: '0' is not a whole number of at least 1"),
    ("id,tok\n1\n", "lengths.csv: line 2: tok: '' is not a whole number of at least 1"),
    ("id,len\n1,1\n", "lengths.csv: tok: no such column; columns: id, len"),
    ("id,tok\n", "lengths.csv: tok: no rows"),
])
def test_a_bad_column_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "lengths.csv").write_text(text)
    workload = spec(output_tok={"kind": "empirical", "file": "lengths.csv", "column": "tok"})
    with pytest.raises(ConfigError) as caught:
        draw(workload, 1, base=tmp_path)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["../secret.csv", "/etc/passwd", "missing.csv"])
def test_files_stay_inside_the_configurations_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret.csv").write_text("tok\n1\n")
    workload = spec(output_tok={"kind": "empirical", "file": name, "column": "tok"})
    with pytest.raises(UsageError):
        draw(workload, 1, base=tmp_path / "inner")


@pytest.mark.parametrize(("changes", "key", "part"), [
    ({"arrivals": {"kind": "poisson", "rate_per_s": -1}}, "arrivals.rate_per_s", "-1: input should be greater than 0"),
    ({"arrivals": {"kind": "poisson", "rate_per_s": float("nan")}}, "arrivals.rate_per_s", "nan: "),
    ({"arrivals": {"kind": "gamma", "rate_per_s": 1}}, "arrivals", "give either cv or shape"),
    ({"arrivals": {"kind": "poisson"}}, "arrivals.rate_per_s", "required key is missing"),
    ({"arrivals": {"kind": "poisson", "rate": 1}}, "arrivals.rate", "unknown key; known keys: bursts, cv, kind"),
    ({"arrivals": {"kind": "poisson", "rate_per_s": 1, "ratee": 1}}, "arrivals.ratee", "unknown key"),
    ({"requests": 0}, "requests", "0: "),
    ({"requests": None}, "(top level)", "give requests or duration_s"),
    ({"duration_s": 5}, "(top level)", "give requests or duration_s"),
    ({"requests": None, "duration_s": float("inf")}, "duration_s", "inf: "),
    ({"warmup_requests": 200}, "(top level)", "leave none"),
    ({"arrivals": None}, "(top level)", "arrivals is missing"),
    ({"arrivals": {"kind": "closed"}, "requests": None, "duration_s": 5}, "(top level)", "closed arrivals"),
    ({"prompt_tok": {"kind": "fixed", "tok": 0}}, "prompt_tok.tok", "0: "),
    ({"prompt_tok": {"kind": "lognormal", "p50_tok": 9, "sigma": 1, "max_tok": 9}}, "prompt_tok", "give mean_tok and"),
    ({"prompt_tok": {"kind": "lognormal", "p50_tok": 9, "p95_tok": 8, "max_tok": 9}}, "prompt_tok", "p95_tok is below"),
    ({"prompt_tok": {"kind": "lognormal", "mean_tok": 9, "sigma": 1, "min_tok": 5, "max_tok": 4}}, "prompt_tok", "max"),
    ({"prompt_tok": {"kind": "empirical", "tok": []}}, "prompt_tok.tok", "at least 1 item"),
    ({"prompt_tok": {"kind": "empirical", "file": "a.csv"}}, "prompt_tok", "file and column"),
])
def test_bad_workloads_name_key_and_value(changes: dict[str, Any], key: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        spec(**changes)
    assert caught.value.key == key
    assert part in str(caught.value)


def test_a_workload_that_draws_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="draws 0 requests"):
        draw(spec(arrivals={"kind": "poisson", "rate_per_s": 1e-9}, requests=None, duration_s=1), 1)


@pytest.mark.parametrize("changes", [
    {"arrivals": {"kind": "poisson", "rate_per_s": 1e-300}},
    {"arrivals": {"kind": "poisson", "rate_per_s": 1e9}, "requests": None, "duration_s": 1e9},
])
def test_absurd_sizes_are_refused_before_they_are_drawn(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="rate_per_s"):
        draw(spec(**changes), 1)


class Nested(Settings):
    """A file that holds a workload among other things, as a scenario does."""

    workload: WorkloadSpec


def test_a_nested_workload_names_the_key_as_it_was_written() -> None:
    raw = copy.deepcopy(BASE) | {"arrivals": {"kind": "poisson", "rate_per_s": -2}}
    with pytest.raises(ConfigError) as caught:
        validate(Nested, {"workload": raw}, "s.toml")
    assert str(caught.value) == "s.toml: workload.arrivals.rate_per_s: -2: input should be greater than 0"
