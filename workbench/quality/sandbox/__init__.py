"""Generated code in a sandbox: `run_code(program, tests)` says what became of it. Linux on x86-64.

It promises the safety of the host, not an unforgeable verdict (docs/quality/sandbox.md). Standard library only.
"""

from workbench.quality.sandbox.choose import Found, choose, examine
from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.run import Job
from workbench.quality.sandbox.slots import run_code, run_jobs
from workbench.quality.sandbox.verdict import Outcome, Verdict

__all__ = ["Found", "Job", "Limits", "Outcome", "Verdict", "choose", "examine", "run_code", "run_jobs"]
