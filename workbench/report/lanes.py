"""Many report runs: the fast lane in this process, the full lane as processes of their own, a few at a time.

A failed run is kept, marked failed, and the others go on.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.report import library, runner

QUICK = "quick"  # the parameter that makes a notebook small


@dataclass(frozen=True, slots=True)
class Job:
    """One run that is wanted. `expected_s` is what its header says."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    inputs: Path | None = None
    expected_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of it: the run's folder and CPU-seconds, or why it failed."""

    job: Job
    folder: str | None
    error: str | None
    took_s: float


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    total: int
    left_s: float  # at the pace so far against the headers' run times


Told = Callable[[Ended, Progress], None]


def book(quick: bool) -> list[Job]:
    """Every chapter and appendix, in order. Notebooks that want inputs of their own are no part of the book."""
    found = [item for item in library.every() if item.chapter]
    return [Job(item.name, {QUICK: True} if quick else {}, None, item.quick_s if quick else item.run_s)
            for item in found]


def fast(jobs: Sequence[Job], out: Path, told: Told) -> list[Ended]:
    """One after another in this process."""
    meter = _Meter(jobs)
    for job in jobs:
        begun_s = time.process_time()
        try:
            run = runner.run(job.name, job.values, inputs=job.inputs, out=out, fast=True)
            ended = Ended(job, run.folder.name, None, time.process_time() - begun_s)
        except WorkbenchError as error:
            ended = Ended(job, None, str(error), time.process_time() - begun_s)
        told(ended, meter.after(ended))
    return meter.ended


def full(jobs: Sequence[Job], out: Path, at_once: int, told: Told) -> list[Ended]:
    """Through papermill, `at_once` at a time, the longest first. An interrupt ends the children, too."""
    meter, children = _Meter(jobs), set[subprocess.Popen[str]]()
    pool = ThreadPoolExecutor(at_once)
    try:
        waiting: list[Future[Ended]] = [
            pool.submit(_child, job, out, children) for job in sorted(jobs, key=lambda job: -job.expected_s)
        ]
        for ready in as_completed(waiting):
            told(ready.result(), meter.after(ready.result()))
    except BaseException:
        for child in list(children):
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return meter.ended


def _child(job: Job, out: Path, children: set[subprocess.Popen[str]]) -> Ended:
    words = [sys.executable, "-m", "workbench", "report", "run", job.name, "--out", str(out), "--json"]
    words += [word for key, value in job.values.items() for word in ("-p", f"{key}={_written(value)}")]
    words += ["--inputs", str(job.inputs)] if job.inputs is not None else []
    begun_s = time.monotonic()
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    children.add(child)
    said, problem = child.communicate()
    children.discard(child)
    took_s = time.monotonic() - begun_s
    if child.returncode:
        last = problem.strip().splitlines()[-1:] or [f"it ended with {child.returncode}"]
        return Ended(job, None, last[0].removeprefix("workbench: "), took_s)
    return Ended(job, json.loads(said)["run_id"], None, took_s)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class _Meter:
    """How long the rest takes, if it is as much slower or faster than said as what is done."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.total, self.said_s, self.ended = len(jobs), sum(job.expected_s for job in jobs), list[Ended]()
        self._begun_s = time.monotonic()

    def after(self, ended: Ended) -> Progress:
        self.ended.append(ended)
        done_s = sum(item.job.expected_s for item in self.ended)
        passed_s, left_s = time.monotonic() - self._begun_s, 0.0
        with contextlib.suppress(ZeroDivisionError):
            left_s = passed_s / done_s * (self.said_s - done_s)
        return Progress(len(self.ended), self.total, left_s)
