"""Kernel tables: hand-computed cells, holes, skew, collectives, and what is wrong in a file."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_tables import LAYERS, attention_us, config, dense_us, expert_us, head_us, tables

from workbench.errors import UsageError, WorkbenchError
from workbench.profile.batch import Batch
from workbench.profile.kernels.curve import Curve
from workbench.profile.kernels.fill import fill
from workbench.profile.kernels.link import Link
from workbench.profile.kernels.load import load
from workbench.profile.kernels.model import Kernels, equivalent
from workbench.profile.kernels.moe import Experts
from workbench.profile.kernels.skew import BEYOND, Skew, read_skew
from workbench.profile.profile import Profile, from_json

LINK = Link(bytes_per_s=16 * 10**9, latency_ns=20_000)


def kernels(profile: Profile) -> Kernels:
    assert isinstance(profile.model, Kernels)
    return profile.model


@pytest.fixture
def plain(tmp_path: Path) -> Profile:
    return load(tables(tmp_path), config(tmp_path), host_ns=0)


def step_us(tokens: int, sequences: int, *, layer_kernels: int = 4) -> float:
    """Embedding once; layernorm twice and o_proj, down_proj once a layer; the head once."""
    return dense_us(tokens) * (1 + LAYERS * layer_kernels) + head_us(sequences)


def test_a_decode_step_is_the_sum_of_its_kernels(plain: Profile) -> None:
    found_us = plain.iteration_ns(Batch((), 16, 16 * 500, 500, 500)) / 1000
    assert found_us == pytest.approx(step_us(16, 16) + LAYERS * attention_us(0, 0, 16, 500), rel=1e-4)


def test_a_mixed_step_is_the_sum_of_its_kernels(plain: Profile) -> None:
    found_us = plain.iteration_ns(Batch(((112, 512),), 16, 16 * 500, 500, 500)) / 1000
    assert found_us == pytest.approx(step_us(128, 17) + LAYERS * attention_us(112, 512, 16, 500), rel=1e-4)


def test_the_host_is_waited_for_only_where_no_graph_is_replayed(tmp_path: Path) -> None:
    perf, model = tables(tmp_path), config(tmp_path)
    without, with_host = (load(perf, model, host_ns=ns, graph_tok=64) for ns in (0, 7_000))
    for batch, more in ((Batch((), 64, 6400, 100, 100), 0), (Batch((), 65, 6500, 100, 100), 7_000)):
        assert with_host.iteration_ns(batch) - without.iteration_ns(batch) == more


def test_a_tile_begun_counts_in_full_and_wide_gaps_are_straight_lines() -> None:
    curve = Curve(at=(1, 16, 32, 128), ps=(100, 200, 400, 1360))
    assert [curve.value_ps(x) for x in (0, 1, 2, 16, 17, 32, 80, 128, 224)] == [
        100, 100, 200, 200, 400, 400, 880, 1360, 2320]
    assert Curve(at=(1, 64), ps=(500, 400)).value_ps(1000) == 400  # noise at the end is not carried on


def test_beyond_the_last_point_the_upper_half_goes_on_not_its_last_tile() -> None:
    """A line of 10 ps a token in tiles of 16, whose last two points are level, or fall, as measured ones do."""
    at = tuple(range(16, 257, 16))
    for last in (2560, 2400, 2390):
        curve = Curve(at=at, ps=(*[10 * x for x in at[:-1]], last))
        assert curve.value_ps(1024) == last + (last - 1280) * 768 // 128
        assert curve.value_ps(1024) > 3 * last
    assert Curve(at=(200, 256), ps=(5, 61)).value_ps(300) == 61 + 44  # no point in the lower half


def test_attention_of_a_prompt_beyond_the_tables_grows_with_its_square(plain: Profile) -> None:
    attention = kernels(plain).attention
    most_us, tok = 1 + 0.1 * 2048, 2048
    for past in (0, 1024):
        times = 8192 * past + 8192 * 8193 / 2, tok * past + tok * (tok + 1) / 2
        expected = (most_us + 0.001 * past) * times[0] / times[1]
        assert attention.mixed_ps(8192, past, 0, 0)[0] / 1e6 == pytest.approx(expected, rel=1e-6)
        beside = attention.mixed_ps(8192, past, 32, 1000)[0] - attention.mixed_ps(8192, past, 0, 0)[0]
        assert beside / 1e6 == pytest.approx(0.01 * 32 * 1000, rel=1e-6)  # the decodes beside it count once
    assert attention.mixed_ps(2048.001, 0, 8, 500)[0] == pytest.approx(attention.mixed_ps(2048, 0, 8, 500)[0], rel=1e-5)


def test_beyond_the_tables_attention_never_falls() -> None:
    falling = SKEWED.attention.model_copy(update={"ps": tuple(10**6 - 100 * i for i in range(SKEWED_CELLS))})
    inside, beyond = falling.mixed_ps(64, 0, 32, 2048)[0], falling.mixed_ps(64, 0, 320, 20_480)[0]
    assert beyond >= inside
    assert (falling.decode_row_ps(320) >= falling.decode_row_ps(32)).all()


def test_what_the_tables_hold_is_inside_the_range_of_the_profile(plain: Profile) -> None:
    assert plain.check(Batch(((512, 0), (100, 64)), 64, 64 * 800, 900, 100)) is None
    assert plain.check(Batch((), 1, 500, 500, 500)) is None
    assert plain.check(Batch(((2048, 1024),))) is None
    assert "prefill_tok 2049" in str(plain.check(Batch(((2049, 0),))))
    assert "prefill_n 257" in str(plain.check(Batch(((1, 0),) * 257)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 50))
def test_holes_in_a_product_are_filled_exactly(seed: int, slope: int, rise: int) -> None:
    """Whatever lies between measured cells of a function that is linear on each axis comes out exactly."""
    axes = (0, 1, 4, 9), (0, 2, 3, 11, 20)
    grid = np.array([[5.0 + slope * x + rise * x * y for y in axes[1]] for x in axes[0]])
    wanted, pick = grid.copy(), random.Random(seed)
    inner = [(i, j) for i in range(4) for j in range(1, 4)]
    for i, j in pick.sample(inner, 7):
        grid[i, j] = np.nan
    found, counts = fill(grid, axes, (1, 0))
    assert np.allclose(found, wanted)
    assert counts == (20, 13, 7, 0)


def test_outside_the_measured_cells_the_last_slope_goes_on_and_never_falls() -> None:
    nan = np.nan
    found, counts = fill(np.array([[nan, 10.0, 30.0, nan], [8.0, 6.0, nan, nan]]), ((0, 1), (0, 1, 2, 4)), (1, 0))
    assert found[0].tolist() == [10.0, 10.0, 30.0, 70.0]
    assert found[1].tolist() == [8.0, 6.0, 6.0, 6.0]
    assert counts.beyond == 4


def test_cells_that_are_missing_are_counted(plain: Profile) -> None:
    filled = kernels(plain).attention.filled
    assert filled.cells == 3 * 2 * 4 * 4
    assert filled.measured == 3 * 3 + 2 * 2 * (1 + 3 * 3)
    assert f"{filled.measured} of {filled.cells} cells measured" in plain.thin[0]


def test_several_prompts_attend_to_their_own_tokens_only() -> None:
    assert equivalent(Batch(((100, 30),))) == (100, 30.0)
    new, past = equivalent(Batch(((1000, 0), (1000, 0))))
    assert past == 0
    assert new * (new + 1) / 2 == pytest.approx(1000 * 1001)
    new, past = equivalent(Batch(((1000, 4000), (1000, 0))))
    assert new == 2000
    assert new * past + new * (new + 1) / 2 == pytest.approx(1000 * 4000 + 1000 * 1001)


def test_skew_is_looked_up_by_bucket(tmp_path: Path) -> None:
    path = tables(tmp_path, skew=True) / "tp1" / "skew_fit.csv"
    skew = read_skew(path, 0.02)
    assert skew.alpha(0, 0, 4, 100, 900, 0) == 5000  # rate 100 / 900 = 11 %
    assert skew.alpha(0, 0, 8, 360, 900, 0) == 5000  # 40 %, inclusive
    assert skew.alpha(0, 0, 8, 361, 900, 0) == -2500
    assert skew.alpha(0, 0, 9, 100, 1024, 0) == 1000
    assert skew.alpha(0, 0, 4, 100, 1025, 0) == 15_000
    assert skew.alpha(0, 0, 9, 800, 900, 0) == 200  # a bucket that was not measured: the default
    assert skew.alpha(0, 0, 1, 500, 500, 500) == skew.alpha(0, 0, 8, 500, 500, 500) == 0
    assert read_skew(path, None).default == round(10_000 * (0.5 * 4 - 0.25 * 4 + 0.1 * 2 + 1.5 * 2) / 12)


def test_skew_moves_the_time_from_the_mean_towards_the_largest(tmp_path: Path) -> None:
    model = kernels(load(tables(tmp_path, skew=True), config(tmp_path)))
    alike = model.attention_fs(Batch((), 4, 4 * 100, 100, 100))
    longest = model.attention_fs(Batch((), 4, 4 * 900, 900, 900))
    assert model.attention_fs(Batch((), 4, 4 * 100, 900, 0)) == alike + (longest - alike) // 2
    middle = model.attention_fs(Batch((), 4, 4 * 500, 500, 500))
    assert model.attention_fs(Batch((), 4, 4 * 500, 900, 0)) == middle + -(longest - middle) // 4  # alpha below 0


def test_no_skew_where_the_longest_is_not_slower(tmp_path: Path) -> None:
    perf = tables(tmp_path, skew=True)
    path = perf / "tp1" / "attention.csv"
    head, *cells = path.read_text().splitlines()
    flat = [line.rsplit(",", 1)[0] + ",9.0" for line in cells]
    path.write_text("\n".join([head, *flat]) + "\n")
    model = kernels(load(perf, config(tmp_path)))
    assert model.attention_fs(Batch((), 4, 400, 900, 0)) == model.attention_fs(Batch((), 4, 400, 100, 100))


@given(st.data())
def test_many_decode_iterations_are_those_of_one_at_a_time(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from((SKEWED, SKEWED.model_copy(update={"ranks": 2}))))
    n = data.draw(st.sampled_from((1, 2, 5, 8, 9, 33, 40)))
    longest = data.draw(st.one_of(st.integers(985, 1030), st.integers(1, 2100)))  # where a bucket ends
    shortest = data.draw(st.integers(1, max(1, longest // 2)))
    contexts = [longest, *data.draw(st.lists(st.integers(shortest, longest), min_size=n - 1, max_size=n - 1))]
    k = data.draw(st.integers(1, 60))
    times = model.decode_times_ns(n, sum(contexts), max(contexts), min(contexts), k)
    single = [model.iteration_ns(Batch((), n, sum(contexts) + n * i, max(contexts) + i, min(contexts) + i))
              for i in range(k)]
    assert times.tolist() == single


def _skewed() -> Kernels:
    """Steps of uneven height over the context, so that an index off by one shows."""
    attention = {"chunk_tok": (0, 64), "past_tok": (0,), "decode_n": (0, 1, 32), "context_tok": (0, 16, 1024, 2048)}
    places = [(c, n, at) for c in (1, 2) for n in (0, 1, 32) for at in (0, 16, 1024, 2048)]
    ps = [c * (3 + n) * (7 + n * at + at * at // 9) + 1 for c, n, at in places]
    skew = Skew(table=((0, 8, 40, 1024, 0, 5000), (0, 8, BEYOND, 1024, 0, -2500), (0, BEYOND, 40, 1024, 0, 1000),
                       (0, 8, 40, BEYOND, 0, 15_000)), default=300)
    head = {"times": 1, "curve": {"at": (1,), "ps": (5,)}}
    return Kernels.model_validate({
        "layers": 3, "hidden_bytes": 64, "over_tokens": {"norm": head}, "over_sequences": {"head": head},
        "attention": attention | {"ps": ps}, "skew": skew.model_dump()})


SKEWED = _skewed()
SKEWED_CELLS = len(SKEWED.attention.ps)


def test_the_comparison_would_notice_an_index_off_by_one() -> None:
    late = SKEWED.decode_times_ns(7, 7 * 900 + 7, 1001, 801, 40)
    single = [SKEWED.iteration_ns(Batch((), 7, 7 * (900 + i), 1000 + i, 800 + i)) for i in range(40)]
    assert (late != np.array(single)).all()


def test_a_changed_copy_forgets_what_the_original_remembers(plain: Profile) -> None:
    batch = Batch((), 4, 400, 100, 100)
    before, model = plain.iteration_ns(batch), kernels(plain)
    assert model.model_copy(update={"host_ns": 9, "graph_tok": 0}).iteration_ns(batch) == before + 9


def test_collectives_are_the_textbook_ring() -> None:
    assert LINK.all_reduce_ns(1_600_000, 2) == 2 * (20_000 + 50_000)
    assert LINK.all_reduce_ns(1_600_000, 4) == 6 * (20_000 + 25_000)
    assert LINK.all_gather_ns(1_600_000, 2) == LINK.reduce_scatter_ns(1_600_000, 2) == 70_000
    assert LINK.all_reduce_ns(1_600_000, 1) == 0


def test_tensor_parallelism_adds_two_sums_a_layer(tmp_path: Path) -> None:
    perf, model, batch = tables(tmp_path, tps=(1, 2)), config(tmp_path), Batch((), 16, 1600, 100, 100)
    one, two = load(perf, model, host_ns=0), load(perf, model, 2, link=LINK, host_ns=0)
    assert two.iteration_ns(batch) - one.iteration_ns(batch) == 2 * LAYERS * LINK.all_reduce_ns(16 * 512 * 2, 2)
    assert (two.subject.gpus, two.parallel.tp) == (2, 2)


def test_experts_reached_and_shared() -> None:
    curves = tuple(Curve(at=(1, 64), ps=(1000 * a, 1000 * a + 630)) for a in (1, 2, 4, 8))
    all_here = Experts(number=8, per_tok=2, activated=(1, 2, 4, 8), curves=curves)
    assert all_here.reached(1) == pytest.approx(2)
    assert all_here.reached(2) == pytest.approx(2 + 2 * 6 / 8)
    assert all_here.reached(200) == pytest.approx(8)
    assert all_here.value_ps(1) == 2000
    half = all_here.model_copy(update={"shards": 2})
    assert half.reached(2) == pytest.approx(3.5 / 2)
    assert half.value_ps(128) == pytest.approx(4000 + 630, rel=1e-3)  # every second expert, half of the pairs
    assert all_here.split(2).value_ps(1) == 1000


def test_ranks_in_lock_step_wait_for_the_slowest_and_share_the_experts(tmp_path: Path) -> None:
    perf, path = tables(tmp_path, moe=True), config(tmp_path, moe=True)
    model = kernels(load(perf, path, ranks=2, expert_parallel=True, link=LINK, host_ns=0))
    long, short = Batch((), 64, 64 * 800, 800, 800), Batch((), 16, 16 * 300, 300, 300)
    found_ns = model.lockstep_ns((long, short))
    experts_us = expert_us(40, 4)  # 80 tokens of both reach all 4 experts of a shard, half of the pairs each
    dense = dense_us(64) * (1 + LAYERS * 3) + head_us(64)
    sent_ns = LINK.all_gather_ns(2 * 64 * 1024, 2) + LINK.reduce_scatter_ns(2 * 64 * 1024, 2)
    wanted_us = dense + LAYERS * (attention_us(0, 0, 64, 800) + experts_us + sent_ns / 1000)
    assert found_ns / 1000 == pytest.approx(wanted_us, rel=1e-3)
    assert model.lockstep_ns((short, long)) == found_ns
    assert model.lockstep_ns((long,)) == model.lockstep_ns((long, Batch())) == model.iteration_ns(long) < found_ns


def test_a_profile_of_tables_is_written_and_read_again(tmp_path: Path) -> None:
    profile = load(tables(tmp_path, skew=True), config(tmp_path))
    again = from_json(profile.to_json())
    batch = Batch(((100, 0),), 7, 2100, 700, 100)
    assert again.sha256 == profile.sha256
    assert again.iteration_ns(batch) == profile.iteration_ns(batch)
    assert again.decode_line(4, 400, 100, 100) == profile.decode_line(4, 400, 100, 100)
    assert again.decode_times_ns(4, 400, 200, 50, 9).tolist() == profile.decode_times_ns(4, 400, 200, 50, 9).tolist()


@pytest.mark.parametrize(("file", "line", "text", "said"), [
    ("attention.csv", 3, "0,0,x,16,1.0", "attention.csv: line 3: n_decode is 'x'; it must be a whole number"),
    ("attention.csv", 2, "0,0,1,16,-1", "attention.csv: line 2: time_us is -1; a kernel takes more than 0 us"),
    ("attention.csv", 2, "0,0,1,16,nan", "attention.csv: line 2: time_us is nan; it must be finite"),
    ("attention.csv", 2, "0,0,1", "attention.csv: line 2: 5 cells do not fit the header"),
    ("dense.csv", 5, "embedding,0,3", "dense.csv: line 5: tokens is 0; it must be at least 1"),
    ("dense.csv", 1, "layer,tok,time_us", "dense.csv: line 1: column 'tokens' is missing"),
    ("skew_fit.csv", 2, "0,n~8,sr<=40%,kvB<=1k,kp=0,0.5,4", "skew_fit.csv: line 2: bucket 'n~8' is not like"),
])
def test_a_damaged_row_is_one_line(tmp_path: Path, file: str, line: int, text: str, said: str) -> None:
    perf = tables(tmp_path, skew=True)
    path = perf / "tp1" / file
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(WorkbenchError) as error:
        load(perf, config(tmp_path))
    assert str(error.value).startswith(f"tp1/{said}")
    assert "\n" not in str(error.value)


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    perf, dense = tables(tmp_path), config(tmp_path)
    for match, arguments in (("no tables for tensor parallelism 8; it has \\[1\\]", {"tp": 8, "link": LINK}),
                             ("share experts, and this model has none", {"ranks": 2, "link": LINK})):
        with pytest.raises(UsageError, match=match):
            load(perf, dense, **arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"no moe.csv under tp1 or tp1"):
        load(perf, config(tmp_path, moe=True))
    with pytest.raises(UsageError, match="needs the link's bandwidth"):
        load(tables(tmp_path / "more", tps=(1, 2)), dense, 2)
    with pytest.raises(UsageError, match="no such folder"):
        load(tmp_path / "absent", dense)


def test_experts_without_a_table_of_their_split_take_their_part_of_the_time(tmp_path: Path) -> None:
    profile = load(tables(tmp_path, tps=(1, 2), moe=True), config(tmp_path, moe=True), 2, link=LINK)
    assert "cut in 2 parts, not measured" in profile.thin[-1]
    experts = kernels(profile).experts
    assert experts is not None
    assert experts.value_ps(64) == pytest.approx(expert_us(64, 8) * 1e6 / 2, rel=1e-3)


PUBLIC = (
    ("RTX4090/meta-llama/Llama-3.1-8B", 1, 1, False), ("RTXPRO6000/meta-llama/Llama-3.1-8B", 2, 1, False),
    ("RTXPRO6000/Qwen/Qwen3-32B", 1, 1, False), ("RTXPRO6000/Qwen/Qwen3-32B", 2, 1, False),
    ("RTXPRO6000/Qwen/Qwen3-30B-A3B-Instruct-2507", 1, 1, False),
    ("RTXPRO6000/Qwen/Qwen3-30B-A3B-Instruct-2507", 2, 1, True),
    ("RTXPRO6000/Qwen/Qwen3-30B-A3B-Instruct-2507", 1, 2, True),
)


@pytest.mark.parametrize(("name", "tp", "ranks", "dealt"), [
    pytest.param(*case, marks=() if case[1:3] != (1, 1) else pytest.mark.slow) for case in PUBLIC])
def test_public_tables_give_sane_times(public_data: Path, name: str, tp: int, ranks: int, dealt: bool) -> None:
    """More sequences, more context and more prompt never take less time, and two accelerators never twice as long."""
    folder = public_data / "llmservingsim"
    profile = load(folder / "perf" / name / "bf16", folder / "configs/model" / f"{name.partition('/')[2]}.json", tp,
                   ranks=ranks, expert_parallel=dealt, link=LINK)
    decodes = [profile.iteration_ns(Batch((), n, n * 800, 800, 800)) for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)]
    contexts = [profile.iteration_ns(Batch((), 64, 64 * c, c, c)) for c in (100, 1000, 5000, 20_000)]
    prompts = [profile.iteration_ns(Batch(((new, 0),))) for new in (16, 128, 512, 1024, 2048)]
    for times in (decodes, contexts, prompts):
        assert all(a <= b * 1.01 for a, b in itertools.pairwise(times)), times
        assert times[0] > 1_000_000
    model = kernels(profile)
    dense_ps = [sum(kernel.value_ps(tokens) for kernel in model.over_tokens.values()) for tokens in (2048, 8192)]
    assert 3.0 < dense_ps[1] / dense_ps[0] < 4.5
    alone_fs = [model.attention_fs(Batch(((new, 0),))) for new in (2048, 8192)]
    assert 14 < alone_fs[1] / alone_fs[0] < 17  # four times as long, sixteen times as many pairs
    batch = Batch((), 64, 64 * 900, 2000, 100)
    many = profile.decode_times_ns(64, 64 * 900, 2000, 100, 3000)
    assert many[0] == profile.iteration_ns(batch)
    assert many[-1] > many[0]


def test_the_grid_of_the_validated_profile_is_a_quarter_full(public_data: Path) -> None:
    folder = public_data / "llmservingsim"
    profile = load(folder / "perf/RTXPRO6000/meta-llama/Llama-3.1-8B/bf16",
                   folder / "configs/model/meta-llama/Llama-3.1-8B.json")
    filled = kernels(profile).attention.filled
    assert (filled.cells, filled.measured) == (80_000, 19_364)
    assert filled.measured + filled.between + filled.beyond == filled.cells


def test_straight_lines_predict_attention_better_than_logarithmic_ones(public_data: Path) -> None:
    """Each measured cell between two others on the context axis, left out and predicted from them."""
    path = public_data / "llmservingsim/perf/RTXPRO6000/meta-llama/Llama-3.1-8B/bf16/tp1/attention.csv"
    cells: dict[tuple[int, ...], list[tuple[int, float]]] = {}
    for line in path.read_text().splitlines()[1:]:
        *place, context, time_us = line.split(",")
        cells.setdefault(tuple(map(int, place)), []).append((int(context), float(time_us)))
    straight, logarithmic = [], []
    for points in cells.values():
        points.sort()
        for (x0, y0), (x, y), (x1, y1) in zip(points, points[1:], points[2:], strict=False):
            straight.append(abs(y0 + (y1 - y0) * (x - x0) / (x1 - x0) - y) / y)
            if x0:
                logarithmic.append(abs(y0 + (y1 - y0) * np.log(x / x0) / np.log(x1 / x0) - y) / y)
    assert np.mean(straight) < 0.03 < 0.08 < np.mean(logarithmic)


@given(n=st.integers(1, 40), mean=st.integers(1, 2500), above=st.integers(0, 900), below=st.integers(0, 900))
def test_a_line_of_decodes_is_exact_as_far_as_it_says(n: int, mean: int, above: int, below: int) -> None:
    longest, least = (mean + above, max(1, mean - below)) if n > 1 else (mean, mean)
    line = SKEWED.decode_line(n, n * mean, longest, least)
    if line is None:
        return
    k = min(line.steps, 60)
    single = [SKEWED.iteration_ns(Batch((), n, n * (mean + i), longest + i, least + i)) for i in range(k)]
    assert line.times_ns(k).tolist() == single
