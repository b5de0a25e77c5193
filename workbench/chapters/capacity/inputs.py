"""A results folder: validation.json, plan.json, gpus.json and profiles, each optional, each of a known kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.files import read_json
from workbench.profile.profile import Profile, read
from workbench.report.prose import Prose

MISSING = "*Not in the inputs: {what}. `{command}` makes it.*"


@dataclass(frozen=True)
class Inputs:
    """What the folder held. `validations` has one entry a validated workload, `profiles` one a quantisation."""

    validations: tuple[dict[str, Any], ...]
    plan: dict[str, Any] | None
    profiles: tuple[Profile, ...]
    gpus: dict[str, Any] | None = None


def load(folder: str) -> Inputs:
    """Read a results folder. Files of another kind are left alone; one of ours in a newer schema is refused."""
    validations: list[dict[str, Any]] = []
    plan: dict[str, Any] | None = None
    gpus: dict[str, Any] | None = None
    profiles: list[Profile] = []
    for path in sorted(Path(folder).rglob("*.json")):
        value = read_json(path)
        kind = value.get("kind") if isinstance(value, dict) else None
        if kind == "workbench.validations":
            validations += [_known(item, path) for item in value["items"]]
        elif kind == "workbench.validation":
            validations.append(_known(value, path))
        elif kind == "workbench.plan":
            plan = _known(value, path)
        elif kind == "workbench.gpus":
            gpus = _known(value, path)
        elif kind == "workbench.profile":
            profiles.append(read(path))
    if not validations and plan is None and gpus is None and not profiles:
        raise UsageError(f"{folder}: holds no validation, plan or profile of the workbench")
    return Inputs(tuple(validations), plan, tuple(profiles), gpus)


def _known(value: dict[str, Any], path: Path) -> dict[str, Any]:
    if value.get("schema") != 1:
        raise UsageError(f"{path.name}: {value.get('kind')} schema {value.get('schema')!r}; this version reads 1")
    return value


def missing(what: str, command: str) -> Prose:
    return Prose(MISSING.format(what=what, command=command))


def called(subject: dict[str, Any]) -> str:
    """The short name of what was measured: its quantisation, else its model."""
    return str(subject.get("quant") or subject.get("model") or "unnamed")
