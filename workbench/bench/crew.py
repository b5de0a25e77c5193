"""The parent's side of the workers: start them, give them one clock, follow them, stop them."""

import contextlib
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import orjson

from workbench.bench.pileup import PileUp
from workbench.bench.plan import Plan

Progress = Callable[[int, int], None]  # requests done, requests in all
STOP_GRACE_S = 10.0
TOGETHER_S = 0.05  # from the word to go until t=0, so that each of several workers has it by then
READ_BYTES = 1 << 16


@dataclass(eq=False)
class Worker:
    """A process that sends its part of the requests."""

    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]
    total: int
    done: int = 0
    in_flight: int = 0
    ready: bool = False
    end: dict[str, Any] = field(default_factory=dict)  # its last word
    tail: bytes = b""

    def hear(self, data: bytes) -> None:
        """Its lines, in any cut."""
        *lines, self.tail = (self.tail + data).split(b"\n")
        for message in map(orjson.loads, lines):
            if "ready" in message:
                self.ready = True
            elif "done" in message:
                self.done, self.in_flight = message["done"], message["in_flight"]
            else:
                self.end = message

    def how_it_ended(self) -> str:
        code = self.process.wait()
        self.errors.seek(0)
        words = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return how + (f": {words[-1]}" if words else "")


def work(
    plans: Sequence[Plan], on_progress: Progress | None, pile_up: PileUp | None = None,
) -> tuple[list[dict[str, Any]], bool, str]:
    """(each worker's last word, whether we were asked to stop, how the first without one ended).

    Where one ends without its last word the others are asked to stop, too: half a load is another load.
    """
    with contextlib.ExitStack() as stack:
        crew = [_hired(plan, stack) for plan in plans]
        with _stopping(crew) as asked:
            for worker, plan in zip(crew, plans, strict=True):
                with contextlib.suppress(BrokenPipeError):
                    plan.send(_stdin(worker))
            _follow(crew, on_progress, pile_up)
            for worker in crew:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(STOP_GRACE_S)
        silent = next((worker for worker in crew if not worker.end), crew[0])
        silent.process.kill()
        return [worker.end for worker in crew], bool(asked), silent.how_it_ended()


def _hired(plan: Plan, stack: contextlib.ExitStack) -> Worker:
    errors = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    # a session of its own: a Ctrl-C in the terminal reaches only us, and we tell the worker in order
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "workbench.bench.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=errors, start_new_session=True,
    )
    stack.callback(_dismissed, process)
    return Worker(process, errors, len(plan.schedule))


def _dismissed(process: "subprocess.Popen[bytes]") -> None:
    process.kill()  # nothing happens to one that has ended
    process.wait()
    for pipe in (process.stdout, process.stdin):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()


def _stdin(worker: Worker) -> IO[bytes]:
    assert worker.process.stdin is not None
    return worker.process.stdin


def _follow(crew: Sequence[Worker], on_progress: Progress | None, pile_up: PileUp | None) -> None:
    """Read every worker to the end of its output; once all are ready, say when t=0 is."""
    started, started_s = False, 0.0
    with selectors.DefaultSelector() as selector:
        for worker in crew:
            assert worker.process.stdout is not None
            selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        while selector.get_map():
            for key, _ in selector.select():
                worker, pipe = key.data, key.fileobj
                data = pipe.read1(READ_BYTES)  # type: ignore[union-attr]
                if data:
                    worker.hear(data)
                    continue
                selector.unregister(pipe)
                if not worker.end or "failed" in worker.end:
                    for other in crew:
                        other.process.terminate()
            if not started and all(worker.ready for worker in crew):
                started, started_s = True, time.monotonic()
                _go(crew)
            if started and pile_up is not None and pile_up.why is None and pile_up.saw(
                    time.monotonic() - started_s, sum(worker.done for worker in crew),
                    sum(worker.in_flight for worker in crew)):
                for worker in crew:
                    worker.process.terminate()  # in order: what is in flight becomes rows
            if on_progress is not None and any(worker.done for worker in crew):
                on_progress(sum(worker.done for worker in crew), sum(worker.total for worker in crew))


def _go(crew: Sequence[Worker]) -> None:
    """One t=0 for all."""
    zero_ns = time.perf_counter_ns() + (round(TOGETHER_S * 1e9) if len(crew) > 1 else 0)
    for worker in crew:
        with contextlib.suppress(BrokenPipeError):
            _stdin(worker).write(b"%d\n" % zero_ns)
            _stdin(worker).flush()


@contextlib.contextmanager
def _stopping(crew: Sequence[Worker]) -> Iterator[list[int]]:
    """While open, SIGINT and SIGTERM ask the workers to stop; a second one kills them. Yields the signals seen."""
    seen: list[int] = []

    def ask(number: int, _frame: object) -> None:
        seen.append(number)
        for worker in crew:
            worker.process.terminate() if len(seen) == 1 else worker.process.kill()

    if threading.current_thread() is not threading.main_thread():
        yield seen  # only the main thread may set handlers: there the caller stops us by closing the process
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
