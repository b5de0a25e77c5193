"""`workbench bench` as its user meets it: exit codes, one-line errors, files, JSON."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from scripted import FINISH, Reply, serving, text, usage

from workbench.cli.bench import from_flags
from workbench.cli.main import main
from workbench.config import validate
from workbench.errors import UsageError
from workbench.flows.bench_spec import BenchSpec
from workbench.paths import data
from workbench.runlog.table import read

LENGTHS = ["--input-tok", "40", "--output-tok", "4"]
COMMAND = "import sys; from workbench.cli.main import main; main(sys.argv[1:])"


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Exit code, standard output, last line of standard error."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        main(["bench", *argv])
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    out, err = capsys.readouterr()
    return code, out, (err.strip().splitlines() or [""])[-1]


async def counting(reply: Reply) -> None:
    """A server with a tokenizer of its own: three tokens, and one and a half a word."""
    asked: Any = reply.asked.get("prompt") or reply.asked["messages"][0]["content"]
    n_tok = 3 + (3 * len(asked.split())) // 2 if isinstance(asked, str) else len(asked)
    n = reply.asked["max_tokens"]
    await reply.head()
    for _ in range(n):
        await reply.events(text("x"))
    await reply.events(FINISH, usage(n, n_tok), b"[DONE]")
    await reply.end()


def url_of(port: int) -> list[str]:
    return ["--url", f"http://127.0.0.1:{port}", "--model", "m"]


def test_endpoint_without_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with serving(counting) as server:
        code, shown, _ = call(
            capsys, *url_of(server.port), "--rate", "50", "--requests", "6", *LENGTHS, "--out", str(out), "--json"
        )
    found = json.loads(shown)
    assert code == 0
    assert found["outcomes"]["ok"] == 6
    assert found["client"]["client_limited"] in {True, False}
    assert found["lengths"]["method"] == "words, calibrated on the server's usage"
    assert found["lengths"]["prompt_tok"]["worst_miss"] <= 1
    assert found["lengths"]["output_tok"]["exact_frac"] == 1.0
    assert found["metrics"]["ttft_s"]["mean"]["measured"] > 0
    assert json.loads((out / "summary.json").read_text()) == found
    assert sorted(path.name for path in out.iterdir()) == ["run.parquet", "summary.json"]
    log = read(out / "run.parquet")
    assert set(log.provenance.seeds) == {"workload", "prompts"}


@pytest.mark.parametrize("api", ["completions", "chat"])
@pytest.mark.slow
def test_endpoint_with_tokenizer_in_a_closed_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], api: str
) -> None:
    tokenizer = data("datasets") / "models" / "tiny" / "tokenizer.json"
    with serving(counting) as server:
        code, shown, err = call(
            capsys, *url_of(server.port), "--api", api, "--concurrency", "2", "--requests", "5", *LENGTHS,
            "--tokenizer", str(tokenizer), "--out", str(tmp_path / "out"),
        )
    assert code == 0
    assert "sending" in err.partition(":")[0] or "client_limited" in err  # of answers that take no time it always is
    assert "5 requests (5 ok)" in shown
    if api == "completions":
        assert "token ids of the tokenizer given; 40 tokens (asked 40, worst off by 0)" in " ".join(shown.split())


@pytest.mark.slow
def test_endpoint_that_reports_no_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def silent(reply: Reply) -> None:
        await reply.head()
        await reply.events(text("x"), FINISH, b"[DONE]")
        await reply.end()

    with serving(silent) as server:
        code, shown, _ = call(
            capsys, *url_of(server.port), "--rate", "50", "--requests", "3", *LENGTHS, "--out", str(tmp_path / "out")
        )
    assert code == 0
    assert "the server reports no usage" in " ".join(shown.split())


@pytest.mark.parametrize("kind", ["500", "garbage", "refused"])
def test_endpoint_that_answers_nothing_of_use(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    async def useless(reply: Reply) -> None:
        if kind == "garbage":
            return await reply.raw(b"\x00\x01garbage\r\n\r\n")
        await reply.head(500, "text/plain")
        await reply.body(b"no")
        return await reply.end()

    out = tmp_path / "out"
    with serving(useless) as server:
        port = 1 if kind == "refused" else server.port
        code, shown, err = call(capsys, *url_of(port), "--rate", "9", "--requests", "3", *LENGTHS, "--out", str(out))
    reason = {"500": "HTTP 500: no", "garbage": "not an HTTP answer", "refused": "no connection"}[kind]
    assert (code, shown) == (1, "")
    assert f"none of 2 requests succeeded: {reason}" in err
    assert "the log is kept in" in err
    assert len(read(out / "probes" / "probe-0.parquet")) == 2


def test_endpoint_that_fails_after_the_probes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def then_broken(reply: Reply) -> None:
        if reply.asked["max_tokens"] == 2:  # a probe
            return await counting(reply)
        await reply.head(503, "text/plain")
        return await reply.end()

    out = tmp_path / "out"
    with serving(then_broken) as server:
        code, _, err = call(
            capsys, *url_of(server.port), "--rate", "50", "--requests", "3", *LENGTHS, "--out", str(out)
        )
    assert (code, "none of 3 requests succeeded: HTTP 503" in err) == (1, True)
    assert read(out / "run.parquet").outcomes()["error"] == 3


def test_key_that_the_server_echoes_is_written_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def echo(reply: Reply) -> None:
        await reply.head(401, "application/json")
        await reply.body(json.dumps({"error": {"message": f"bad {reply.headers['authorization']}"}}).encode())
        await reply.end()

    monkeypatch.setenv("MY_KEY", "canary-0815")
    out = tmp_path / "out"
    with serving(echo) as server:
        code, shown, err = call(
            capsys, *url_of(server.port), "--rate", "9", "--requests", "3", *LENGTHS, "--out", str(out),
            "--api-key-env", "MY_KEY",
        )
    assert (code, shown) == (1, "")
    assert "HTTP 401: bad Bearer key-" in err
    kept = [path for path in out.rglob("*") if path.is_file()]
    assert kept
    everything = err.encode() + b"".join(path.read_bytes() for path in kept) + repr(read(kept[0]).rows()).encode()
    assert b"canary" not in everything


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "give --url or --engine"),
        (["--url", "http://127.0.0.1:1", "--engine", "fake"], "give --url or --engine"),
        (["--url", "http://127.0.0.1:1"], "give --rate or --concurrency"),
        (["--url", "http://127.0.0.1:1", "--rate", "1", "--concurrency", "2"], "give --rate or --concurrency"),
        (["--url", "http://127.0.0.1:1", "--rate", "1"], "--model is missing"),
        ([*url_of(1), "--rate", "1", "--requests", "0", *LENGTHS], "--requests: 0: must be above 0"),
        ([*url_of(1), "--rate", "-1", "--requests", "5", *LENGTHS], "--rate: -1.0: must be above 0"),
        ([*url_of(1), "--concurrency", "0", "--requests", "5", *LENGTHS], "--concurrency: 0: must be above 0"),
        ([*url_of(1), "--rate", "1", "--requests", "5", *LENGTHS, "--quant", "Q4_0"], "--quant goes with --engine"),
        (["--url", "ftp://x", "--model", "m", "--rate", "1", "--requests", "5", *LENGTHS], "must look like http"),
        ([*url_of(1), "--rate", "1", "--requests", "5", *LENGTHS, "--api-key-env", "NO_SUCH_VARIABLE"], "is not set"),
        (["missing.toml"], "no such file"),
        (["missing.toml", "--seed", "3"], "not mixed with a file"),
        (["--nonsense"], "No such option"),
    ],
)
def test_usage_errors_exit_2_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, argv: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *argv)
    assert (code, out) == (2, "")
    assert words in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": None}, "one of the two"),
        ({"concurrency": 2}, "arrivals of kind"),
        ({"concurency": 2}, "did you mean 'concurrency'"),
    ],
)
def test_bench_file_errors(change: dict[str, Any], words: str) -> None:
    good = from_flags({"url": "http://127.0.0.1:1", "model": "m", "rate": 1.0, "requests": 3, "input_tok": 4,
                       "output_tok": 4})
    validate(BenchSpec, good, "bench.toml")
    with pytest.raises(UsageError, match=words):
        validate(BenchSpec, {key: value for key, value in (good | change).items() if value is not None}, "bench.toml")


def test_folder_that_is_there_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").write_text("x")
    argv = [*url_of(1), "--rate", "1", "--requests", "5", *LENGTHS, "--out", str(tmp_path)]
    code, _, err = call(capsys, *argv)
    assert (code, "is there already" in err) == (2, True)


def test_ctrl_c_keeps_what_was_measured_and_exits_130(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with serving(counting) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "bench", *url_of(server.port), "--rate", "20", "--requests", "4000",
             *LENGTHS, "--out", str(out), "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"MY_API_KEY": "canary-key-0815"},
        )
        part, deadline = out / "run.part.jsonl", time.monotonic() + 20
        while not (part.exists() and part.read_bytes().count(b'"outcome":"ok"') >= 3):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        shown, err = process.communicate(timeout=20)
    lines = err.decode().strip().splitlines()
    assert (process.returncode, shown, lines[-1]) == (130, b"", "workbench: interrupted")
    assert any(line.startswith("kept ") and line.endswith("of 4000 requests in run.parquet") for line in lines)
    log = read(out / "run.parquet")
    assert log.partial
    assert log.outcomes()["ok"] >= 3
    assert len(log) == 4000
    assert json.loads((out / "summary.json").read_text())["partial"] is True


@pytest.mark.slow
def test_engine_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = call(
        capsys, "--engine", "fake", "--rate", "40", "--requests", "5", *LENGTHS, "--out", str(tmp_path / "o"), "--json"
    )
    found = json.loads(shown)
    assert (code, found["outcomes"]["ok"]) == (0, 5)
    assert found["lengths"]["prompt_tok"]["worst_miss"] <= 1
    code, _, err = call(
        capsys, "--engine", "llama.cpp", "--rate", "40", "--requests", "5", *LENGTHS, "--out", str(tmp_path / "p")
    )
    assert (code, "needs a model file" in err) == (2, True)


@pytest.mark.slow
def test_the_example_runs_on_a_real_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.toml"
    example = (data("examples") / "bench.toml").read_text()
    file.write_text(example.replace("requests = 40", "requests = 10").replace("rate_per_s = 8.0", "rate_per_s = 20.0"))
    code, shown, _ = call(capsys, str(file), "--out", str(tmp_path / "out"), "--json")
    found = json.loads(shown)
    assert code == 0
    assert found["outcomes"]["ok"] == found["requests"] == 6
    assert found["lengths"]["prompt_tok"]["exact_frac"] == found["lengths"]["output_tok"]["exact_frac"] == 1.0
    assert found["tpot_is_bound"] is False
    provenance = read(tmp_path / "out" / "run.parquet").provenance
    assert (provenance.engine, provenance.model, provenance.quant) == ("llama.cpp", "tiny-27m", "Q4_0")
    assert provenance.engine_facts["slots"]["seen"] == 4
    assert "[workload]" in provenance.config_text
