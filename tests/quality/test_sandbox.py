"""What an honest program may do in a sandbox, how the verdict comes about, and who is refused."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.quality.sandbox_stage import inside, left
from workbench.errors import Failure, UsageError
from workbench.quality.sandbox import Found, Job, Limits, choose, examine, run_code, run_jobs
from workbench.quality.sandbox.uids import lent
from workbench.quality.sandbox.verdict import End, judge

BACKEND = next((found.backend for found in examine() if not found.lack), "none")
HONEST = """
import asyncio, dataclasses, math, threading

@dataclasses.dataclass
class Point:
    x: "float"

async def answer():
    await asyncio.sleep(0)
    return 42

with open("notes.txt", "w") as handle:
    handle.write("kept for now")
seen = []
worker = threading.Thread(target=seen.append, args=(open("notes.txt").read(),))
worker.start()
worker.join()
print("hello")
if __name__ == "__main__":
    raise SystemExit("a demonstration")
"""
HONEST_TESTS = """
assert Point(1.0).x == 1 and math.sqrt(4) == 2 and seen == ["kept for now"]
assert asyncio.run(answer()) == 42
"""
START = b'{"started": "3.12.1"}\n'


@pytest.fixture(autouse=True)
def _a_sandbox() -> None:
    if BACKEND == "none":
        pytest.skip("; ".join(found.lack for found in examine()))


@pytest.mark.parametrize("backend", ["bubblewrap", "other uid", "unsafe"])
def test_an_honest_program_passes(backend: str) -> None:
    lack = {found.backend: found.lack for found in examine()}.get(backend, "")
    if lack:
        pytest.skip(lack)
    verdict = run_code(HONEST, HONEST_TESTS, backend=backend)
    assert (verdict.outcome, verdict.output, verdict.backend) == ("passed", "hello\n", backend), verdict


@pytest.mark.parametrize(("program", "tests", "outcome", "reason"), [
    ("def f(): return 1", "assert f() == 2", "failed", "AssertionError: "),
    ("def f(: return 1", "assert f() == 1", "failed", "SyntaxError: invalid syntax (<program>, line 1)"),
    ("x = 1", "assert f() == 1", "failed", "NameError: name 'f' is not defined"),
    ("raise ValueError('\\x1b[31m\\n')", "", "failed", "ValueError: \\x1b[31m\\n"),
    ("x = '\0'", "", "failed", "ValueError: source code string cannot contain null bytes"),
    ("x = '\udc80'", "", "failed", "UnicodeEncodeError: "),
    ("class E(Exception):\n def __str__(self): raise self\nraise E", "", "failed", "ended (exit code 1) before"),
])
def test_a_program_that_fails_says_why_in_one_line(program: str, tests: str, outcome: str, reason: str) -> None:
    verdict = run_code(program, tests)
    assert verdict.outcome == outcome
    assert verdict.reason.startswith(reason)
    assert verdict.reason.isprintable()


def test_nothing_left_behind_holds_up_the_end() -> None:
    program = ("import atexit, threading, time\natexit.register(time.sleep, 60)\n"
               "threading.Thread(target=time.sleep, args=(60,)).start()")
    verdict = run_code(program, "", Limits(threads=1))
    assert (verdict.outcome, verdict.reason) == ("passed", "")


def test_jobs_run_in_slots_and_answer_in_order() -> None:
    jobs = [Job(f"x = {n}", "assert x % 3 != 0, x") for n in range(6)]
    outcomes = [verdict.outcome for verdict in run_jobs(jobs, slots=2)]
    assert outcomes == ["failed", "passed", "passed"] * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives uids")
def test_programs_at_a_time_have_uids_of_their_own() -> None:
    with lent() as one:
        with lent() as other:
            assert None not in (one, other)
            assert one != other
        with lent() as again:
            assert again == other


@pytest.mark.slow
@pytest.mark.parametrize("program", ["while True: pass",
                                     "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"])
def test_cpu_is_limited_apart_from_the_wall_time(program: str) -> None:
    verdict = run_code(program, "", Limits(cpu_s=1, wall_s=60))
    assert (verdict.outcome, verdict.reason) == ("timed out", "took more than 1 s of CPU")


@pytest.mark.parametrize("backend", [found.backend for found in examine() if not found.lack])
def test_a_killed_parent_takes_its_program_with_it(backend: str) -> None:
    text = (f"from workbench.quality.sandbox import run_code\n"
            f"run_code('print(1, flush=True)\\nimport time; time.sleep(60)', '', backend={backend!r})")
    with tempfile.TemporaryDirectory() as base:  # its own folder outlives a parent that cannot remove it
        os.chmod(base, 0o755)
        env = {**os.environ, "TMPDIR": base}
        with subprocess.Popen([sys.executable, "-c", text], cwd=Path(__file__).parents[2], env=env) as parent:
            while not (uid := _uid_of_child(parent.pid)) or not inside(uid, confined=True):
                assert parent.poll() is None
                time.sleep(0.01)  # until it is there
            parent.send_signal(signal.SIGKILL)
        assert left(uid) == []


def _uid_of_child(pid: int) -> int | None:
    """Of the last of its children, once it has its own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    try:
        uid = os.stat(f"/proc/{children[-1]}").st_uid if children else 0
    except FileNotFoundError:
        uid = 0
    return uid or None


def test_a_sandbox_that_does_not_start_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:  # others may enter it
        program = Path(folder) / "bwrap"
        program.write_text("#!/bin/sh\necho 'bwrap: no permissions' >&2\nexit 1\n")
        program.chmod(0o755)
        Path(folder).chmod(0o755)
        monkeypatch.setenv("PATH", folder)
        with pytest.raises(Failure, match=r"sandbox \(bubblewrap\) did not start: bwrap: no permissions"):
            run_code("", "", backend="bubblewrap")
        program.chmod(0o700 if os.geteuid() == 0 else 0o100)
        with pytest.raises(Failure, match="did not start"):
            run_code("", "", backend="bubblewrap")
        program.unlink()
        with pytest.raises(Failure, match="bubblewrap is not installed"):
            run_code("", "", backend="bubblewrap")


def test_bad_limits_backends_and_processes_are_one_line() -> None:
    with pytest.raises(UsageError, match=r"sandbox: cpu_s = 0: must be above zero"):
        Limits(cpu_s=0)
    with pytest.raises(UsageError, match="wall_s = nan"):
        Limits(wall_s=float("nan"))
    with pytest.raises(UsageError, match="backend 'jail': unknown; known: bubblewrap, other uid"):
        run_code("", "", backend="jail")
    if os.geteuid() == 0:
        with pytest.raises(UsageError, match="processes = 2: more than one needs bubblewrap"):
            run_code("", "", Limits(processes=2), "other uid")
        with pytest.raises(Failure, match="never run as root"):
            run_code("", "", backend="own uid")


def test_without_a_sandbox_nothing_is_run_unless_told() -> None:
    def none() -> list[Found]:
        return [Found("bubblewrap", "bubblewrap is not installed"), Found("own uid", "no Landlock")]

    with pytest.raises(Failure, match=r"bubblewrap is not installed; own uid: no Landlock.*apt-get install.*--unsafe"):
        choose(looks=none)
    assert choose(looks=none, unsafe=True) == "unsafe"
    assert choose(looks=lambda: [*none(), Found("x", "")], unsafe=True) == "x"
    assert choose() == BACKEND


END = End(0, "", START, b"", 0.5)


@pytest.mark.parametrize(("end", "outcome"), [
    (replace(END, report=START + b'{"end": "passed", "nonce": "right"}\n'), "passed"),
    (replace(END, report=START + b'{"end": "passed", "nonce": "wrong"}\n'), "failed"),
    (replace(END, report=START + b'{"end": "passed"}\n{"end": "passed", "nonce": "right"}\n'), "passed"),
    (replace(END, report=START + b'[' * 4000 + b'\n[1]\n"x"\n\xff\n'), "failed"),
    (replace(END, report=START + b'{"end": "timed out"}\n', status=1), "failed"),
    (replace(END, report=START + b'{"end": "passed", "nonce": "right"}\n', stop="wall"), "timed out"),
    (replace(END, stop="output"), "blocked"),
    (replace(END, status=-signal.SIGSEGV), "crashed"),
    (replace(END, status=128 + signal.SIGSEGV), "crashed"),
    (replace(END, status=-signal.SIGSYS), "blocked"),
    (replace(END, status=-signal.SIGXCPU), "timed out"),
    (replace(END, status=-signal.SIGKILL), "crashed"),
    (replace(END, status=-signal.SIGKILL, wall_s=6), "timed out"),
])
def test_only_the_nonce_passes(end: End, outcome: str) -> None:
    assert judge(end, "right", Limits(), "bubblewrap").outcome == outcome


def test_a_report_without_a_start_is_an_error() -> None:
    with pytest.raises(Failure, match=r"sandbox \(bubblewrap\) did not start: bwrap: setting up uid map: denied"):
        judge(End(1, "", b"", b"bwrap: setting up uid map: denied\n", 0.1), "n", Limits(), "bubblewrap")
    with pytest.raises(Failure, match=r"did not start: not within 10 s; is the machine busy\? exit code -9"):
        judge(End(-9, "wall", b"", b"", 10.0), "n", Limits(), "bubblewrap")
