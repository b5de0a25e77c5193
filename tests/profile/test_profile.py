"""The profile file: round trip, hash, versions, size, rounding, ranges."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profile.made import samples, small
from workbench.errors import ConfigError, Failure
from workbench.profile.batch import Batch
from workbench.profile.figures import compare, context_tok, figures
from workbench.profile.fit import fit
from workbench.profile.model import Linear, Table, to_ns
from workbench.profile.profile import Overhead, Profile, Subject, from_json, read, write, write_shipped
from workbench.profile.ranges import ProfileRangeError, Ranges, RangeWatch
from workbench.profile.samples import region_of

GOLDEN = Path(__file__).parent / "golden" / "profile-1.json"
GOLDEN_SHA256 = "5dcdfa80d2829c9b2310d986e93c8b7eb4f768481ff59d58e9f582d172cc81d1"


def whole() -> Profile:
    return fit(
        samples(small, 200, noise_frac=0.1), rules={"slots": 4, "n_batch": 512}, kv_blocks=256,
        overheads=[Overhead(name="http_in", ns=1_000_000, occupies_engine=False)],
        subject=Subject(engine="llama.cpp", model="tiny-27m", quant="Q8_0"), provenance={"workbench": "0.1.0"},
    )


def test_json_round_trip_is_equal_and_so_is_the_hash(tmp_path: Path) -> None:
    profile = whole()
    again = read(write(profile, tmp_path / "p.json"))
    assert again == profile
    assert again.sha256 == profile.sha256
    assert again.to_json() == profile.to_json()


def test_the_hash_is_of_content_not_of_layout() -> None:
    profile = whole()
    shuffled = json.dumps(dict(reversed(json.loads(profile.to_json()).items())), indent=4)
    assert from_json(shuffled).sha256 == profile.sha256
    changed = json.loads(profile.to_json())
    changed["rules"]["slots"] = 5
    assert from_json(json.dumps(changed)).sha256 != profile.sha256


def test_golden_file_of_schema_1_is_read_as_it_was() -> None:
    profile = read(GOLDEN)
    assert profile.sha256 == GOLDEN_SHA256
    assert profile.iteration_ns(Batch(((100, 0),), 3, 900, 400, 200)) == 96_600_000
    assert profile.iteration_ns(Batch((), 4, 900, 400, 200)) == 8_400_000
    assert (profile.kv_blocks, profile.overhead_ns("http_in"), profile.rules) == (256, 1_000_000, {"slots": 4})


@pytest.mark.parametrize(("change", "message"), [
    ({"schema": 2}, "p.json: profile schema 2; this version reads 1 to 1; upgrade the workbench"),
    ({"schema": True}, "p.json: profile schema True"), ({"schema": None}, "p.json: profile schema None"),
    ({"kind": "workbench.run-log"}, "p.json: not a profile"),
])
def test_other_versions_and_kinds_are_refused_naming_both(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Failure) as caught:
        from_json(json.dumps(json.loads(GOLDEN.read_text()) | change), "p.json")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("change", "part"), [
    ({"model": {"kind": "linear", "coefficients_fs": {"step": -1}}}, "-1: input should be greater"),
    ({"model": {"kind": "linear", "coefficients_fs": {"step": 1.5}}}, "1.5: "),
    ({"model": {"kind": "linear", "coefficients_fs": {"stepp": 1}}}, "stepp"),
    ({"model": {"kind": "table", "decode_n": [1, 2], "step_fs": [5, 4]}}, "never faster"),
    ({"model": {"kind": "table", "decode_n": [2, 1], "step_fs": [4, 5]}}, "decode_n must increase"),
    ({"model": {"kind": "table", "decode_n": [1], "step_fs": [4, 5]}}, "differ in length"),
    ({"model": {"kind": "table", "decode_n": [1], "step_fs": [4], "slopes_fs": {"decode_n": 1}}}, "no slopes"),
    ({"model": {"kind": "table", "decode_n": [10**9], "step_fs": [4]}}, "less than or equal"),
    ({"ranges": {"bounds": {"decode_n": {"low": 3, "high": 2}}}}, "low is above high"),
    ({"kv_block": 3}, "did you mean 'kv_blocks'?"), ({"source": "guessed"}, "guessed"),
])
def test_hand_made_nonsense_is_one_line(change: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_json(json.dumps(json.loads(GOLDEN.read_text()) | change), "p.json")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_json_is_one_line() -> None:
    with pytest.raises(Failure, match=r"p.json: not valid JSON"):
        from_json("{", "p.json")
    with pytest.raises(Failure, match=r"p.json: not a profile"):
        from_json("[1]", "p.json")


def test_forty_runs_stay_under_20_kb_and_a_bloated_file_does_not_ship(tmp_path: Path) -> None:
    made = [item for k in range(40) for item in samples(small, 25, seed=k, noise_frac=0.1, run=f"live-{k}" + "x" * 99)]
    assert len(fit(made).to_json().encode()) <= 20_000
    with pytest.raises(Failure, match="20000 at most"):
        write_shipped(fit(made, provenance={"note": "x" * 20_000}), tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()


@pytest.mark.parametrize(("time_fs", "time_ns"), [
    (0, 1), (499_999, 1), (1_499_999, 1), (1_500_000, 2), (2_499_999, 2), (10**15, 10**9),
])
def test_rounding_rule(time_fs: int, time_ns: int) -> None:
    assert to_ns(time_fs) == time_ns


@given(knots=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 10**12)), min_size=1, max_size=8,
                      unique_by=lambda item: item[0]))
def test_a_table_passes_through_its_knots_and_never_falls(knots: list[tuple[int, int]]) -> None:
    at = sorted(n for n, _ in knots)
    steps = sorted(step for _, step in knots)
    table = Table(decode_n=tuple(at), step_fs=tuple(steps))
    times = [table.time_fs(Batch((), n)) for n in range(100)]
    assert all(times[n] == step for n, step in zip(at, steps, strict=True))
    assert all(a <= b for a, b in pairwise(times))


def test_table_between_before_and_beyond_its_knots() -> None:
    table = Table(decode_n=(2, 4), step_fs=(100, 200), slopes_fs={"prefill_tok": 7})
    assert [table.time_fs(Batch((), n)) for n in (0, 2, 3, 4, 6)] == [100, 100, 150, 200, 300]
    assert table.time_fs(Batch(((3, 0), (2, 9)), 4)) == 235
    assert table.uses == {"decode_n", "prefills"}


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(0, 900)), max_size=3), st.integers(0, 9),
       st.integers(0, 9000), st.integers(1, 5))
def test_linear_is_the_sum_it_says(prefills: list[tuple[int, int]], n: int, ctx: int, ubatches: int) -> None:
    one = Batch(tuple(prefills), n, ctx, ctx, 0, ubatches)
    linear = Linear(coefficients_fs={"step": 3, "extra_ubatch": 5, "prefill_tok": 7, "prefill_attended_tok": 11,
                                     "decode_n": 13, "decode_ctx_sum_tok": 17})
    attended = sum(past + k + 1 for new, past in prefills for k in range(new))
    new = sum(tok for tok, _ in prefills)
    assert linear.time_fs(one) == 3 + 5 * (ubatches - 1) + 7 * new + 11 * attended + 13 * n + 17 * ctx
    assert Linear(coefficients_fs={"step": 3, "decode_n": 0}).uses == frozenset()


MEASURED = (Batch(((10, 0),)), Batch(((200, 0),)), Batch((), 1, 50, 50, 50), Batch((), 4, 800, 300, 100))


@pytest.mark.parametrize(("one", "why"), [
    (Batch(((100, 0),)), None), (Batch((), 2, 400, 200, 200), None),
    (Batch(((300, 0),)), "prefill_tok 300 is outside the measured range (10 to 200)"),
    (Batch(((9, 0),)), "prefill_tok 9 is outside the measured range (10 to 200)"),
    (Batch((), 5, 800, 300, 100), "decode_n 5 is outside the measured range (1 to 4)"),
    (Batch((), 4, 801, 300, 100), "decode_ctx_sum_tok 801 is outside the measured range (50 to 800)"),
    (Batch(((100, 0),), 1, 50, 50, 50), "region mixed is outside the measured range (prefill, decode)"),
    (Batch(((100, 512),)), "prefill_past_max_tok 512 is outside the measured range (none above 0)"),
])
def test_check_names_field_value_and_range(one: Batch, why: str | None) -> None:
    profile = Profile(source="measured", model=Linear(coefficients_fs={"step": 5}), ranges=Ranges.of(MEASURED))
    assert profile.check(one) == why
    strict = RangeWatch(profile, strict=True)
    if why is None:
        assert strict.iteration_ns(one) == profile.iteration_ns(one)
    else:
        with pytest.raises(ProfileRangeError) as caught:
            strict.iteration_ns(one)
        assert str(caught.value).startswith(why)


def test_every_measured_batch_is_inside() -> None:
    made = samples(small, 300)
    reach = Ranges.of(item.batch for item in made)
    assert [reach.outside(item.batch) for item in made] == [None] * 300
    assert sum(reach.regions.values()) == 300


def test_uses_outside_the_range_are_answered_and_counted() -> None:
    model = Linear(coefficients_fs={"step": 10**6, "prefill_tok": 10**6})
    watch = RangeWatch(Profile(source="measured", model=model, ranges=Ranges.of(MEASURED)))
    for tok in (10, 300, 250, 3):
        assert watch.iteration_ns(Batch(((tok, 0),))) == 1 + tok
    watch.iteration_ns(Batch(((10, 0),), 1, 50, 50, 50))
    assert watch.report() == {
        "iterations": 5, "outside": 4, "outside_frac": 0.8, "fields": {"prefill_tok": 3, "region mixed": 1},
        "furthest": {"prefill_tok": 300},
    }


def test_region_of_a_batch() -> None:
    assert [region_of(item) for item in (Batch(((1, 0),)), Batch((), 1), Batch(((1, 0),), 1), Batch())] == [
        "prefill", "decode", "mixed", "decode"]


def test_figures_and_comparison_by_hand() -> None:
    profile = read(GOLDEN)
    found = {item.name: (item.value, item.inside) for item in figures(profile)}
    assert found["decode step, 4 sequences"] == (8.4, True)
    assert found["decode step, 8 sequences"] == (15.6, False)
    assert found["prefill, 64 tokens alone"][0] == pytest.approx(64 / 0.0588)
    half = from_json(GOLDEN.read_text().replace("1800000000000", "900000000000"))
    ratios = {item.name: item.ratio for item in compare(profile, half)}
    assert ratios["decode step, 4 sequences"] == pytest.approx(4.8 / 8.4)
    assert ratios["prefill, 64 tokens alone"] == 1.0
    assert context_tok(Profile(source="roofline", model=Linear(coefficients_fs={"step": 1}))) == 256
