"""The real worker process: runs to the end, is killed, is interrupted, runs out of disk; the log tells."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from scripted import PROVENANCE, Reply, plain_answer, serving, text

from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.errors import Failure, UsageError
from workbench.runlog.part import part_path
from workbench.runlog.schema import Planned
from workbench.runlog.table import read

GAP_NS = 20_000_000


def schedule(n: int, closed: bool = False) -> list[Planned]:
    return [Planned(f"r{i:03d}", None if closed else i * GAP_NS, 7, 4, warmup=i == 0) for i in range(n)]


def where(port: int, **more: object) -> Target:
    return Target(**{"url": f"http://127.0.0.1:{port}", "model": "m", "api_key": "canary-key-0815"} | more)  # type: ignore[arg-type]


async def endless(reply: Reply) -> None:
    """The first three are answered; the others begin and never end."""
    if reply.index < 3:
        return await plain_answer(reply)
    await reply.head()
    await reply.events(text("a"))
    await asyncio.sleep(60)
    return None


@pytest.mark.parametrize(("loop", "concurrency"), [("uvloop", None), ("asyncio", 2)])
def test_a_run_becomes_a_log(tmp_path: Path, loop: str, concurrency: int | None) -> None:
    final, seen = tmp_path / "run.parquet", []
    with serving(plain_answer) as server:
        log = run(
            where(server.port), schedule(8, bool(concurrency)), ["hello"] * 8, final, PROVENANCE,
            concurrency=concurrency, loop=loop, on_progress=lambda done, total: seen.append((done, total)),
        )
    assert log.outcomes()["ok"] == len(log) == 8
    assert (log.partial, len(log.counted)) == (False, 7)
    assert log.rows() == read(final).rows()
    assert log.provenance.client["loop"] == loop
    assert log.provenance.engine == "scripted"
    assert seen[-1] == (8, 8)
    assert not part_path(final).exists()
    assert b"canary" not in final.read_bytes()
    # the server's own clock is ours: nothing was seen before it was written
    first = min(reply.before["token 0"] for reply in server.replies) - log.provenance.client["zero_monotonic_ns"]
    assert first <= min(row.first_token_ns or 0 for row in log.rows())


@pytest.mark.parametrize("concurrency", [None, 3])
def test_two_workers_share_a_clock_and_a_log(tmp_path: Path, concurrency: int | None) -> None:
    final, seen = tmp_path / "run.parquet", []
    with serving(plain_answer) as server:
        log = run(
            where(server.port), schedule(9, bool(concurrency)), ["hello"] * 9, final, PROVENANCE, workers=2,
            concurrency=concurrency, on_progress=lambda done, total: seen.append((done, total)),
        )
    assert log.outcomes()["ok"] == len({row.request_id for row in log.rows()}) == len(log) == 9
    assert (log.partial, log.provenance.client["workers"], seen[-1]) == (False, 2, (9, 9))
    assert log.provenance.client["chunks"] == sum(len(row.chunk_ns or ()) for row in log.rows())
    early = [row.sent_ns - row.intended_ns for row in log.rows() if row.sent_ns and row.intended_ns]
    assert all(value >= 0 for value in early)
    with pytest.raises(UsageError, match="workers: 10: must be 1 to 9"):
        run(where(1), schedule(9), ["x"] * 9, tmp_path / "b.parquet", PROVENANCE, workers=10)


def test_two_workers_of_which_one_is_killed(tmp_path: Path) -> None:
    final = tmp_path / "run.parquet"

    def kill() -> None:
        part_has(part_path(final), 3)
        worker_of(psutil.Process()).kill()

    killer = threading.Thread(target=kill)
    with serving(endless) as server:
        killer.start()
        with pytest.raises(Failure, match=r"killed by signal 9; [3-6] of 6 requests are kept in run\.parquet"):
            run(where(server.port), schedule(6), ["x"] * 6, final, PROVENANCE, workers=2)
        killer.join()
    log = read(final)
    assert (log.partial, len(log), log.outcomes()["ok"]) == (True, 6, 3)
    assert log.outcomes()["cancelled"] + log.outcomes()["unfinished"] == 3


def worker_of(process: psutil.Process) -> psutil.Process:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in process.children(recursive=True):
            if "workbench.bench.worker" in " ".join(child.cmdline()):
                return child
        time.sleep(0.02)
    raise AssertionError("the worker did not start")


def gone(process: psutil.Process) -> bool:
    """Whether it ends; an orphan may stay a zombie until someone reaps it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def part_has(path: Path, n: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b'"outcome":"ok"') >= n:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path.name} did not grow")


def test_kill_9_of_the_worker_leaves_a_readable_partial_log(tmp_path: Path) -> None:
    final = tmp_path / "run.parquet"

    def kill() -> None:
        worker = worker_of(psutil.Process())
        part_has(part_path(final), 3)
        worker.kill()

    killer = threading.Thread(target=kill)
    with serving(endless) as server:
        killer.start()
        with pytest.raises(Failure, match=r"killed by signal 9; 3 of 6 requests are kept in run\.parquet"):
            run(where(server.port), schedule(6), ["x"] * 6, final, PROVENANCE)
        killer.join()
    log = read(final)
    assert log.partial
    assert {row.request_id: row.outcome for row in log.rows()} == {
        planned.request_id: "ok" if i < 3 else "unfinished" for i, planned in enumerate(schedule(6))
    }
    assert log.provenance.client["client_limited"] is True


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_run import schedule, where
from scripted import PROVENANCE
from workbench.bench.run import run
run(where({port}), schedule(6), ["x"] * 6, Path({final!r}), PROVENANCE)
"""


def parent(port: int, final: Path) -> "subprocess.Popen[bytes]":
    code = CHILD.format(tests=str(Path(__file__).parent), port=port, final=str(final))
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)


@pytest.mark.slow
def test_sigterm_keeps_what_was_measured(tmp_path: Path) -> None:
    final = tmp_path / "run.parquet"
    with serving(endless) as server, parent(server.port, final) as process:
        part_has(part_path(final), 3)
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=20)
    assert words.decode().strip().endswith("KeyboardInterrupt")
    log = read(final)
    counts = log.outcomes()
    assert log.partial
    assert (counts["ok"], counts["cancelled"] + counts["unfinished"]) == (3, 3)
    assert not part_path(final).exists()


def test_kill_9_of_the_parent_ends_the_worker(tmp_path: Path) -> None:
    final = tmp_path / "run.parquet"
    with serving(endless) as server, parent(server.port, final) as process:
        worker = worker_of(psutil.Process(process.pid))
        part_has(part_path(final), 3)
        process.kill()
        process.communicate(timeout=20)
        assert gone(worker)
    log = read(part_path(final))
    assert log.partial
    assert len(log) == 6
    assert log.outcomes()["ok"] == 3


def test_worker_imports_nothing_heavy() -> None:
    code = "import sys, json, workbench.bench.worker; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout))
    assert "workbench.bench.client" in loaded
    assert not loaded & {"pandas", "pyarrow", "numpy", "scipy", "pydantic", "click"}


def tiny_disk(folder: Path) -> bool:
    """A file system of 64 KiB, where we may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0


def test_full_disk_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "full"
    if not tiny_disk(folder):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        (folder / "filler").write_bytes(b"x" * 48 * 1024)
        n = 200  # the schedule fits, the rows do not
        fast = [Planned(f"r{i:03d}", i * 1_000_000, 7, 30) for i in range(n)]
        with serving(plain_answer) as server, pytest.raises(Failure) as caught:
            run(where(server.port), fast, ["x"] * n, folder / "run.parquet", PROVENANCE)
        assert str(caught.value) == "run.part.jsonl: cannot be written: No space left on device; what fitted is kept"
        assert not (folder / "run.parquet").exists()
        assert len(read(folder / "run.part.jsonl")) == n
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_usage_errors(tmp_path: Path) -> None:
    target, final = where(1), tmp_path / "run.parquet"
    with pytest.raises(UsageError, match="nothing to send"):
        run(target, [], [], final, PROVENANCE)
    with pytest.raises(UsageError, match="concurrency: 0"):
        run(target, schedule(1), ["x"], final, PROVENANCE, concurrency=0)
    with pytest.raises(UsageError, match="no arrival times"):
        run(target, schedule(1, closed=True), ["x"], final, PROVENANCE)
    with pytest.raises(UsageError, match="stagger_s"):
        run(target, schedule(1), ["x"], final, PROVENANCE, stagger_s=-1.0)
    with pytest.raises(ValueError, match="2 prompts for 1"):
        run(target, schedule(1), ["x", "y"], final, PROVENANCE)
    with pytest.raises(ValueError, match="same id"):
        run(target, schedule(1) * 2, ["x", "y"], final, PROVENANCE)
    part_path(final).write_text("left by a run that was killed")
    with pytest.raises(UsageError, match="a run is there already"):
        run(target, schedule(1), ["x"], final, PROVENANCE)


def test_host_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"nowhere\.invalid: cannot be found"):
        run(where(80, url="https://nowhere.invalid"), schedule(1), ["x"], tmp_path / "run.parquet", PROVENANCE)
