"""A profile of a quantisation that was not benchmarked: every time by one ratio, and both sources said."""

import json
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cli.main import main
from workbench.errors import UsageError
from workbench.flows.profile_derive import derive
from workbench.profile.batch import Batch
from workbench.profile.grid import Grid
from workbench.profile.kernels.model import Kernels
from workbench.profile.locate import given_path
from workbench.profile.model import Linear, Table
from workbench.profile.profile import Profile, Subject, read
from workbench.profile.scaled import scaled
from workbench.quality.table import QualityRow, write
from workbench.stats.estimate import independent, ratio
from workbench.stats.intervals import Interval, t_interval

BATCHES = st.builds(
    lambda prompts, contexts: Batch(tuple(prompts), len(contexts), sum(contexts), max(contexts, default=0),
                                    min(contexts, default=0)),
    st.lists(st.tuples(st.integers(1, 600), st.integers(0, 600)), max_size=3),
    st.lists(st.integers(1, 900), max_size=6))
FACTORS = st.builds(Fraction, st.integers(1, 5_000_000), st.just(1_000_000))
LINEAR = Linear(coefficients_fs={"step": 2_000_000_000_001, "prefill_tok": 500_000_000_000, "decode_n": 999_999_999_999,
                                 "prefill_attended_tok": 900_000_003, "decode_ctx_sum_tok": 1_500_000_001})
TABLE = Table(decode_n=(1, 4, 8), step_fs=(10**12, 3 * 10**12, 9 * 10**12), slopes_fs={"prefill_tok": 400_000_000_001})
GRID = Grid(tokens=(1, 512), rest_ns=(1_000_001, 9_000_000), step_n=(1, 8), step_ns=(800_001, 2_000_003),
            decode_n=(1, 8), ctx_tok=(16, 1024), decode_attention_ns=((10_001, 40_000), (20_000, 90_001)),
            new_tok=(1, 512), past_tok=(0, 512), prompt_attention_ns=((101, 999), (50_001, 70_000)), prompt_start_ns=11)


@given(factor=FACTORS, batch=BATCHES)
def test_a_linear_time_is_scaled_within_half_a_femtosecond_a_part(factor: Fraction, batch: Batch) -> None:
    parts = 1 + batch.prefill_tok + batch.prefill_attended_tok + batch.decode_n + batch.decode_ctx_sum_tok
    assert abs(scaled(LINEAR, factor).time_fs(batch) - factor * LINEAR.time_fs(batch)) <= Fraction(parts, 2)


@given(factor=FACTORS)
def test_tables_are_scaled_entry_by_entry_and_nothing_computed_is_taken_over(factor: Fraction) -> None:
    def near(new: int, old: int) -> bool:
        return abs(new - factor * old) <= Fraction(1, 2)

    at = Batch((), 4, 2000, 500, 500)
    assert TABLE.time_fs(at) > 0
    assert GRID.time_fs(at) > 0
    table, grid = scaled(TABLE, factor), scaled(GRID, factor)
    assert isinstance(table, Table)
    assert isinstance(grid, Grid)
    assert all(map(near, (*table.step_fs, table.slopes_fs["prefill_tok"]), (*TABLE.step_fs, 400_000_000_001)))
    assert table.time_fs(at) == table.step_fs[1]
    old, new = ([*one.rest_ns, *one.step_ns, one.prompt_start_ns,
                 *chain(*one.decode_attention_ns, *one.prompt_attention_ns)] for one in (GRID, grid))
    assert all(map(near, new, old))
    assert grid.time_fs(at) == Grid.model_validate(grid.model_dump()).time_fs(at)


def row(quant: str, speed: Interval | None, **more: str) -> QualityRow:
    words = {"model": "tiny", "quant": quant, "engine": "llama.cpp", "version": "7", "kv_type": "f16", "gpus": "",
             "weights_id": f"of {quant}", "beware": "", "kl_kind": "", "speed_of": "tiny-27m, 1 in flight", **more}
    return QualityRow(words, {}, {} if speed is None else {"tok_per_s": speed})


F16, Q4_0, Q4_K_M = Interval(50, 40, 60, 3), Interval(125, 100, 150, 3), Interval(100, 100, 100, 1)
ROWS = (row("F16", F16), row("Q4_0", Q4_0), row("Q4_K_M", Q4_K_M, beware="speed is of tiny-27m"),
        row("Q8_0", Interval(9, 8, 10, 3), speed_of="tiny-27m, 4 in flight"), row("Q6_K", None))


def base(**more: Any) -> Profile:
    about = {"engine": "llama.cpp", "engine_version": "7", "model": "tiny-27m", "grown_from": "tiny", "quant": "F16",
             "kv_type": "f16", "weights_id": "of F16", **more.pop("subject", {})}
    return Profile(**{"source": "measured", "model": LINEAR, "subject": Subject(**about), **more})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write(ROWS, tmp_path / "speeds.csv")
    return tmp_path / "speeds.csv"


def test_the_derived_profile_is_exactly_the_measured_one_over_the_ratio(table: Path) -> None:
    before = base()
    found = derive(before, "q4_0", table)
    assert found.source == "derived"
    assert found.model == scaled(LINEAR, Fraction(2, 5))
    about = found.subject
    assert (about.quant, about.weights_id, about.grown_from, about.model) == ("Q4_0", "of Q4_0", "tiny", "tiny-27m")
    said = found.provenance["derived"]
    expected = ratio(F16, Q4_0)
    assert (said["time_factor_ppm"], said["times_faster"], said["n"]) == (400_000, 2.5, 3)
    assert (said["low"], said["high"]) == (round(expected.low, 6), round(expected.high, 6))
    assert (said["profile"]["sha256"], said["profile"]["quant"]) == (before.sha256, "F16")
    assert said["speed"]["file"] == "speeds.csv"
    assert (said["speed"]["base"]["tok_per_s"], said["speed"]["wanted"]["tok_per_s"]) == (50, 125)
    assert found.sha256 != before.sha256
    assert found.thin[0].startswith("not measured: every time of the F16 profile, divided by 2.50 (")


def test_a_mix_of_a_grown_model_has_no_weights_id_and_one_repeat_no_spread(table: Path) -> None:
    found = derive(base(kv_blocks=9), "Q4_K_M", table)
    assert (found.subject.quant, found.subject.weights_id) == ("Q4_K_M", "")
    assert "divided by 2.00 (n 1, no spread)" in found.thin[0]
    assert "speed is of tiny-27m" in found.thin
    assert "KV blocks are those beside F16" in found.thin
    own = derive(base(subject={"model": "tiny", "grown_from": ""}), "Q4_K_M", table)
    assert own.subject.weights_id == "of Q4_K_M"


@pytest.mark.parametrize(("more", "quant", "said"), [
    ({"source": "silicon"}, "Q4_0", "source is silicon, not measured"),
    ({"subject": {"weights_id": "else"}}, "Q4_0", "has no row of tiny-27m F16 on llama.cpp with KV f16"),
    ({"subject": {"engine": "vllm"}}, "Q4_0", "has no row of tiny-27m F16 on vllm"),
    ({}, "Q2_K", "has no tok_per_s of Q2_K on llama.cpp; it has those of F16, Q4_0"),
    ({}, "Q6_K", "has no tok_per_s of Q6_K"),
    ({}, "F16", "nothing is to be derived"),
    ({}, "Q8_0", "no ratio between loads"),
    ({"model": Kernels.model_construct(kind="kernels")}, "Q4_0", "'kernels' is not scaled"),
])
def test_what_cannot_be_derived_is_one_line(more: dict[str, Any], quant: str, said: str, table: Path) -> None:
    made = base(**{key: value for key, value in more.items() if key != "model"})
    made = made.model_copy(update={"model": more["model"]}) if "model" in more else made
    with pytest.raises(UsageError, match=said):
        derive(made, quant, table)


def test_the_interval_of_a_ratio_is_near_that_of_the_runs_themselves() -> None:
    import numpy as np

    slow, fast = np.array([98.0, 100.0, 102.0, 101.0]), np.array([240.0, 250.0, 262.0])
    found = ratio(t_interval(slow), t_interval(fast))
    runs = independent(np.log(slow), np.log(fast)).interval()
    assert (np.log(found.low), np.log(found.high)) == pytest.approx((runs.low, runs.high), abs=0.004)
    assert found.n == 3
    assert ratio(t_interval(fast), t_interval(slow)).low == pytest.approx(1 / found.high)


def test_the_command_writes_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "q4.json"
    main(["profile", "derive", "example-cpu-f16", "--quant", "Q4_0", "--out", str(out), "--json"])
    shown, kept, measured = json.loads(capsys.readouterr().out), read(out), read(given_path("example-cpu-f16"))
    assert shown["sha256"] == kept.sha256
    factor = Fraction(kept.provenance["derived"]["time_factor_ppm"], 1_000_000)
    assert kept.model == scaled(measured.model, factor)
    # the shipped Q4_0 profile has the weights that the derived one says it speaks of
    assert kept.subject.weights_id == read(given_path("example-cpu-q4_0")).subject.weights_id
