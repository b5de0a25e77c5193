"""`workbench profile list`, `show`, `export`, `silicon`: what ships, by name, and what a watch counts on a grid."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cli.main import main
from workbench.profile.batch import Batch
from workbench.profile.listing import axes, best, decode_rows
from workbench.profile.locate import given_path, profile_path, shipped
from workbench.profile.model import Linear
from workbench.profile.profile import Profile, Subject, read
from workbench.profile.ranges import ProfileRangeError, Range, Ranges, RangeWatch
from workbench.report.surface import surface_page

NAME = "llama-3.1-8b-h100-tp1-bf16"


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    main(["profile", *map(str, words)])
    return capsys.readouterr().out


def failed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["profile", *map(str, words)])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_list_filters_and_shows_source_split_blocks_and_rate(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run(capsys, "list", "--model", "llama-3.1-70B", "--gpu", "h100", "--json"))["profiles"]
    assert {row["split"] for row in rows} == {"TP2", "TP4", "TP8"}  # one H100 does not hold it
    assert {row["source"] for row in rows} == {"silicon"}
    assert all(row["kv_blocks"] and row["best"]["tok_per_s"] > 0 and row["thin"] for row in rows)
    measured = json.loads(run(capsys, "list", "--source", "measured", "--json"))["profiles"]
    assert measured
    assert all(row["source"] == "measured" for row in measured)
    assert any("iterations were measured" in text for row in measured for text in row["thin"])
    text = run(capsys, "list", "--model", "8b", "--gpu", "l40s")
    assert "llama-3.1-8b-l40s-tp8-bf16" in text
    assert "Modelled, not measured" in text
    assert "no profile that ships matches" in failed(capsys, "list", "--gpu", "abacus")


def test_the_best_rate_is_within_what_fits() -> None:
    profile = Profile(
        source="measured", model=Linear(coefficients_fs={"step": 10**13}), kv_blocks=1000, rules={"max_num_seqs": 256},
        ranges=Ranges(bounds={"decode_n": Range(low=1, high=512)}, regions={"decode": 1}),
    )
    assert (best(profile).decodes, best(profile).tok_per_s) == (15, 1500.0)  # 16,000 tokens of cache, 1,024 each
    roomy = profile.model_copy(update={"kv_blocks": 10**6})
    assert best(roomy).decodes == 256


def test_shipped_names_are_found_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert given_path(NAME) == shipped()[NAME] == profile_path(NAME, tmp_path, "s.toml", "fleet.profile")
    assert "did you mean" in failed(capsys, "show", "llama-3-1-8b-h100-tp1-bf16")
    mine = tmp_path / "mine.json"
    mine.write_text(shipped()[NAME].read_text())
    assert read(given_path(str(mine))) == read(given_path(NAME))


def test_show_says_where_it_is_thin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "show", NAME, "--html", tmp_path / "surface.html")
    for part in ("silicon", "1 x h100_sxm, TP1", "KV blocks of 16", "aiconfigurator-core", "Where it is thin",
                 "several prompts", "decode step, 64 sequences", "kernel times alone", "Decode time (ms)"):
        assert part in " ".join(text.split())  # wherever the table wraps
    page = (tmp_path / "surface.html").read_text()
    assert '"type": "surface"' in page
    assert "default-src 'none'" in page
    assert "Source: silicon" in page


def test_a_hostile_name_stays_text() -> None:
    evil = "<script>alert(1)</script>"
    profile = read(shipped()[NAME]).model_copy(update={"subject": Subject(model=evil), "thin": (evil,)})
    assert evil not in surface_page(profile)


def test_compare_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, "compare", NAME, "llama-3.1-8b-h200-tp1-bf16", "--json"))
    ratios = {item["name"]: item["ratio"] for item in found["figures"]}
    assert ratios["decode step, 256 sequences"] < 1  # more memory bandwidth
    run(capsys, "export", NAME, "--out", tmp_path / "grid")
    with (tmp_path / "grid" / "decode.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    profile = read(shipped()[NAME])
    for row in rows[::17]:
        n, ctx = int(row["decode_n"]), int(row["ctx_tok"])
        assert float(row["decode_ms"]) == pytest.approx(profile.iteration_ns(Batch((), n, n * ctx, ctx, ctx)) / 1e6)
        assert row["source"] == "silicon"
    assert (tmp_path / "grid" / "prefill.csv").read_text().count("\n") > 20
    assert "is there already" in failed(capsys, "export", NAME, "--out", tmp_path / "grid")


def test_silicon_writes_a_profile_and_refuses_what_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["silicon", "--model", "meta-llama/Llama-3.1-8B", "--gpu", "a100"]
    printed = json.loads(run(capsys, *words, "--kv-type", "bf16", "--out", tmp_path / "p.json", "--json"))
    assert read(tmp_path / "p.json").sha256 == printed["sha256"]
    assert "known there: bf16" in failed(capsys, *words, "--quant", "fp8", "--out", tmp_path / "q.json")
    assert not (tmp_path / "q.json").exists()


grids = st.sampled_from([NAME, "qwen3-32b-l40s-tp4-fp8"])


@given(name=grids, n=st.integers(1, 300), ctx=st.integers(1, 9000), k=st.integers(1, 300))
def test_a_profile_and_its_watch_tell_the_same_decode_times(name: str, n: int, ctx: int, k: int) -> None:
    profile = read(shipped()[name])
    watch = RangeWatch(profile)
    singly = [profile.iteration_ns(Batch((), n, n * (ctx + i), ctx + i, ctx + i)) for i in range(k)]
    assert profile.decode_times_ns(n, n * ctx, ctx, ctx, k).tolist() == singly
    line = profile.decode_line(n, n * ctx, ctx, ctx)
    assert line is not None
    assert line.times_ns(min(k, line.steps)).tolist() == singly[:line.steps]
    assert watch.lockstep_ns((Batch((), n, n * ctx, ctx, ctx), Batch())) == singly[0]


def test_a_watch_splits_a_jump_where_the_range_ends() -> None:
    profile = Profile(
        source="measured", model=Linear(coefficients_fs={"step": 10**12}),
        ranges=Ranges(bounds={"decode_n": Range(low=1, high=8), "decode_ctx_sum_tok": Range(low=80, high=100),
                              "ubatch_n": Range(low=1, high=1)}, regions={"decode": 1}),
    )
    counting = RangeWatch(profile)
    counting.decoded(4, 74, 8)  # 74, 78 | 82, 86, 90, 94, 98 | 102
    assert counting.report() == {
        "iterations": 8, "outside": 3, "outside_frac": 3 / 8, "fields": {"decode_ctx_sum_tok": 3},
        "furthest": {"decode_ctx_sum_tok": 102}}
    strict = RangeWatch(profile, strict=True)
    strict.decoded(4, 82, 5)
    with pytest.raises(ProfileRangeError, match="decode_ctx_sum_tok 102"):
        strict.decoded(4, 82, 6)
    assert decode_rows(profile, (4,), (30,))[0]["inside"] is False


def test_show_names_whose_range_it_is_and_marks_what_lies_outside(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "show", NAME)
    assert "Range of the source" in text
    assert "easured range" not in text
    profile = read(shipped()[NAME])
    decodes, contexts = axes(profile)
    rows = decode_rows(profile, decodes, [ctx for ctx in contexts if ctx >= 128][::2])
    outside = [row for row in rows if not row["inside"]]
    assert 0 < len(outside) < len(rows)
    assert text.count("*") == len(outside) + 1  # and the line that says what the mark means
    assert "* outside the range of the source" in text


def test_compare_heads_both_sides_and_says_where_sources_differ(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "compare", NAME, "example-cpu-q8_0")
    about = read(shipped()[NAME]).subject
    for part in (about.model, about.quant, about.hardware, "TP1", "source silicon", "source measured", "tiny-27m",
                 "note: the sources differ (silicon against measured)", "own time between iterations is not in it"):
        assert part in " ".join(text.split())  # wherever the lines wrap
    value = json.loads(run(capsys, "compare", NAME, "llama-3.1-8b-h200-tp1-bf16", "--json"))
    assert value["notes"] == []
    assert "h200_sxm TP1" in value["sides"][1]


PIECES = st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 9_000)), max_size=4)


@given(name=st.sampled_from(sorted(shipped())), pieces=PIECES, n=st.integers(0, 300), ctx=st.integers(1, 9000))
def test_a_mixed_iteration_takes_the_same_without_its_batch(
    name: str, pieces: list[tuple[int, int]], n: int, ctx: int
) -> None:
    profile = read(shipped()[name])
    batch = Batch(tuple(pieces), n, n * ctx, ctx, ctx)
    assert profile.mixed_ns(pieces, n, n * ctx, ctx, ctx) == profile.iteration_ns(batch)
