"""The parent's side of a run: start the worker, follow it, and turn what it wrote into a run log."""

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import orjson

from workbench.bench.judge import Limits, unjudged
from workbench.bench.plan import Plan
from workbench.bench.request import Prompt
from workbench.bench.target import Target
from workbench.errors import Failure, UsageError
from workbench.runlog.part import PartWriter, part_path, read_part
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog, finish

Progress = Callable[[int, int], None]  # requests done, requests in all
STOP_GRACE_S = 10.0


def run(
    target: Target, schedule: Sequence[Planned], prompts: Sequence[Prompt], final: Path, provenance: Provenance, *,
    concurrency: int | None = None, stagger_s: float = 0.2, limits: Limits | None = None,
    on_progress: Progress | None = None, loop: str = "uvloop",
) -> RunLog:
    """Send the schedule and return its log, which then lies at `final` (a .parquet file).

    `concurrency` None sends at the intended times (open loop); a number keeps that many in flight. Every planned
    request is a row, also when the run is cut short: on Ctrl-C or SIGTERM the log is written, marked partial, and
    KeyboardInterrupt is raised; when the worker dies, likewise, with Failure.
    """
    _check(schedule, prompts, final, concurrency, stagger_s)
    plan = Plan.of(
        target, schedule, prompts, part=part_path(final), provenance=provenance, concurrency=concurrency,
        stagger_s=stagger_s, limits=limits or Limits(), loop=loop,
    )
    final.parent.mkdir(parents=True, exist_ok=True)
    end, interrupted, words = _work(plan, on_progress)
    if "failed" in end:
        raise Failure(str(end["failed"]))
    if not plan.part.exists():  # it was stopped before its first line
        PartWriter(plan.part, provenance, schedule).close()
    client = end.get("end") or unjudged("the client ended before it could judge itself")
    stopped = bool(client.pop("stopped", True))
    known = read_part(plan.part).provenance
    started = client.pop("started_at_utc", known.started_at_utc)
    log = finish(final, partial=stopped, provenance=replace(known, client=client, started_at_utc=started))
    if interrupted:
        raise KeyboardInterrupt
    if "end" not in end:
        kept = len(log) - log.outcomes()["unfinished"]
        raise Failure(f"the load generator's worker {words}; {kept} of {len(log)} requests are kept in {final.name}")
    return log


def _check(
    schedule: Sequence[Planned], prompts: Sequence[Prompt], final: Path, concurrency: int | None, stagger_s: float
) -> None:
    if not schedule:
        raise UsageError("requests: 0: nothing to send; ask for at least one")
    if len(prompts) != len(schedule):
        raise ValueError(f"{len(prompts)} prompts for {len(schedule)} requests")
    if len({planned.request_id for planned in schedule}) != len(schedule):
        raise ValueError("two requests of the schedule have the same id")
    if concurrency is not None and concurrency < 1:
        raise UsageError(f"concurrency: {concurrency}: must be at least 1")
    if stagger_s < 0:
        raise UsageError(f"stagger_s: {stagger_s}: must not be negative")
    if concurrency is None and any(planned.intended_ns is None for planned in schedule):
        raise UsageError("this workload has no arrival times: give a concurrency, or arrivals with a rate")
    for path in (final, part_path(final)):
        if path.exists():
            raise UsageError(f"{path}: a run is there already; choose another folder")


def _work(plan: Plan, on_progress: Progress | None) -> tuple[dict[str, Any], bool, str]:
    """(the worker's last word, whether we were asked to stop, how the process ended)."""
    with tempfile.TemporaryFile() as errors:
        # a session of its own: a Ctrl-C in the terminal reaches only us, and we tell the worker in order
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "workbench.bench.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors, start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with _stopping(process) as asked:
                with contextlib.suppress(BrokenPipeError):
                    plan.send(process.stdin)
                end = _follow(process.stdout, on_progress)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_GRACE_S)
        finally:
            process.kill()  # nothing happens to one that has ended
            code = process.wait()
            process.stdout.close()
            with contextlib.suppress(OSError):
                process.stdin.close()
        return end, bool(asked), _how_it_ended(code, errors)


def _follow(lines: IO[bytes], on_progress: Progress | None) -> dict[str, Any]:
    """Read the worker's lines to the last; the one that ends the run is returned."""
    end: dict[str, Any] = {}
    for line in lines:
        message = orjson.loads(line)
        if "done" not in message:
            end = message
        elif on_progress is not None:
            on_progress(message["done"], message["total"])
    return end


@contextlib.contextmanager
def _stopping(process: "subprocess.Popen[bytes]") -> Iterator[list[int]]:
    """While open, SIGINT and SIGTERM ask the worker to stop; a second one kills it. Yields the signals seen."""
    seen: list[int] = []

    def ask(number: int, _frame: object) -> None:
        seen.append(number)
        process.terminate() if len(seen) == 1 else process.kill()

    if threading.current_thread() is not threading.main_thread():
        yield seen  # only the main thread may set handlers: there the caller stops us by closing the process
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _how_it_ended(code: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    words = errors.read().decode("utf-8", "replace").strip().splitlines()
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    return how + (f": {words[-1]}" if words else "")
