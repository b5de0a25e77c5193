"""ps, logs, stop, check, and an engine from a file of one's own."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

import engines
from engines import own, registry
from workbench.cli.engines import group, key_values
from workbench.errors import Failure, UsageError
from workbench.flows import engine_check
from workbench.flows.engine_care import log_lines, processes, stop, uninstall_engine
from workbench.flows.engine_check import check

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry and a folder of environments for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WORKBENCH_ENGINES", str(tmp_path / "envs"))


def _run(*words: str) -> Any:
    done = CliRunner().invoke(group, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_what_runs_is_listed_logged_and_stopped(tmp_path: Path) -> None:
    with engines.launch("fake", None, {}, log_dir=tmp_path / "logs") as running:
        found = _run("ps")["running"]
        assert [(item["pid"], item["engine"], item["url"]) for item in found] == [(running.pid, "fake", running.url)]
        assert found[0]["memory_bytes"] > 10_000_000
        assert running.api_key is not None
        noted = next(registry.folder().glob("*.json"))
        assert running.api_key not in noted.read_text()
        assert running.log_path is not None
        running.log_path.write_text("hello \x1b[31mred\nlast\n")
        assert _run("logs", "fake")["lines"] == ["hello red", "last"]
        assert log_lines(str(running.pid), 1) == ["last"]
        with pytest.raises(UsageError, match=f"no such engine; {running.pid} \\(fake\\)"):
            stop("vllm")
        with pytest.raises(UsageError, match=f"runs \\(pid {running.pid}\\)"):
            uninstall_engine("fake")
        assert _run("stop", str(running.pid))["stopped"] == [{"pid": running.pid, "engine": "fake", "model": "fake"}]
        assert not running.alive()
    assert processes()["running"] == []
    assert stop(None) == []


def test_an_engine_whose_parent_was_killed_leaves_no_entry(tmp_path: Path) -> None:
    code = ("import engines, pathlib, sys, time\n"
            "r = engines.launch('fake', None, {}, log_dir=pathlib.Path(sys.argv[1]))\n"
            "print(r.process.keeper_pid, flush=True)\ntime.sleep(600)\n")
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    keeper = psutil.Process(int(parent.stdout.readline()))
    assert len(registry.running()) == 1
    parent.kill()
    parent.wait(20)
    parent.stdout.close()
    keeper.wait(20)
    assert registry.running() == []
    assert list(registry.folder().glob("*.json")) == []


def test_a_pid_that_is_somebody_elses_now_is_left_alone(tmp_path: Path) -> None:
    me = engines.processes.ident(os.getpid())  # type: ignore[attr-defined]
    assert me is not None
    path = registry.note("fake", "m", None, "http://x", tmp_path / "l", me, os.getpid(), "2026-01-01T00:00:00+00:00")
    assert path is not None
    path.write_text(path.read_text().replace(f'"keeper_ticks": {me.started_ticks}', '"keeper_ticks": 1'))
    with pytest.raises(UsageError, match="none runs"):
        stop(str(os.getpid()))  # or this test would end here


def test_stop_wants_to_know_which() -> None:
    for words in (["stop"], ["stop", "fake", "--all"]):
        done = CliRunner().invoke(group, words)
        assert isinstance(done.exception, UsageError)


def test_environments_are_listed_with_their_size(tmp_path: Path) -> None:
    folder = own.folder("vllm")
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("12345678")
    own.Installed("gptqmodel", "7.6.0", "0", "3.11", 40, 1.0).write(own.folder("gptqmodel"))
    (own.folder("gptqmodel") / "bin").mkdir()
    (own.folder("gptqmodel") / "bin" / "python").write_text("1")
    for name, file in (("llama-quantise", "libllama.so"), ("mine", "x")):
        own.folder(name).mkdir()
        (own.folder(name) / file).write_text("123")
    found = {item["engine"]: item for item in processes()["environments"]}
    assert list(found) == ["vllm", "gptqmodel", "llama-quantise", "mine"]
    assert found["vllm"] == {"engine": "vllm", "use": "engine", "version": None, "finished": False, "packages": None,
                             "disk_bytes": 8}
    quantiser = found["gptqmodel"]
    assert (quantiser["use"], quantiser["version"], quantiser["finished"], quantiser["packages"]) == (
        "quantiser", "7.6.0", True, 40)
    assert [(found[name]["use"], found[name]["finished"], found[name]["disk_bytes"])
            for name in ("llama-quantise", "mine")] == [("K-quants' library", True, 3), ("not known", False, 3)]
    shown = CliRunner().invoke(group, ["ps"]).stdout
    assert shown.count("unfinished") == 2
    assert "quantiser" in shown


@pytest.mark.parametrize("name", ["fake", "llama.cpp"])
def test_check_proves_and_leaves_nothing(name: str) -> None:
    told = _run("check", name, "-o", "max_seqs=2")
    assert told["pieces"] == told["output_tok"] == 16
    assert told["facts"]["slots"]["seen"] == 2
    assert [address.rpartition(":")[0] for address in told["listening"]] == ["127.0.0.1"]
    assert told["left_behind"] == []
    assert registry.running() == []


@pytest.mark.parametrize(
    ("mutant", "message"),
    [("_listening", r"listens on 0\.0\.0\.0:1; only loopback"), ("_shared", r"left .*survivor")],
)
def test_check_fails_where_something_is_wrong(
    mutant: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survivor = tmp_path / "survivor"
    survivor.write_text("")
    wrong: dict[str, Any] = {"_listening": lambda _running: ["0.0.0.0:1"], "_shared": lambda _tree: {str(survivor)}}
    monkeypatch.setattr(engine_check, mutant, wrong[mutant])
    with pytest.raises(Failure, match=message):
        check(engines.find("fake"))


def test_a_process_that_survives_is_found() -> None:
    with pytest.raises(Failure, match=f"left processes: {os.getpid()}"):
        engine_check._gone("x", [psutil.Process()], "http://127.0.0.1:9", set())


OWN_FILE = '''
from dataclasses import replace
from engines.fake import ENGINE as FAKE
ENGINE = replace(FAKE, name="mine", title="my own")
'''


def test_an_engine_from_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN_FILE)
    told = _run("check", f"{path}:ENGINE")
    assert told["engine"] == "mine"
    assert told["facts"]["engine_file"]["asked"].startswith("mine.py:ENGINE sha256 ")
    assert _run("show", f"{path}:ENGINE")["title"] == "my own"
    with pytest.raises(UsageError, match="has no engine 'OTHER'; it has FAKE, ENGINE"):
        engines.from_command_line(f"{path}:OTHER")
    with pytest.raises(UsageError, match="from the command line only"):
        engines.find(f"{path}:ENGINE")
    path.write_text("1/0")
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        engines.from_command_line(f"{path}:ENGINE")
    with pytest.raises(UsageError, match="cannot be read"):
        engines.from_command_line(f"{tmp_path}/no.py:ENGINE")


def test_options_on_the_command_line() -> None:
    assert key_values(("a=1", "b=x y", 'c={"d": [1]}', "e=true", "f=")) == {
        "a": 1, "b": "x y", "c": {"d": [1]}, "e": True, "f": ""}
    for wrong in (("a",), ("=1",), ("a=1", "a=2")):
        with pytest.raises(UsageError):
            key_values(wrong)


def test_install_says_first_what_it_will_take() -> None:
    done = CliRunner().invoke(group, ["install", "sglang", "--dry-run"])
    if isinstance(done.exception, UsageError):
        assert "locked for Python 3.12" in str(done.exception)
        return
    assert "4.34 GB to download" in done.output
    assert "nothing was changed" in done.output
    assert not own.root().exists()


def test_a_folder_is_no_gguf_and_a_file_no_folder(tmp_path: Path) -> None:
    record = replace(engines.find("vllm"), environment=None, distribution="")
    with pytest.raises(UsageError, match="reads a folder with safetensors"):
        engines.launch(record, Path(__file__), {}, log_dir=tmp_path)
    with pytest.raises(UsageError, match="reads a gguf file"):
        engines.launch("llama.cpp", tmp_path, {}, log_dir=tmp_path)
