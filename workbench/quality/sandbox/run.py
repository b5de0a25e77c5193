"""One program in one backend."""

import secrets
from dataclasses import dataclass

from workbench.errors import UsageError
from workbench.quality.sandbox.backends import BACKENDS
from workbench.quality.sandbox.child import run_in
from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.verdict import Verdict, judge


@dataclass(frozen=True, slots=True)
class Job:
    """`tests` runs after `program`, in its namespace; it passes when they come to their end."""

    program: str
    tests: str


def run_in_backend(job: Job, limits: Limits, backend: str) -> Verdict:
    """Raises Failure where this backend cannot be had here."""
    if backend not in BACKENDS:
        raise UsageError(f"sandbox: backend {backend!r}: unknown; known: {', '.join(BACKENDS)}")
    nonce = secrets.token_hex(16)
    with BACKENDS[backend](limits) as place:
        end = run_in(place, {"program": job.program, "tests": job.tests, "nonce": nonce}, limits)
    return judge(end, nonce, limits, backend)
