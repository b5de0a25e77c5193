"""Trace readers: exact to the last digit, one line for a bad row, and the operations that shape a trace."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.config import validate
from workbench.errors import ConfigError, UsageError
from workbench.workload.draw import draw
from workbench.workload.spec import Columns, WorkloadSpec
from workbench.workload.traces import Trace, read_csv, read_jsonl

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROWS = "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:46.6805901,396,109\n2023-11-17 00:00:00,879,55"


def file(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def spec(**raw: Any) -> WorkloadSpec:
    return validate(WorkloadSpec, raw, "w.toml")


def test_seven_fractional_digits_are_kept(tmp_path: Path) -> None:
    trace = read_csv(file(tmp_path, HEAD + ROWS))
    seconds_to_midnight = (5 * 3600 + 44 * 60 + 14) * 10**9
    assert trace.arrival_ns.tolist() == [0, 100, seconds_to_midnight - 680_590_000]
    assert trace.prompt_tok.tolist() == [374, 396, 879]
    assert trace.output_tok.tolist() == [44, 109, 55]


def test_byte_order_mark_crlf_and_time_zones_are_read(tmp_path: Path) -> None:
    text = "\ufeff" + HEAD + "2024-05-10 02:00:00.5+02:00,1,1\n2024-05-10T00:00:00.25Z,2,2\n"
    trace = read_csv(file(tmp_path, text.replace("\n", "\r\n")))
    assert trace.arrival_ns.tolist() == [0, 250_000_000]  # sorted by time
    assert trace.prompt_tok.tolist() == [2, 1]


@pytest.mark.parametrize(("unit", "values", "expected"), [
    ("s", ["1.5", "1.500000001", "2"], [0, 1, 500_000_000]), ("ms", ["0", "0.1", "3"], [0, 100_000, 3_000_000]),
    ("us", ["7", "8", "9"], [0, 1000, 2000]), ("ns", ["5", "6", "9"], [0, 1, 4]),
])
def test_a_column_map_reads_any_csv(tmp_path: Path, unit: str, values: list[str], expected: list[int]) -> None:
    columns = validate(Columns, {"time": "t", "prompt_tok": "in", "output_tok": "out", "unit": unit}, "c")
    text = "out,t,in\n" + "".join(f"{i + 1},{value},{i + 10}\n" for i, value in enumerate(values))
    trace = read_csv(file(tmp_path, text), columns)
    assert trace.arrival_ns.tolist() == expected
    assert trace.prompt_tok.tolist() == [10, 11, 12]


@pytest.mark.parametrize(("row", "message"), [
    ("2023-11-16 18:15:46.68x,1,1", "line 5: TIMESTAMP: '2023-11-16 18:15:46.68x' is not a time (datetime)"),
    ("2023-13-16 18:15:46,1,1", "line 5: TIMESTAMP: '2023-13-16 18:15:46' is not a time (datetime)"),
    ("2023-11-16 18:15:46,1.5,1", "line 5: ContextTokens: '1.5' is not a whole number of at least 1"),
    ("2023-11-16 18:15:46,-4,1", "line 5: ContextTokens: '-4' is not a whole number of at least 1"),
    ("2023-11-16 18:15:46,4,0", "line 5: GeneratedTokens: '0' is not a whole number of at least 1"),
    ("2023-11-16 18:15:46,4", "line 5: GeneratedTokens: '' is not a whole number of at least 1"),
    ("", ""),
])
def test_a_corrupt_row_is_one_line_with_its_number(tmp_path: Path, row: str, message: str) -> None:
    path = file(tmp_path, HEAD + ROWS + "\n" + row + "\n")
    if not message:
        assert len(read_csv(path)) == 3  # an empty line is no row
        return
    with pytest.raises(ConfigError) as caught:
        read_csv(path)
    assert str(caught.value) == f"trace.csv: {message}"


@pytest.mark.parametrize("text", ["", HEAD, "a,b\n1,2\n", HEAD + "2023-11-16 18:15:46," + "9" * 200_000 + ",1\n"])
def test_files_that_are_no_trace_are_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_csv(file(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("trace.csv: ")


def test_bytes_that_are_no_text_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a text file"):
        read_csv(tmp_path / "trace.csv")
    with pytest.raises(UsageError, match="no such trace"):
        read_csv(tmp_path / "none.csv")


def test_json_lines(tmp_path: Path) -> None:
    rows = [{"timestamp": t, "input_length": 9, "output_length": 2, "hash_ids": [1]} for t in (0, 1.5, 4)]
    text = "\n".join(map(json.dumps, rows))
    assert read_jsonl(file(tmp_path, text)).arrival_ns.tolist() == [0, 1_500_000, 4_000_000]
    for bad, message in (("{", "line 4: not valid JSON"), ("[1]", "line 4: timestamp: no such field"),
                         ('{"timestamp": true, "input_length": 1, "output_length": 1}', "line 4: timestamp: 'True'"),
                         ('{"timestamp": NaN, "input_length": 1, "output_length": 1}', "line 4: timestamp: 'nan'")):
        with pytest.raises(ConfigError, match=message):
            read_jsonl(file(tmp_path, text + "\n" + bad))


def made(n: int = 4000, seed: int = 1) -> Trace:
    rng = np.random.default_rng(seed)
    return Trace(np.cumsum(rng.integers(1, 10**9, n)), rng.integers(1, 900, n), rng.integers(1, 300, n))


def test_parts_put_together_are_the_whole() -> None:
    trace = made()
    cuts = [trace.part(start, 200.0) for start in np.arange(0, 2200, 200.0)]
    joined = np.concatenate([part.arrival_ns + round(start * 1e9) for part, start in
                             zip(cuts, np.arange(0, 2200, 200.0), strict=True)])
    assert joined.tolist() == trace.arrival_ns.tolist()
    assert np.concatenate([part.prompt_tok for part in cuts]).tolist() == trace.prompt_tok.tolist()


def test_scaling_to_a_rate_gives_that_rate_and_keeps_the_order_of_gaps() -> None:
    trace = made()
    fast = trace.at_rate(40.0)
    assert fast.rate_per_s == pytest.approx(40.0, rel=1e-9)
    ratio = np.diff(trace.arrival_ns) / np.diff(fast.arrival_ns)
    assert np.ptp(ratio) / ratio.mean() < 1e-4  # every gap shrinks alike, to the nanosecond
    with pytest.raises(UsageError, match="no rate"):
        trace.first(1).at_rate(1.0)


def thinning_holds(thin: Any) -> bool:
    """A thinner trace is a part of a thicker one, and keeps about its share (3 sigma over 20 seeds)."""
    trace = made()
    shares = []
    for seed in range(20):
        third, half = (set(thin(trace, frac, seed).arrival_ns.tolist()) for frac in (1 / 3, 1 / 2))
        if not third <= half:
            return False
        shares.append(len(half) / len(trace))
    return bool(abs(np.mean(shares) - 0.5) < 3 * np.sqrt(0.25 / len(trace) / 20))


def test_thinning() -> None:
    assert thinning_holds(lambda trace, frac, seed: trace.thin(frac, seed))
    assert made().thin(1.0, 3).arrival_ns.tolist() == made().arrival_ns.tolist()

    def every_kth(trace: Trace, frac: float, _seed: int) -> Trace:  # the mutant: its parts are not nested
        keep = np.arange(0, len(trace), round(1 / frac))
        return Trace(trace.arrival_ns[keep], trace.prompt_tok[keep], trace.output_tok[keep])

    assert not thinning_holds(every_kth)


def test_a_workload_from_a_trace(tmp_path: Path) -> None:
    file(tmp_path, HEAD + ROWS)
    trace = {"file": "trace.csv", "format": "azure", "take_s": 60.0}
    found = draw(spec(trace=trace), 1, base=tmp_path)
    assert [(p.intended_ns, p.asked_prompt_tok, p.asked_output_tok) for p in found] == [(0, 374, 44), (100, 396, 109)]
    cut = draw(spec(trace=trace | {"max_prompt_tok": 380, "max_output_tok": 50, "speed": 0.5}), 1, base=tmp_path)
    assert [(p.intended_ns, p.asked_prompt_tok, p.asked_output_tok) for p in cut] == [(0, 374, 44), (200, 380, 50)]
    closed = draw(spec(trace=trace, arrivals={"kind": "closed"}), 1, base=tmp_path)
    assert [(p.intended_ns, p.asked_prompt_tok) for p in closed] == [(None, 374), (None, 396)]
    regular = draw(spec(trace=trace, arrivals={"kind": "fixed", "rate_per_s": 1}), 1, base=tmp_path)
    assert [(p.intended_ns, p.asked_prompt_tok) for p in regular] == [(0, 374), (10**9, 396)]
    assert len(draw(spec(trace=trace, requests=1), 1, base=tmp_path)) == 1
    with pytest.raises(UsageError, match="requests 3 asked, 2 there"):
        draw(spec(trace=trace, requests=3), 1, base=tmp_path)
    with pytest.raises(UsageError, match="no request in the part"):
        draw(spec(trace=trace | {"start_s": 1000}), 1, base=tmp_path)


@pytest.mark.parametrize(("changes", "part"), [
    ({"columns": {"time": "a", "prompt_tok": "b", "output_tok": "c"}}, "columns are given for"),
    ({"format": "csv"}, "columns are given for"), ({"speed": 1, "rate_per_s": 1}, "rate_per_s or speed"),
    ({"keep_frac": 0}, "greater than 0"), ({"format": "xls"}, "xls"),
])
def test_bad_trace_tables(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        spec(trace={"file": "t.csv", "format": "azure"} | changes)
    with pytest.raises(ConfigError, match="a trace brings its lengths"):
        spec(trace={"file": "t.csv", "format": "azure"}, prompt_tok={"kind": "fixed", "tok": 1})


def test_azure_as_published(public_data: Path) -> None:
    trace = read_csv(public_data / "traces" / "AzureLLMInferenceTrace_conv.csv")
    assert len(trace) == 19_366
    assert trace.arrival_ns[1] == 4_314_579_000  # 18:15:50.9951690 - 18:15:46.6805900
    assert trace.arrival_ns[-1] == (58 * 60 + 21) * 10**9 + 721_937_000
    assert (int(trace.prompt_tok[-1]), int(trace.output_tok[-1])) == (197, 183)


def test_azure_at_another_rate(public_data: Path) -> None:
    source = {"file": "traces/AzureLLMInferenceTrace_conv.csv", "format": "azure", "rate_per_s": 2.0, "take_s": 600}
    found = draw(spec(trace=source), 1, base=public_data)
    span_ns = (found[-1].intended_ns or 0) - (found[0].intended_ns or 0)
    assert (len(found) - 1) / (span_ns / 1e9) == pytest.approx(2.0, rel=1e-9)


def test_mooncake_as_published(public_data: Path) -> None:
    trace = read_jsonl(public_data / "traces" / "mooncake_synthetic_trace.jsonl")
    assert len(trace) == 3_993
    assert trace.arrival_ns[-1] == 1_022_025 * 10**6
    assert (int(trace.prompt_tok[0]), int(trace.output_tok[0])) == (40_160, 6)
