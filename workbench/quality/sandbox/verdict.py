"""What became of a program: one of five words, and why."""

import json
import signal
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import Failure
from workbench.quality.sandbox.limits import Limits
from workbench.text import one_line

Outcome = Literal["passed", "failed", "timed out", "crashed", "blocked"]
Stop = Literal["", "wall", "output", "folder"]
SHELL_SIGNAL = 128  # bubblewrap exits with this plus the signal


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended: `status` as Popen has it; `stop` says what we killed it for."""

    status: int
    stop: Stop
    report: bytes
    output: bytes
    wall_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is one printable line. `output` is the program's own (stdout and stderr together, cut at the limit):
    hostile wherever it is shown. `python` is the version of the interpreter that ran it."""

    outcome: Outcome
    reason: str
    output: str
    wall_s: float
    backend: str
    python: str


def judge(end: End, nonce: str, limits: Limits, backend: str) -> Verdict:
    """Raises Failure where the sandbox did not come to run the program: that is no verdict on it."""
    lines = [_line(line) for line in end.report.splitlines()]
    output = end.output.decode(errors="replace")
    if not lines or "started" not in lines[0]:
        said = output.strip().splitlines()[-1:] or [f"exit code {end.status}"]
        busy = f"not within {limits.wall_s:g} s; is the machine busy? "  # its time runs from the very beginning
        raise Failure(f"sandbox ({backend}) did not start: {busy if end.stop == 'wall' else ''}{one_line(said[0])}")
    outcome, reason = _outcome(end, lines[1:], nonce, limits)
    return Verdict(outcome, one_line(reason), output, end.wall_s, backend, one_line(str(lines[0]["started"])))


def _line(text: bytes) -> dict[str, Any]:
    """One line of the report. The program can write there, too."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _outcome(end: End, said: list[dict[str, Any]], nonce: str, limits: Limits) -> tuple[Outcome, str]:
    match end.stop:
        case "wall":
            return "timed out", f"ran longer than {limits.wall_s:g} s"
        case "output":
            return "blocked", f"wrote more than {limits.output_bytes:,} bytes of output"
        case "folder":
            return "blocked", f"its folder took more than {limits.folder_bytes:,} bytes"
    for line in said:
        if line.get("end") == "passed" and line.get("nonce") == nonce:
            return "passed", ""
        if line.get("end") in ("failed", "blocked"):
            return line["end"], str(line.get("reason", ""))
    return _by_signal(end, limits)


def _by_signal(end: End, limits: Limits) -> tuple[Outcome, str]:
    number = -end.status if end.status < 0 else end.status - SHELL_SIGNAL
    if number not in set(signal.Signals):
        return "failed", f"ended (exit code {end.status}) before the tests were over"
    name = signal.Signals(number).name
    if number == signal.SIGXCPU or (number == signal.SIGKILL and end.wall_s >= limits.cpu_s):
        return "timed out", f"took more than {limits.cpu_s} s of CPU"
    if number == signal.SIGSYS:
        return "blocked", "a system call of another architecture"
    return "crashed", f"ended by {name}"
