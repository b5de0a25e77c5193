"""Programs from answers, and whether they pass in the sandbox; for lm-eval, in whose environment this runs."""

import os
from typing import Any

from workbench.quality.sandbox import choose, run_code


def programs(resps: list[list[str]], docs: list[dict[str, Any]]) -> list[list[str]]:
    return [[doc["prompt"] + text for text in texts] for texts, doc in zip(resps, docs, strict=True)]


def pass_at_1(references: list[str], predictions: list[list[str]]) -> float:
    """The share of an item's programs that pass: pass@1."""
    backend = choose(unsafe=os.environ.get("WORKBENCH_UNSAFE") == "1")
    passed = [run_code(program, references[0], backend=backend).outcome == "passed" for program in predictions[0]]
    return sum(passed) / len(passed)
