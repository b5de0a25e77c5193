"""One way to run many equal tasks: here, in local processes, or on a Ray cluster. Results come in order.

    run(function, tasks, Where(workers=4))
    run(function, tasks, Where(ray="local"))

A task is a seed with its inputs and carries its own random streams, so where it runs changes nothing.
"""

import contextlib
import multiprocessing as mp
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeVar

from workbench.errors import Failure, UsageError, WorkbenchError

T = TypeVar("T")
R = TypeVar("R")
OnDone = Callable[[int, int], None]  # (tasks done, tasks in all)
WORTH_S = 4.0  # starting processes costs about a second each: only for more work than this


@dataclass(frozen=True, slots=True)
class Where:
    """`workers` None: one a core. `ray`: the address of a cluster, "auto", or "local" for one started here."""

    workers: int | None = None
    ray: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}; at least 1")

    @property
    def processes(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))


def run(
    function: Callable[[T], R], tasks: Sequence[T], where: Where | None = None, on_done: OnDone | None = None
) -> list[R]:
    """`[function(task) for task in tasks]`, elsewhere and at once. Function, tasks and results must be picklable.

    The first error ends it: a WorkbenchError arrives as its one line, with its exit code. Ctrl-C ends the workers.
    """
    place = where or Where()
    found: list[R] = []
    if on_done is not None:
        on_done(0, len(tasks))
    with contextlib.closing(_results(function, tasks, place)) as results:  # an error ends the workers at once
        for result in results:
            found.append(result)
            if on_done is not None:
                on_done(len(found), len(tasks))
    return found


def _results(function: Callable[[T], R], tasks: Sequence[T], where: Where) -> Generator[R, None, None]:
    if where.ray is not None:
        from workbench.flows.executor_ray import on_ray

        yield from _opened(on_ray(function, tasks, where.ray))
        return
    processes = min(where.processes, len(tasks))
    began = time.monotonic()
    for i, task in enumerate(tasks):
        passed = time.monotonic() - began
        # the first task's time says whether the others are worth processes of their own
        if i and processes > 1 and passed / i * (len(tasks) - i) > WORTH_S:
            yield from _opened(_pooled(function, tasks[i:], min(processes, len(tasks) - i)))
            return
        yield function(task)


@dataclass(frozen=True, slots=True)
class Refused:
    """An expected failure on its way back from a worker: exceptions with arguments of their own do not pickle."""

    text: str
    usage: bool


def guarded(function: Callable[[T], R], task: T) -> R | Refused:
    """What a worker runs."""
    try:
        return function(task)
    except WorkbenchError as error:
        return Refused(str(error), isinstance(error, UsageError))


def _opened(items: Generator[R | Refused, None, None]) -> Generator[R, None, None]:
    """Workers' results, or the first failure raised here; either way what gave them is closed."""
    with contextlib.closing(items):
        for item in items:
            if isinstance(item, Refused):
                raise UsageError(item.text) if item.usage else Failure(item.text)
            yield item


def _pooled(function: Callable[[T], R], tasks: Sequence[T], processes: int) -> Generator[R | Refused, None, None]:
    """In fresh processes: a forked one would inherit the locks of this one's threads."""
    before = set(mp.active_children())
    pool = ProcessPoolExecutor(processes, mp_context=mp.get_context("spawn"), initializer=_begin_worker)
    waiting: list[Future[R | Refused]] = []
    try:
        for task in tasks:
            waiting.append(pool.submit(guarded, function, task))  # one by one: an interrupt may come in between
        for future in waiting:
            yield future.result()
    except BrokenProcessPool as error:
        raise Failure("a worker process died, most likely for want of memory; use fewer with --workers") from error
    finally:
        if len(waiting) == len(tasks) and all(future.done() for future in waiting):
            pool.shutdown()
        else:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(mp.active_children()) - before:
                child.terminate()


def _begin_worker() -> None:
    """Ctrl-C is the parent's to handle, and a worker never outlives its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = mp.parent_process()

    def leave_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
