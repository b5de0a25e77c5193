"""Does a generated function pass its tests? In the sandbox, or not at all."""

from __future__ import annotations

from workbench.models.tasks import CodeTask
from workbench.quality.humaneval import job
from workbench.quality.sandbox import Limits, run_code

SMALL = Limits(cpu_s=1)  # these functions are a line or five


def passes(task: CodeTask, completion: str) -> bool:
    """Whether prompt + completion satisfies the task's tests within the limits."""
    asked = job(task, task.prompt + completion)
    return run_code(asked.program, asked.tests, SMALL).outcome == "passed"
