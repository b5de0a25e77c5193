"""The process that measures: `python -m workbench.bench.worker`, its plan on standard input.

It writes NAME.part.jsonl as requests end, progress as JSON lines on standard output, and stops early on
SIGTERM or when its standard input closes, which also happens when the parent dies.
"""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import stat
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from workbench.bench.client import Client
from workbench.bench.judge import LagMeter, Sends, judge
from workbench.bench.loops import closed_loop, open_loop
from workbench.bench.plan import Plan
from workbench.errors import Failure
from workbench.runlog.part import PartWriter, line
from workbench.runlog.provenance import now_utc
from workbench.runlog.schema import Row

WRITE_EVERY_S = 0.2
MOST_WARM = 1024
NICE = -20
Say = Callable[[dict[str, Any]], None]


def main() -> int:
    try:
        plan = Plan.receive(sys.stdin.buffer)
    except ValueError:
        return 1  # the parent is gone: nobody to tell
    _more_files()
    _ahead()
    gc.disable()  # what a run allocates is freed by reference count; a collection would be a pause in the middle
    run, loop_name = _runner(plan.loop)
    try:
        run(_session(plan, loop_name))
    except Failure as error:
        say({"failed": str(error)})
        return 1
    return 0


def say(message: dict[str, Any]) -> None:
    """One JSON line to the parent, which may be gone."""
    with contextlib.suppress(OSError):
        os.write(1, orjson.dumps(message) + b"\n")


def _runner(wanted: str) -> tuple[Callable[[Coroutine[Any, Any, None]], None], str]:
    """uvloop where it is installed, else the standard loop."""
    if wanted == "uvloop":
        try:
            import uvloop
        except ImportError:
            return asyncio.run, "asyncio"
        return uvloop.run, "uvloop"
    return asyncio.run, "asyncio"


def _more_files() -> None:
    """A connection is a file: allow as many as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard) if hard > 0 else soft, hard))


def _ahead() -> None:
    """Before others in the queue for a core, where we may: what waits is the reading of the clock.

    Linux shares cores among sessions first (sched(7), autogroup): where the session is ours alone, it counts, too.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(NICE), encoding="ascii")


def _most_resident_mib() -> float | None:
    """Of this process alone: what `getrusage` says includes the parent's before the start."""
    with contextlib.suppress(OSError, StopIteration, ValueError), open("/proc/self/status", encoding="ascii") as lines:
        return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024, 1)
    return None


async def _session(plan: Plan, loop_name: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    zero: asyncio.Future[int] = loop.create_future()

    def heard() -> None:
        """One line, when t=0 is; after that nothing: readable means closed."""
        word = os.read(0, 64)
        if word and not zero.done():
            zero.set_result(int(word))
        else:
            stop.set()

    if stat.S_ISFIFO(os.fstat(0).st_mode):
        loop.add_reader(0, heard)
    client = await drive(plan, stop, say, zero)
    say({"end": client | {"loop": loop_name, "nice": os.getpriority(os.PRIO_PROCESS, 0),
                          "rss_mib": _most_resident_mib()}})


async def drive(
    plan: Plan, stop: asyncio.Event, report: Say, zero: "asyncio.Future[int] | None" = None
) -> dict[str, Any]:
    """Send everything, write every row, and return the client's judgement of itself; raises Failure.

    `zero` comes with the moment of t=0, on the system's monotonic clock; without it that is when all is ready.
    """
    with _part_file(plan) as writer:
        ended = Ended(writer)
        client = Client(plan.target, plan.provenance.engine, ended.take)
        try:
            return await _measure(plan, client, ended, stop, report, zero)
        finally:
            await client.close()


async def _measure(
    plan: Plan, client: Client, ended: "Ended", stop: asyncio.Event, report: Say, zero: "asyncio.Future[int] | None",
) -> dict[str, Any]:
    requests = plan.requests()
    await client.resolve()
    await client.warm(min(plan.concurrency or 8, len(requests), MOST_WARM))
    stopping = asyncio.ensure_future(stop.wait())
    report({"ready": True})
    if zero is not None:
        waited: list[asyncio.Future[Any]] = [zero, stopping]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    lag = LagMeter()
    at_ns = zero.result() if zero is not None and zero.done() else None
    started_at_utc, zero_ns, cpu_s = now_utc(), client.start_clock(at_ns), time.process_time()
    lag.start()
    sending = asyncio.ensure_future(_send_all(plan, client, requests))
    try:
        while not sending.done() and not stopping.done():
            await asyncio.wait([sending, stopping], timeout=WRITE_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            ended.write()
            report({"done": ended.n, "total": len(requests), "in_flight": client.in_flight})
        cpu_s = time.process_time() - cpu_s
        cpu_frac = cpu_s / max(client.clock() / 1e9, 1e-9)
        stopped = not sending.done()
    finally:
        for task in (sending, stopping):
            task.cancel()
        await asyncio.wait([sending, stopping])  # nothing more is sent
        await client.close()  # what is in flight becomes rows
        lag.stop()
    if not stopped:
        sending.result()  # a bug in the loops is not to be hidden
    ended.write()
    return judge(ended.sends, lag.late_ns, cpu_frac, plan.limits) | {
        "stopped": stopped, "started_at_utc": started_at_utc, "zero_monotonic_ns": zero_ns,
        "cpu_s": round(cpu_s, 6), **asdict(client.stats),
    }


async def _send_all(plan: Plan, client: Client, requests: list[tuple[Any, bytes]]) -> None:
    if plan.concurrency is not None:
        await closed_loop(client, requests, plan.concurrency, plan.stagger_s)
    else:
        await asyncio.gather(*await open_loop(client, requests))


class Ended:
    """Requests that have their row: a line for the file at once, so that no pile of them holds up a read later."""

    def __init__(self, writer: PartWriter) -> None:
        self.n, self.sends = 0, Sends()
        self._writer = writer
        self._lines: list[str] = []

    def take(self, row: Row) -> None:
        self.n += 1
        self.sends.take(row)
        self._lines.append(line(row))

    def write(self) -> None:
        """Raises OSError."""
        lines, self._lines = self._lines, []
        self._writer.write_lines(lines)


@contextlib.contextmanager
def _part_file(plan: Plan) -> Iterator[PartWriter]:
    """The part file, open; a disk that is full is one line."""
    writer: PartWriter | None = None
    try:
        writer = PartWriter(plan.part, plan.provenance, plan.schedule)
        yield writer
        writer.close()
    except OSError as error:
        raise Failure(f"{plan.part.name}: cannot be written: {error.strerror or error}; what fitted is kept") from error


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.exit(code)
