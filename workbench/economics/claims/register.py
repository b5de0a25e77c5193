"""The register: rows of datasets/claims.toml, each with a check by name, and whether the two still agree."""

import importlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from workbench.config import Settings, load
from workbench.economics.claims.found import Found, Verdict
from workbench.errors import UsageError
from workbench.paths import datasets

ROOM = "workbench.economics.claims."  # the modules whose functions a row may name
TOLERANCE = 0.005
Check = Callable[[], Found]


class Claim(Settings):
    """One figure of the book. `numbers` is what the check found when the row was written; a test recomputes it."""

    id: str = Field(pattern=r"^[a-z0-9-]{3,40}$")
    chapter: str
    claim: str
    check: str = Field(pattern=r"^[a-z_]+\.[a-z_0-9]+$")  # module.function
    verdict: Verdict
    say: str  # instead, or beside it
    simulated: bool = False  # takes seconds to minutes: recomputed by the slow tests
    numbers: dict[str, Annotated[float, Field()]]


class Register(Settings):
    """datasets/claims.toml."""

    claim: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> "Register":
        names = [one.id for one in self.claim]
        if len(set(names)) < len(names):
            raise ValueError("claim: the same id twice; ids tell them apart")
        return self


def register(path: Path | None = None) -> tuple[Claim, ...]:
    return load(Register, path or datasets() / "claims.toml").claim


def check_of(claim: Claim, simulated: Mapping[str, Check]) -> Check:
    """The function that a row names: here, or among those that need a simulation."""
    if claim.check in simulated:
        return simulated[claim.check]
    module, _, name = claim.check.partition(".")
    try:
        found = getattr(importlib.import_module(ROOM + module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != ROOM + module:
            raise
        raise UsageError(f"claims.toml: {claim.id}: check: {claim.check!r} is no function of {ROOM[:-1]}") from None
    checked: Check = found
    return checked


def disagreement(claim: Claim, found: Found) -> str | None:
    """How the row and its recomputation differ, in words; None where they do not."""
    if found.verdict != claim.verdict:
        return f"{claim.id}: the check says {found.verdict}, the row {claim.verdict}"
    if set(found.numbers) != set(claim.numbers):
        return f"{claim.id}: the check gives {', '.join(found.numbers)}, the row {', '.join(claim.numbers)}"
    for name, value in found.numbers.items():
        if not math.isclose(value, claim.numbers[name], rel_tol=TOLERANCE, abs_tol=1e-9):
            return f"{claim.id}: {name} is {value:.6g}, the row has {claim.numbers[name]:.6g}"
    return None
