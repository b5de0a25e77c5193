"""Whatever happens to the parent, no process that an engine started outlives it."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engines import processes, supervisor
from engines.environment import child_environment
from engines.supervised import Supervised
from workbench.errors import Failure

ROOT = Path(__file__).resolve().parents[2]
GONE_S = 15.0

# An engine that starts two more: one in a session of its own that ignores SIGTERM, one whose parent has left.
WILD = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
own_session = subprocess.Popen(["sleep", "600"], start_new_session=True)  # an ignored signal is inherited
leaves = "import subprocess as s; print(s.Popen(['sleep', '600'], start_new_session=True, stdout=-3, stderr=-3).pid)"
orphan = subprocess.run([sys.executable, "-c", leaves], capture_output=True, text=True)
from engines.contract import announce
announce("%d %d" % (own_session.pid, int(orphan.stdout)))
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _seen_by_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the keeper starts as other children do, so that its lines are counted; elsewhere it starts plain."""
    monkeypatch.setattr("engines.supervised.PLAIN", ("-P",))


def _start(tmp_path: Path, code: str) -> Supervised:
    return Supervised([sys.executable, "-c", code], child_environment(), tmp_path, tmp_path / "engine.log")


def _wait_gone(*pids: int) -> None:
    """Until each has ended; a zombie has, whenever its new parent may collect it."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            ended = select.select([descriptor], [], [], GONE_S)[0]
            os.close(descriptor)
            assert ended, f"process {pid} still runs"


def test_stop_ends_descendants_that_left_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.supervised.GRACE_S", 0.3)  # it ignores SIGTERM
    keeper = _start(tmp_path, WILD)
    announced = keeper.wait_ready(20)
    assert announced is not None
    assert keeper.engine is not None
    pids = [keeper.engine.pid, *map(int, announced.split())]
    assert all(psutil.pid_exists(pid) for pid in pids)
    keeper.stop()
    _wait_gone(*pids)
    assert not keeper.alive()


def test_an_engine_that_ends_leaves_no_child_either(tmp_path: Path) -> None:
    keeper = _start(tmp_path, WILD.replace("time.sleep(600)\n", "sys.exit(3)"))
    announced = keeper.wait_ready(20)
    assert announced is not None
    _wait_gone(*map(int, announced.split()))
    with pytest.raises(Failure, match="exit code 3"):
        keeper.wait_ready(10)
    keeper.stop()


PARENT = """
import os, sys, time
from pathlib import Path
import engines
running = engines.launch("llama.cpp", Path(sys.argv[1]), {}, log_dir=Path(sys.argv[2]))
if len(sys.argv) > 3 and os.fork() == 0:
    time.sleep(600)  # a copy that keeps the lifeline open
print(running.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("forked", [False, True], ids=["plain", "with a forked copy"])
def test_kill_9_of_the_parent_ends_the_engine(forked: bool, model: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", PARENT, str(model), str(tmp_path), *(["fork"] if forked else [])]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)
    assert parent.stdout is not None
    try:
        engine = psutil.Process(int(parent.stdout.readline()))
        keeper = engine.parent()
        assert keeper is not None
        parent.kill()
        parent.wait(GONE_S)
        _wait_gone(engine.pid, keeper.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)  # the forked copy
        parent.stdout.close()


def test_kill_9_of_the_keeper_ends_the_engine_too(tmp_path: Path) -> None:
    keeper = _start(tmp_path, "from engines.contract import announce; import time; announce('x'); time.sleep(600)")
    assert keeper.wait_ready(20) == "x"
    assert keeper.engine is not None
    engine = psutil.Process(keeper.engine.pid)
    parent = engine.parent()
    assert parent is not None
    parent.kill()
    _wait_gone(engine.pid)
    keeper.stop()


@pytest.mark.slow
def test_stop_works_without_the_keepers_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.supervised.GRACE_S", -supervisor.KILL_S - 4.5)  # half a second in all
    keeper = _start(tmp_path, "from engines.contract import announce; import time; announce('x'); time.sleep(600)")
    assert keeper.wait_ready(20) == "x"
    assert keeper.engine is not None
    parent = psutil.Process(keeper.engine.pid).parent()
    assert parent is not None
    parent.suspend()
    keeper.stop()
    _wait_gone(keeper.engine.pid, parent.pid)
    assert not keeper.alive()


def test_an_engine_that_hangs_at_start_is_given_up(tmp_path: Path) -> None:
    keeper = _start(tmp_path, "import time; time.sleep(600)")
    begun = time.monotonic()
    assert keeper.wait_ready(0.5) is None
    assert time.monotonic() - begun < 10
    keeper.stop()
    assert not keeper.alive()


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    keeper = Supervised(["/no/such/program"], child_environment(), tmp_path, tmp_path / "engine.log")
    with pytest.raises(Failure, match=r"could not be started: .*No such file"):
        keeper.wait_ready(10)
    keeper.stop()


def test_an_engine_that_ends_at_once_is_heard_of_every_time(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    for _ in range(8):
        keeper = Supervised([str(program)], child_environment(), tmp_path, tmp_path / "engine.log")
        with pytest.raises(Failure, match=r"ended at start \(exit code 3\)"):
            keeper.wait_ready(20)
        keeper.stop()


def test_death_by_signal_is_named(tmp_path: Path) -> None:
    keeper = _start(tmp_path, "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(Failure, match="killed by SIGSEGV"):
        keeper.wait_ready(10)
    keeper.stop()


def test_a_reused_pid_is_not_the_same_process() -> None:
    me = processes.ident(os.getpid())
    assert me is not None
    assert processes.alive(me)
    other = processes.Ident(me.pid, me.started_ticks + 1)
    assert not processes.alive(other)
    assert not processes.send(other, signal.SIGKILL)  # or this test would end here


def test_descendants_are_found_below_children() -> None:
    with subprocess.Popen(["sleep", "600"]) as child:
        assert child.pid in supervisor.descendants(os.getpid())
        assert supervisor.descendants(child.pid) == []
        child.kill()


@pytest.fixture
def segment() -> Iterator[Path]:
    path = Path(f"/dev/shm/wb-test-{os.getpid()}")
    yield path
    path.unlink(missing_ok=True)


def test_shared_memory_that_a_killed_engine_made_is_removed(tmp_path: Path, segment: Path) -> None:
    code = (
        "from engines.contract import announce; import mmap, time\n"
        f"made = open({str(segment)!r}, 'w+b'); made.truncate(4096); kept = mmap.mmap(made.fileno(), 4096)\n"
        "announce('x'); time.sleep(600)"
    )
    keeper = _start(tmp_path, code)
    assert keeper.wait_ready(20) == "x"
    assert keeper.engine is not None
    assert supervisor.segments([keeper.engine.pid]) == {str(segment)}
    keeper.stop()
    assert not segment.exists()


def test_a_semaphore_of_a_killed_engine_is_removed(tmp_path: Path) -> None:
    code = ("from engines.contract import announce; import multiprocessing, time\n"
            "lock = multiprocessing.get_context('spawn').Lock(); announce(lock._semlock.name); time.sleep(600)")
    keeper = _start(tmp_path, code)
    path = Path(f"/dev/shm/sem.{str(keeper.wait_ready(20)).removeprefix('/')}")
    assert path.exists()
    keeper.stop()
    assert not path.exists()


@pytest.mark.parametrize(("begun_s", "stays"), [(-60, False), (60, True)])
def test_shared_memory_older_than_the_engine_is_somebody_elses(segment: Path, begun_s: int, stays: bool) -> None:
    segment.write_bytes(b"x")
    keeper = supervisor.Keeper.__new__(supervisor.Keeper)
    keeper.begun_s, keeper.shared = time.time() + begun_s, {str(segment), "/dev/shm/wb-never-there"}
    keeper.unlink()
    assert segment.exists() is stays
