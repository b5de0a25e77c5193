"""The real command, really killed: a rerun completes it, nothing is lost or counted twice, no process is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.flows.sweeps.store import read_rows
from workbench.runlog.table import read

TEXT = """
name = "k"
max_point_s = MOST
[[engine]]
ENGINE
[[workload]]
name = "w"
requests = REQUESTS
prompt_tok = { kind = "fixed", tok = 16 }
output_tok = { kind = "fixed", tok = 16 }
[load]
concurrency = LOADS
"""
LLAMA = 'name = "llama.cpp"\nmodel = ["tiny"]\nquant = ["Q4_0"]\noptions = [{ slots = 4, threads = 1 }]'
WAIT_S = 60.0
BAD = Path(__file__).with_name("bad_engines.py")


class Killed:
    """A sweep in a process of its own, and every process below it that was ever seen."""

    def __init__(self, folder: Path, engine: str, *, requests: int, loads: str, most_s: float, own: str = "") -> None:
        text = TEXT.replace("ENGINE", engine).replace("REQUESTS", str(requests))
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder.parent / "k.toml").write_text(text.replace("LOADS", loads).replace("MOST", str(most_s)))
        more = ["--engine", f"{BAD}:{own}"] if own else []
        words = ["-m", "workbench", "sweep", "run", "k.toml", "--out", str(folder), "--json"]
        self.command = [sys.executable, *words, *more]
        self.seen: set[psutil.Process] = set()

    def start(self, *more: str) -> None:
        self.process = subprocess.Popen([*self.command, *more], cwd=self.folder.parent, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def below(self) -> list[psutil.Process]:
        found = psutil.Process(self.process.pid).children(recursive=True)
        self.seen.update(found)
        return found

    def until(self, holds: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + WAIT_S
        while not (found := holds()):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            self.below()
            time.sleep(0.02)
        return found

    def rows_sent(self, point: int = 0) -> bool:
        """Whether so many points are done and the next one has rows."""
        parts = list(self.folder.glob("points/*.part/run.part.jsonl"))
        done = [path for path in self.folder.glob("points/*/point.json") if ".part" not in str(path)]
        return len(done) >= point and any(path.read_bytes().count(b"\n") > 3 for path in parts)

    def find(self, words: str) -> psutil.Process | None:
        for process in self.below():
            try:
                if words in " ".join(process.cmdline()):
                    return process
            except psutil.Error:
                continue
        return None

    def end(self) -> tuple[dict[str, Any], str]:
        out, errors = self.process.communicate(timeout=300)
        return json.loads(out) if out else {}, errors

    def nothing_left(self) -> None:
        _, alive = psutil.wait_procs(self.seen, timeout=20)
        assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []

    def whole(self, points: int) -> list[dict[str, Any]]:
        """Exactly one row a point, each with all of its requests."""
        rows = read_rows(self.folder)
        assert len({row["id"] for row in rows}) == len(rows) == points
        assert not list(self.folder.glob("points/*.part"))
        for row in rows:
            if row["status"] == "ok":
                assert len(read(self.folder / "points" / row["id"] / "run.parquet")) == row["requests"]
        return rows


@pytest.fixture
def llama(tmp_path: Path) -> Iterator[Killed]:
    found = Killed(tmp_path / "sweep", LLAMA, requests=300, loads="[1, 2, 4]", most_s=120.0)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_sweep_goes_on_where_it_was(llama: Killed, number: signal.Signals) -> None:
    llama.start()
    llama.until(lambda: llama.rows_sent(point=1))
    llama.below()
    llama.process.send_signal(number)
    _, errors = llama.end()
    assert llama.process.returncode == (130 if number == signal.SIGTERM else -9), errors
    llama.nothing_left()
    done = {row["id"]: row["started_at_utc"] for row in read_rows(llama.folder)}
    assert 1 <= len(done) < 3
    llama.start()
    result, _ = llama.end()
    assert (result["ok"], result["kept"], result["ran"]) == (3, len(done), 3 - len(done))
    rows = llama.whole(3)
    assert {row["id"]: row["started_at_utc"] for row in rows if row["id"] in done} == done
    llama.nothing_left()


@pytest.mark.slow
def test_a_killed_engine_is_one_failed_point_and_the_next_starts_it_again(llama: Killed) -> None:
    llama.start()
    llama.until(llama.rows_sent)
    engine = llama.until(lambda: llama.find("engines.llama_cpp.server"))
    engine.kill()
    result, _ = llama.end()
    assert result["failed"] == {"dies": 1}
    assert result["ok"] == 2
    failed = next(row for row in llama.whole(3) if row["failure"])
    assert failed["failure"]["log_tail"]
    assert sum(failed["outcomes"].values()) == 300
    llama.nothing_left()
    llama.start("--retry-failed")
    again, _ = llama.end()
    assert (again["ok"], again["ran"]) == (3, 1)
    llama.whole(3)


@pytest.mark.slow
def test_killed_telemetry_costs_its_figures_and_nothing_else(llama: Killed) -> None:
    llama.start()
    llama.until(llama.rows_sent)
    llama.until(lambda: llama.find("workbench.bench.telemetry_side")).kill()
    result, _ = llama.end()
    assert (result["ok"], result["failed"]) == (3, {})
    assert all(row["telemetry"]["power_valid"] is False for row in llama.whole(3))
    llama.nothing_left()


@pytest.mark.slow
def test_a_killed_load_generator_is_one_failed_point_with_the_rows_that_it_had(llama: Killed) -> None:
    llama.start()
    llama.until(llama.rows_sent)
    llama.until(lambda: llama.find("workbench.bench.worker")).kill()
    result, _ = llama.end()
    assert (result["ok"], result["failed"]) == (2, {"client": 1})
    failed = next(row for row in llama.whole(3) if row["failure"])
    assert "worker was killed by signal 9" in failed["failure"]["message"]
    assert sum(failed["outcomes"].values()) == 300 > failed["outcomes"]["unfinished"]
    llama.nothing_left()


@pytest.mark.slow
def test_a_full_disk_ends_the_sweep_with_one_line_and_a_rerun_completes_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        sweep = Killed(disk / "sweep", LLAMA, requests=100, loads="[1, 2]", most_s=120.0)
        (disk / "filler").write_bytes(b"x" * (1024 - 140) * 1024)
        sweep.start()
        _, errors = sweep.end()
        assert sweep.process.returncode == 1
        assert "No space left on device" in errors.splitlines()[-1]
        (disk / "filler").unlink()
        sweep.start()
        result, errors = sweep.end()
        assert result["ok"] == 2, errors
        sweep.whole(2)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(("own", "kind", "says"), [
    ("HANGS", "hangs at start", "loading weights"), ("MEMORY", "out of memory", "CUDA out of memory"),
    ("DIES", "dies", "fatal: the kernel launch failed, token=key-"), ("SLOW", "too slow", "thinking about it"),
])
def test_what_engines_do_is_labelled_with_their_last_words(tmp_path: Path, own: str, kind: str, says: str) -> None:
    sweep = Killed(tmp_path / "sweep", f'name = "{own.lower()}"', requests=4, loads="[1, 2]",
                   most_s=8.0 if own == "SLOW" else 60.0, own=own)
    sweep.start()
    sweep.until(lambda: sweep.find("bad_engines.py"))
    result, errors = sweep.end()
    assert result["failed"] == {kind: 2}, errors
    for row in sweep.whole(2):
        assert any(says in line for line in row["failure"]["log_tail"])
    sweep.nothing_left()
