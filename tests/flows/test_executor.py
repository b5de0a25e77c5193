"""One executor: here, in processes and on a real local Ray the same results in the same order."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from workbench.errors import Failure, UsageError
from workbench.flows import executor
from workbench.flows.executor import Where, run

TASKS = list(range(12))


def square(n: int) -> tuple[int, int]:
    return n * n, os.getpid()


def refuse_seven(n: int) -> int:
    if n == 7:
        raise UsageError("seven: not this one; take eight")
    if n == 9:
        raise Failure("nine")
    return n


def die(n: int) -> int:
    if n == 2:
        os._exit(1)
    return n


def wait(n: int) -> int:
    print("began", n, flush=True)
    time.sleep(60)
    return n


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes from the second task on, however short the tasks."""
    monkeypatch.setattr(executor, "WORTH_S", -1.0)


def test_short_work_stays_here() -> None:
    seen: list[tuple[int, int]] = []
    found = run(square, TASKS, Where(4), lambda done, total: seen.append((done, total)))
    assert found == [(n * n, os.getpid()) for n in TASKS]
    assert seen == [(i, 12) for i in range(13)]
    assert run(square, []) == []


@pytest.mark.usefixtures("at_once")
def test_processes_give_the_same_in_order() -> None:
    found = run(square, TASKS, Where(2))
    assert [value for value, _ in found] == [n * n for n in TASKS]
    others = {pid for _, pid in found} - {os.getpid()}
    assert 1 <= len(others) <= 2
    assert not any(psutil.pid_exists(pid) for pid in others), "no worker is left"


@pytest.mark.usefixtures("at_once")
def test_a_failure_comes_back_as_its_own_line_and_ends_the_rest() -> None:
    with pytest.raises(UsageError, match="seven: not this one; take eight"):
        run(refuse_seven, TASKS, Where(2))
    with pytest.raises(Failure, match="nine"):
        run(refuse_seven, TASKS[8:], Where(2))
    with pytest.raises(UsageError, match="workers is 0"):
        Where(0)


@pytest.mark.usefixtures("at_once")
def test_a_worker_that_dies_is_said() -> None:
    with pytest.raises(Failure, match="a worker process died"):
        run(die, TASKS, Where(2))


SLEEPER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born ignoring it
sys.path.insert(0, {folder!r})
import test_executor
from workbench.flows import executor
executor.WORTH_S = -1.0
def main():
    test_executor.run(test_executor.wait_or_not, [0, 1, 2, 3], executor.Where(2))
if __name__ == "__main__":
    main()
"""


def wait_or_not(n: int) -> int:
    return n if n == 0 else wait(n)


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_no_worker_outlives_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "main.py"
    script.write_text(SLEEPER.format(folder=str(Path(__file__).parent)))
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline().startswith("began")  # a worker is inside a task
    children = psutil.Process(parent.pid).children(recursive=True)
    assert children
    os.kill(parent.pid, how)
    parent.wait(30)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def test_ray_that_is_not_installed_says_the_remedy() -> None:
    if importlib.util.find_spec("ray") is None:
        with pytest.raises(UsageError, match=r"pip install 'inference-workbench\[distributed\]'"):
            run(square, TASKS, Where(ray="local"))


@pytest.mark.slow
def test_a_local_ray_gives_the_same_and_listens_on_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'inference-workbench[distributed]'")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # Ray's workers find the tasks of this file there
    me, listening = psutil.Process(), set()

    def look(done: int, total: int) -> None:
        for child in me.children(recursive=True):
            try:
                sockets = child.net_connections(kind="inet")
            except psutil.Error:
                continue  # it ended in the meantime
            listening.update(item.laddr.ip for item in sockets if item.status == psutil.CONN_LISTEN)

    found = run(square, TASKS, Where(ray="local"), look)
    assert [value for value, _ in found] == [n * n for n in TASKS]
    assert os.getpid() not in {pid for _, pid in found}
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, listening
    with pytest.raises(UsageError, match="seven: not this one"):
        run(refuse_seven, TASKS, Where(ray="local"))
