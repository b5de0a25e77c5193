"""Imports: benchmarks of a known machine give that machine back, in every format; damaged rows are named by place."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.rules import from_facts
from workbench.errors import UsageError
from workbench.profile import llama_bench, splitwise
from workbench.profile.batch import Batch
from workbench.profile.points import DecodePoint, PromptPoint, fit
from workbench.profile.profile import SHIPPED_MAX_BYTES, Profile

MS = 1_000_000


def prompt_ns(batch: Batch) -> float:
    """A machine whose times the points' model can express: 5 ms, 0.8 ms a token, 20 ns a pair."""
    return 5 * MS + 0.8 * MS * batch.prefill_tok + 20 * batch.prefill_attended_tok


def decode_ns(batch: Batch) -> float:
    return 10 * MS + 2 * MS * batch.decode_n + 300 * batch.decode_ctx_sum_tok


def prompt(pieces: int, new: int, past: int = 0) -> PromptPoint:
    found = PromptPoint(pieces, new, past, 0)
    return PromptPoint(pieces, new, past, prompt_ns(found.batch))


def decode(n: int, low: int, high: int) -> DecodePoint:
    return DecodePoint(n, low, high, decode_ns(DecodePoint(n, low, high, 0).batch))


PROMPTS = [prompt(1, 128), prompt(1, 512), prompt(1, 2048), prompt(1, 512, 4096), prompt(4, 512)]
DECODES = [decode(1, 0, 128), decode(1, 4096, 4224), decode(4, 128, 256), decode(16, 128, 256)]


def test_the_machine_behind_the_points_is_found() -> None:
    found = fit(PROMPTS, DECODES)
    for point in (*PROMPTS, *DECODES):
        assert found.grid.time_fs(point.batch) / 1e6 == pytest.approx(point.ns, rel=1e-4)
    assert found.reproduces["decode"]["max_abs_frac"] < 1e-4
    unseen = Batch((), 10, 20_000, 2000, 2000)
    assert found.grid.time_fs(unseen) / 1e6 == pytest.approx(decode_ns(unseen), rel=1e-3)
    long = Batch(((2048, 4096),))
    assert found.grid.time_fs(long) / 1e6 == pytest.approx(prompt_ns(long), rel=1e-3)


def test_a_mutant_that_ignores_context_would_be_seen() -> None:
    """Without the points at depth the slope is not there, and the error at depth is large: the test above can fail."""
    blind = fit([p for p in PROMPTS if not p.past_tok and p.pieces == 1], [d for d in DECODES if d.low_tok < 4096])
    deep = Batch((), 1, 4160, 4160, 4160)
    assert blind.grid.time_fs(deep) / 1e6 < 0.95 * decode_ns(deep)
    assert any("no cost of longer context" in sentence for sentence in blind.thin)


@given(noise=st.lists(st.floats(0.8, 1.25), min_size=9, max_size=9))
def test_noise_never_makes_more_work_faster(noise: list[float]) -> None:
    """Grid refuses tables that fall; whatever the noise, one is made."""
    prompts = [PromptPoint(p.pieces, p.new_tok, p.past_tok, p.ns * f) for p, f in zip(PROMPTS, noise, strict=False)]
    decodes = [DecodePoint(d.decodes, d.low_tok, d.high_tok, d.ns * f) for d, f in zip(DECODES, noise[5:], strict=True)]
    found = fit(prompts, decodes)
    times = [found.grid.time_fs(Batch((), n, n * 300, 300, 300)) for n in range(1, 40)]
    assert times == sorted(times)
    assert found.reproduces["prefill"]["max_abs_frac"] < 0.6


def test_one_decode_at_a_time_is_said_to_be_thin() -> None:
    found = fit(PROMPTS, DECODES[:2])
    assert any("only 1 sequence(s)" in sentence for sentence in found.thin)
    eight = found.grid.time_fs(Batch((), 8, 512, 64, 64))
    assert found.grid.time_fs(Batch((), 1, 64, 64, 64)) < eight < found.grid.time_fs(Batch(((128, 0),)))


def test_half_a_benchmark_is_no_profile() -> None:
    with pytest.raises(UsageError, match="no decodes are in it"):
        fit(PROMPTS, [])
    with pytest.raises(UsageError, match="no prompts are in it"):
        fit([], DECODES)


# --- llama-bench: invented runs of the machine above, printed as the tool prints them

SETUP = {"build_commit": "abc1234", "build_number": 9999, "cpu_info": "Invented CPU", "gpu_info": "Invented GPU",
         "backends": "Vulkan", "model_filename": "/somewhere/of/mine/tiny-Q4_K_M.gguf",
         "model_type": "llama 1B Q4_K - Medium", "model_size": 668788096, "model_n_params": 1100048384, "n_batch": 2048,
         "n_ubatch": 512, "n_threads": 8, "type_k": "f16", "type_v": "f16", "n_gpu_layers": 99, "flash_attn": True}


def result(new: int, made: int, depth: int = 0, **changes: Any) -> dict[str, Any]:
    total = prompt(1, new, depth).ns if new else 0.0
    total += made * decode(1, depth + new, depth + new + made).ns if made else 0.0
    return {**SETUP, "n_prompt": new, "n_gen": made, "n_depth": depth, "avg_ns": round(total), "stddev_ns": 1000,
            "avg_ts": (new + made) * 1e9 / total, "samples_ns": [round(total)] * 3, **changes}


RESULTS = [result(128, 0), result(512, 0), result(2048, 0), result(512, 0, 4096), result(0, 128), result(0, 128, 4096),
           result(512, 128)]


def printed(form: str, results: list[dict[str, Any]]) -> str:
    flat = [{key: value for key, value in item.items() if not isinstance(value, list)} for item in results]
    if form == "json":
        return json.dumps(results, indent=2)
    if form == "jsonl":
        return "loading the model ...\n" + "".join(json.dumps(item) + "\n" for item in results)
    if form == "csv":
        lines = [",".join(flat[0])] + [",".join(f'"{value}"' for value in item.values()) for item in flat]
        return "\n".join(lines) + "\n"
    head = "| model | size | params | backend | ngl | test | t/s |\n| --- | ---: | ---: | --- | --: | ---: | ---: |\n"
    return head + "".join(
        f"| llama 1B Q4_K - Medium | 0.62 GiB | 1.10 B | Vulkan | 99 | {name(item)} | {item['avg_ts']:.6f} ± 0.10 |\n"
        for item in flat
    ) + "\nbuild: abc1234 (9999)\n"


def name(item: dict[str, Any]) -> str:
    parts = [f"pp{item['n_prompt']}" if item["n_prompt"] else "", f"tg{item['n_gen']}" if item["n_gen"] else ""]
    return "+".join(part for part in parts if part) + (f" @ d{item['n_depth']}" if item["n_depth"] else "")


def batched(form: str, sizes: tuple[int, ...] = (1, 4, 16)) -> str:
    rows = [{"n_kv_max": 8192, "n_batch": 2048, "n_ubatch": 512, "is_pp_shared": 0, "n_gpu_layers": 99, "pp": 128,
             "tg": 128, "pl": n, "n_kv": n * 256, "t_pp": prompt(n, 128).ns / 1e9,
             "t_tg": 128 * decode(n, 128, 256).ns / 1e9} for n in sizes]
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    head = "|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |\n"
    lines = [f"| {r['pp']} | {r['tg']} | {r['pl']} | {r['n_kv']} | {r['t_pp']:.6f} | 1 | {r['t_tg']:.6f} | 1 | 1 | 1 |"
             for r in rows]
    return head + "|-------|--------|------|--------|----------|\n" + "\n".join(lines) + "\n"


def written(folder: Path, **texts: str) -> list[Path]:
    paths = [folder / key.replace("_", ".") for key in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "md"])
@pytest.mark.parametrize("together", ["jsonl", "md"])
def test_every_format_gives_the_machine_back(tmp_path: Path, form: str, together: str) -> None:
    found = llama_bench.load(written(tmp_path, a_txt=printed(form, RESULTS), b_txt=batched(together)))
    for batch in (Batch((), 4, 4 * 192), Batch((), 16, 16 * 1000), Batch((), 1, 4160)):
        assert found.iteration_ns(batch) == pytest.approx(decode_ns(batch), rel=2e-3)
    for batch in (Batch(((512, 4096),)), Batch(((2048, 0),)), Batch(((128, 0),) * 4)):
        assert found.iteration_ns(batch) == pytest.approx(prompt_ns(batch), rel=2e-3)
    imported = found.provenance["imported"]
    assert imported["held_out"]["prompt_then_decode"]["max_abs_frac"] < 2e-3  # pg rows were not fitted
    assert [item["rows_used"] for item in imported["files"]] == [7, 3]
    assert all(len(item["sha256"]) == 64 for item in imported["files"])
    assert (found.source, found.subject.quant, from_facts(found.rules).max_running) == ("imported", "Q4_K_M", 16)
    assert len(found.to_json().encode()) < SHIPPED_MAX_BYTES


def test_no_folder_of_somebodys_machine_is_kept(tmp_path: Path) -> None:
    found = llama_bench.load(written(tmp_path, a_json=printed("json", RESULTS)))
    assert found.subject.model == "tiny-Q4_K_M"
    assert "/somewhere" not in found.to_json()


def test_set_ups_are_not_mixed(tmp_path: Path) -> None:
    both = RESULTS + [{**item, "n_threads": 4, "avg_ns": item["avg_ns"] * 2} for item in RESULTS]
    paths = written(tmp_path, a_json=printed("json", both))
    with pytest.raises(UsageError, match=r"n_threads is 8 \| 4; choose one with --where n_threads='8'"):
        llama_bench.load(paths)
    four = llama_bench.load(paths, where={"n_threads": "4"})
    assert four.iteration_ns(Batch(((512, 0),))) == pytest.approx(2 * prompt_ns(Batch(((512, 0),))), rel=0.01)
    assert four.provenance["imported"]["files"][0]["left_out"] == {"not chosen by --where": 7}
    with pytest.raises(UsageError, match="no row matches n_threads=3"):
        llama_bench.load(paths, where={"n_threads": "3"})
    with pytest.raises(UsageError, match="--where threds: no such column"):
        llama_bench.load(paths, where={"threds": "8"})


@pytest.mark.parametrize(("form", "change", "message"), [
    ("json", {"avg_ns": 0}, r"a\.json: result 2: avg_ns: '0' must be above 0"),
    ("json", {"avg_ns": None}, "result 2: avg_ns: '' is no number"),
    ("json", {"n_prompt": -5}, "result 2: n_prompt: '-5' must be a whole number"),
    ("json", {"n_prompt": 0}, "both 0"),
    ("jsonl", {"avg_ns": "nan"}, r"a\.json:3: avg_ns: 'nan'"),
    ("csv", {"avg_ns": "soon"}, r"a\.json:3: avg_ns: 'soon' is no number"),
    ("md", {"avg_ts": float("inf")}, r"a\.json:4: t/s: 'inf' is no speed"),
])
def test_a_damaged_result_is_named_by_place_and_column(tmp_path: Path, form: str, change: dict[str, Any],
                                                       message: str) -> None:
    results = [RESULTS[0], {**RESULTS[1], **change}, *RESULTS[2:]]
    with pytest.raises(UsageError, match=message):
        llama_bench.load(written(tmp_path, a_json=printed(form, results)))


@pytest.mark.parametrize("text", ["", "hello", "[1, 2]", "[{]", "{", "[" * 100_000, "| a | b |\n", "\x00\x01"])
def test_what_is_no_benchmark_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        llama_bench.load(written(tmp_path, a_json=text))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("a.json")


def test_a_cut_csv_row_is_refused(tmp_path: Path) -> None:
    text = printed("csv", RESULTS)
    lines = text.splitlines()
    lines[3] = lines[3][: len(lines[3]) // 2]
    with pytest.raises(UsageError, match=r"a\.csv:4: .* fields where the header names"):
        llama_bench.load(written(tmp_path, a_csv="\n".join(lines)))


@pytest.mark.parametrize(("column", "value", "said"), [
    ("avg_ns", "fast", "avg_ns: 'fast' is no number"), ("n_prompt", "5.5", "n_prompt: '5.5' must be a whole number"),
    ("n_gen", "-1", "n_gen: '-1' must be a whole number"), ("samples_n", "x", "samples_n: 'x' must be a whole number"),
])
def test_a_bad_number_in_csv_names_line_and_column(tmp_path: Path, column: str, value: str, said: str) -> None:
    row = {"n_prompt": "512", "n_gen": "0", "n_depth": "0", "avg_ns": "1e9", "samples_n": "5"}
    text = "\n".join(",".join(items) for items in (row, row.values(), (row | {column: value}).values()))
    with pytest.raises(UsageError, match=rf"a\.csv:3: {said}"):
        llama_bench.load(written(tmp_path, a_csv=text))


# --- Splitwise

COLUMNS = "model,hardware,prompt_size,batch_size,token_size,peak_power,average_power,prompt_time,token_time,e2e_time,"


def splitwise_file(folder: Path, **change: str) -> Path:
    """Rows of the machine above; `change` alters the one on line 3."""
    path = folder / "perf.csv"
    header = (COLUMNS + "tensor_parallel").split(",")
    rows = []
    for pieces, new in ((1, 128), (1, 512), (1, 1024), (2, 512), (4, 512), (8, 512)):
        first, each = prompt(pieces, new).ns / MS, decode(pieces, new, new + 128).ns / MS
        rows.append(["llama2-70b", "h100-80gb", new, pieces, 128, 0.0, 0.0, first, each, first + 128 * each, 4])
    rows.append([*rows[-1][:3], 64, *rows[-1][4:9], 40 * rows[-1][9], 4])  # served in waves
    rows.append(["llama2-70b", "a100-80gb", *rows[0][2:]])
    table = [dict(zip(header, map(str, row), strict=True)) for row in rows]
    table[1] |= change
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, header)
        writer.writeheader()
        writer.writerows(table)
    return path


def test_splitwise_rows_give_the_machine_back(tmp_path: Path) -> None:
    found = splitwise.load(splitwise_file(tmp_path), 4)
    for pieces, new in ((1, 128), (8, 512), (1, 1024)):
        assert found.iteration_ns(prompt(pieces, new).batch) == pytest.approx(prompt(pieces, new).ns, rel=1e-3)
    assert found.iteration_ns(Batch((), 8, 8 * 576)) == pytest.approx(decode(8, 512, 640).ns, rel=0.03)
    imported = found.provenance["imported"]
    assert imported["rows_used"] == 6
    assert sorted(imported["left_out"].values()) == [1, 1]
    assert found.check(Batch((), 64, 64 * 600)) is not None  # what was left out does not count as measured


@pytest.mark.parametrize(("change", "message"), [
    ({"prompt_time": "-1"}, r"perf\.csv:3: prompt_time: '-1' must be above 0"),
    ({"token_time": ""}, r"perf\.csv:3: token_time: '' is no number"),
    ({"batch_size": "1.5"}, r"perf\.csv:3: batch_size: '1.5' must be a whole number"),
    ({"prompt_size": "0"}, r"perf\.csv:3: prompt_size"), ({"e2e_time": "inf"}, r"perf\.csv:3: e2e_time"),
])
def test_a_corrupt_row_is_named(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        splitwise.load(splitwise_file(tmp_path, **change), 4)


def test_a_choice_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no usable row .* 3; there are llama2-70b on h100-80gb with 4"):
        splitwise.load(splitwise_file(tmp_path), 3)


@pytest.mark.parametrize(("tp", "prefill", "decode_frac", "rows"), [
    (2, 0.011, 0.004, 100), (4, 0.028, 0.010, 105), (8, 0.038, 0.018, 105),
])
def test_the_real_file_reproduces_itself(public_data: Path, tp: int, prefill: float, decode_frac: float,
                                         rows: int) -> None:
    """Mean absolute error on the file's own rows, as docs/hardware.md states; five were served in waves at TP 2."""
    found: Profile = splitwise.load(public_data / "silicon" / "splitwise_llama2-70b_h100.csv", tp)
    imported = found.provenance["imported"]
    assert imported["rows_used"] == rows
    assert imported["reproduces"]["prefill"]["mean_abs_frac"] == pytest.approx(prefill, abs=0.002)
    assert imported["reproduces"]["decode"]["mean_abs_frac"] == pytest.approx(decode_frac, abs=0.002)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-10**20, 10**20), st.floats(), st.text(max_size=8),
                   st.lists(st.integers(), max_size=2))


def refused_in_one_line_or_read(folder: Path, text: str) -> None:
    path = folder / "fuzz.txt"
    path.write_text(text, encoding="utf-8", errors="replace")
    refusal = "fuzz.txt: a line"
    try:
        llama_bench.load([path])
    except UsageError as error:
        refusal = str(error)
    assert refusal.startswith("fuzz.txt")
    assert "\n" not in refusal


@given(row=st.integers(0, 6), column=st.sampled_from([*RESULTS[0]]), value=VALUES)
def test_any_wrong_value_is_one_line_or_none(tmp_path_factory: pytest.TempPathFactory, row: int, column: str,
                                             value: Any) -> None:
    """Whatever stands in one field: a profile, or one line; never another error."""
    results = [{**item, **({column: value} if i == row else {})} for i, item in enumerate(RESULTS)]
    refused_in_one_line_or_read(tmp_path_factory.getbasetemp(), printed("jsonl", results))


@given(form=st.sampled_from(["json", "csv", "md", "batched"]), at=st.integers(0, 6000), cut=st.integers(0, 30),
       put=st.text(max_size=5))
def test_any_damage_to_the_text_is_one_line_or_none(tmp_path_factory: pytest.TempPathFactory, form: str, at: int,
                                                    cut: int, put: str) -> None:
    text = batched("md") if form == "batched" else printed(form, RESULTS)
    at %= len(text)
    refused_in_one_line_or_read(tmp_path_factory.getbasetemp(), text[:at] + put + text[at + cut:])
