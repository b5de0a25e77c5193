"""Running generated code: one program, or many in parallel slots."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from workbench.quality.sandbox.choose import choose
from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.run import Job, run_in_backend
from workbench.quality.sandbox.verdict import Verdict


def run_code(program: str, tests: str, limits: Limits | None = None, backend: str | None = None) -> Verdict:
    """What becomes of `tests` after `program`. Without a backend: the best that holds here, or Failure."""
    return run_in_backend(Job(program, tests), limits or Limits(), backend or choose())


def run_jobs(
    jobs: Iterable[Job], slots: int = 1, limits: Limits | None = None, backend: str | None = None
) -> Iterator[Verdict]:
    """Verdicts in the order of the jobs, `slots` programs at a time. A slow machine wants few: time limits are real."""
    chosen, allowed = backend or choose(), limits or Limits()
    with ThreadPoolExecutor(slots) as pool:
        yield from pool.map(lambda job: run_in_backend(job, allowed, chosen), jobs)
