"""The quality table and greedy agreement: read back as written, retained shares, near ties; published figures."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import UsageError
from workbench.flows.quality_speculative import greedy, variants
from workbench.paths import datasets
from workbench.quality.distance.greedy import Answer, agreement
from workbench.quality.published import distances, speeds
from workbench.quality.table import QualityRow, Score, read, retained, write
from workbench.stats.intervals import Interval


def row(quant: str, weights_id: str, low: float, engine: str = "llama.cpp") -> QualityRow:
    words = {"model": "tiny", "quant": quant, "engine": engine, "version": "1", "kv_type": "f16",
             "weights_id": weights_id, "gpus": "", "beware": "", "kl_kind": "exact", "speed_of": ""}
    score = Score(Interval(0.5, 0.25, 0.75, 8), 1.0, low)
    return QualityRow(words, {"bytes": 1024.0, "flips": 0.0}, {"kl_mean": Interval(0.5, 0.25, 0.75, 9)}, {"t": score})


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path, rows = tmp_path / "t.csv", (row("F16", "a", 1.0), row("Q4_0", "b", 0.875))
    write(rows, path)
    assert read(path) == rows
    assert [item.label for item in read(path)] == ["F16", "Q4_0"]
    text = path.read_text()
    lines = [",".join(cells[:6] + cells[7:]) for line in text.splitlines() if (cells := line.split(","))]
    path.write_text("\n".join(lines))
    assert read(path) == rows, "a table of before there was a column gpus"
    path.write_text(text.replace("0.875", "much"))
    with pytest.raises(UsageError, match=r"t.csv:3: t_retained_low: 'much' is no number"):
        read(path)
    path.write_text("model,quant\nm,q\n")
    with pytest.raises(UsageError, match="engine: the column is missing"):
        read(path)


def test_the_page_shows_the_committed_table() -> None:
    """Shares, intervals and n of every quantisation on llama.cpp, and the flips of its four tasks together."""
    tasks = ("tiny_cloze", "tiny_four_choice", "tiny_question", "tiny_code")
    known = {row.label: row for row in read(datasets() / "quality" / "tiny_world.csv")}
    text = (Path(__file__).parents[2] / "docs/quality/index.md").read_text(encoding="utf-8")
    head = next(line for line in text.splitlines() if line.startswith("| quantisation | cloze"))
    assert [int(n) for n in re.findall(r"n (\d+)", head)] == [known["F16"].tasks[name].share.n for name in tasks]
    cell = r" ([\d.]+) \(([\d.]+) to ([\d.]+)\)(?:, (\d+))? \|"
    shown = re.findall(rf"^\| (\w+) \|({cell * 4})$", text, re.MULTILINE)
    assert [quant for quant, *_ in shown] == ["F16", "Q8_0", "Q4_0", "Q3_K_M", "Q2_K", "TQ2_0"]
    for quant, _, *cells in shown:
        shares = [known[quant].tasks[name].share for name in tasks]
        assert [tuple(cells[at:at + 3]) for at in range(0, 16, 4)] == [
            tuple(f"{end:.3f}" for end in (share.mean, share.low, share.high)) for share in shares]
        assert sum(int(flipped or 0) for flipped in cells[3::4]) == known[quant].values["flips"]


def test_what_is_retained_is_of_the_weights_and_of_the_engine_that_keeps_least() -> None:
    rows = (row("F16", "a", 1.0), row("Q4_0", "b", 0.97), row("Q4_0", "b", 0.93, "vllm-cpu"))
    assert retained(rows, "t", "b", "f16") == 0.93
    assert retained(rows, "t", "b", "q8_0") is None, "another KV type is another question"
    assert retained(rows, "t", "c", "f16") is None
    assert retained((*rows, row("", "", 0.9)), "t", "", "f16") is None, "nobody knows which weights those are"
    with pytest.raises(UsageError, match="no task 'u' in the quality table; it has t"):
        retained(rows, "u", "a", "f16")


TOKENS = st.lists(st.integers(0, 2), max_size=6)


@given(st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=6))
def test_answers_turn_where_they_first_differ(both: list[tuple[list[int], list[int]]]) -> None:
    base = [Answer(tuple(one), tuple(0.01 * (i + 1) for i in range(len(one)))) for one, _ in both]
    found = agreement(base, [Answer(tuple(other)) for _, other in both])
    differ = [number for number, (one, other) in enumerate(both) if one != other]
    assert [turn.prompt for turn in found.turns] == differ
    for turn in found.turns:
        one, other = both[turn.prompt]
        assert one[:turn.at_tok] == other[:turn.at_tok]
        assert one[turn.at_tok:turn.at_tok + 1] != other[turn.at_tok:turn.at_tok + 1]
    assert found.same.mean == pytest.approx(1 - len(differ) / len(both))


def test_a_turn_at_a_near_tie_is_no_decided_one() -> None:
    base = [Answer((1, 2), (3.0, 0.04)), Answer((1, 2), (3.0, 0.06)), Answer((1,), (1.0,))]
    found = agreement(base, [Answer((1, 0), (), 4, 1), Answer((1, 0), (), 4, 3), Answer((1, 5))])
    assert [turn.near_tie for turn in found.turns] == [True, False, False], "one answer ended: no margin is known"
    assert (found.decided, found.acceptance_frac) == (2, 0.5)


def test_speculation_and_a_smaller_cache_on_a_real_engine() -> None:
    asked = variants("llama.cpp", ["draft"], ["q8_0"], "tiny:Q4_0", 3)
    found = greedy("llama.cpp", "tiny", "F16", asked, most_prompts=6, most_tok=12)
    guess, cache = found["rows"]
    assert guess["n"] == 6
    assert 0.3 < guess["acceptance_frac"] <= 1
    assert guess["decided"] == 0, "speculation never changes a decided answer"
    assert cache["acceptance_frac"] is None
    assert found["provenance"]["engine"] == "llama.cpp"


def test_bad_questions_about_greedy_answers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --speculative or --kv-type"):
        variants("llama.cpp", [], [], "", 4)
    with pytest.raises(UsageError, match="name the small model with --draft"):
        variants("llama.cpp", ["draft"], [], "", 4)
    with pytest.raises(UsageError, match="engine 'fake'"):
        greedy("fake", "tiny", "", {"KV q8_0": {}})
    (tmp_path / "p.jsonl").write_text('{"text": 1}\n')
    with pytest.raises(UsageError, match=r"p.jsonl: not JSON objects with a column 'prompt'"):
        greedy("llama.cpp", "tiny", "F16", {"KV q8_0": {}}, prompts=tmp_path / "p.jsonl")


def test_published_figures_say_where_they_are_from() -> None:
    far, fast = distances(), speeds()
    assert len(far) == len(fast) == 12
    assert {(item.source.partition(" ")[0], item.licence) for item in (*far, *fast)} == {
        ("github.com/ggml-org/llama.cpp", "MIT")}
    by = {item.quant: item.kl_mean for item in far if not item.imatrix}
    assert by["F16"] < by["Q8_0"] < by["Q6_K"] < by["Q5_K_M"] < by["Q4_K_M"] < by["Q4_0"] < by["Q3_K_M"] < by["Q2_K"]
    sizes = [item.size_gib for item in fast]
    assert sizes == sorted(sizes, reverse=True)


def test_published_figures_are_those_of_the_source(public_data: Path) -> None:
    import csv

    with (public_data / "quality" / "llamacpp_llama3_8b_kld.csv").open() as handle:
        known = {(line["quantization"].upper(), line["imatrix"]): line for line in csv.DictReader(handle)}
    for item in distances():
        line = known[item.quant, "WT 10m" if item.imatrix else "None"]
        assert (item.kl_mean, item.perplexity) == (float(line["kld"]), float(line["ppl"]))


