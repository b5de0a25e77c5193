"""One program in one place: started, fed, read within limits, ended."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import Failure
from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.verdict import End
from workbench.quality.sandbox.watch import Watch

REPORT_BYTES = 4096
INSIDE = Path(__file__).with_name("inside.py")


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how a program runs. `argv` begins the command; `uid` is None for one's own; `order` is what is asked
    inside; `tasks` are the processes and threads that the uid may have, None where it has others; `folder`, where the
    host has one, is the working folder and is watched."""

    argv: tuple[str, ...]
    uid: int | None
    order: dict[str, Any]
    tasks: int | None = None
    folder: Path | None = None


def run_in(place: Place, job: dict[str, str], limits: Limits) -> End:
    """`job` (program, tests, nonce) goes in by a file without a name. Nothing of the child is left afterwards."""
    with contextlib.ExitStack() as stack:
        report, told = _pipe(stack)
        output, said = _pipe(stack)
        order = stack.enter_context(tempfile.TemporaryFile())
        rlimits = _rlimits(limits, place.tasks)
        order.write(json.dumps({**place.order, **job, "report_fd": told, "rlimits": rlimits}).encode())
        order.seek(0)
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                [*place.argv, "-I", "-S", "-c", INSIDE.read_text(encoding="utf-8")],
                stdin=order, stdout=said, stderr=said, pass_fds=(told,), env={}, cwd=place.folder or "/",
                start_new_session=True, user=place.uid, group=place.uid, extra_groups=None if place.uid is None else [],
            )
        except OSError as error:
            raise Failure(f"sandbox did not start: {error.strerror}") from error
        finally:
            os.close(told)
            os.close(said)
        watch = Watch({report: REPORT_BYTES, output: limits.output_bytes}, limits, place.folder)
        with process:
            try:
                stop = watch.until_end(process.pid, started)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        stop = stop or watch.rest()
        return End(status, stop, bytes(watch.got[report]), bytes(watch.got[output]), time.monotonic() - started)


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Its reading end, closed by the stack, and its writing end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    stack.callback(os.close, reading)
    return reading, writing


def _rlimits(limits: Limits, tasks: int | None) -> list[tuple[str, int, int]]:
    same = {"RLIMIT_AS": limits.memory_bytes, "RLIMIT_FSIZE": limits.file_bytes, "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_CORE": 0, "RLIMIT_MEMLOCK": 0, "RLIMIT_MSGQUEUE": 0}
    if tasks is not None:
        same["RLIMIT_NPROC"] = tasks
    # the hard limit of CPU comes a second later, for who ignores the signal of the soft one
    return [("RLIMIT_CPU", limits.cpu_s, limits.cpu_s + 1), *((name, most, most) for name, most in same.items())]
