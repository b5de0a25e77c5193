"""What ways to quantise there are, and what each lacks here."""

from typing import Any

from workbench.flows import quantise_environments
from workbench.models import quantise
from workbench.models.formats import K_QUANTS
from workbench.models.quantise import llama_tool
from workbench.models.quantise.method import Method


def methods() -> list[dict[str, Any]]:
    """One dict each: name, title, form, bits, environment, reads, state."""
    found = [quantise.find(name) for name in quantise.METHODS]
    return [{"name": method.name, "title": method.title, "form": method.form, "bits": method.bits,
             "environment": method.environment, "reads": list(method.reads), "calibration": method.calibration,
             "state": _state(method)} for method in found]


def _state(method: Method) -> str:
    if method.needs_gpu:
        return "needs an NVIDIA GPU"
    if method.name in K_QUANTS and not llama_tool.available():
        return "needs llama.cpp's quantiser (--fetch)"
    if method.environment and not quantise_environments.ready(method.environment):
        return f"needs the environment {method.environment} (--install)"
    return "ready"
