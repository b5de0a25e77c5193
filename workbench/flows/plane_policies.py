"""Policies of a plane scenario as given on a command line: `scheduling=vtc`, `scheduling=./mine.py:Mine`.

Code is taken from a command line only: a scenario that names a file is refused.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sims.plane.custom import KINDS, blamed, load_policy
from sims.plane.scenario import PlaneCase
from workbench.control.plane.build import Custom, plane_of
from workbench.errors import Failure, UsageError

PLANE_KEYS = ("workloads", "client", "failures")  # that only a scenario with a control plane has


@dataclass(frozen=True, slots=True)
class Chosen:
    """`about` is file, class and hash of a policy of the user's own; else it is `name` of the registry."""

    text: str
    kind: str
    name: str = ""
    about: str = ""

    @staticmethod
    def parse(text: str) -> "Chosen":
        """UsageError for what is neither a name nor a file with a class."""
        kind, _, what = text.partition("=")
        if kind not in KINDS or not what:
            raise UsageError(f"--policy {text}: write KIND=NAME or KIND=./FILE.py:CLASS, KIND one of "
                             f"{', '.join(KINDS)}")
        if ".py" not in what:
            return Chosen(text, kind, name=what)
        return Chosen(text, kind, about=load_policy(text)[2])


def parse(texts: Sequence[str]) -> tuple[Chosen, ...]:
    found = tuple(Chosen.parse(text) for text in texts)
    for kind in KINDS:
        if sum(one.kind == kind for one in found) > 1:
            raise UsageError(f"--policy {kind}=... twice: a run has one; `workbench compare` takes several")
    return found


def classes(chosen: Sequence[Chosen]) -> Custom:
    """The user's own, loaded in this process. Failure: a file is another than it was."""
    found = {}
    for one in chosen:
        if one.about:
            kind, policy, about = load_policy(one.text)
            if about != one.about:
                raise Failure(f"--policy {one.text}: the file changed while it was used; run it again")
            found[kind] = policy
    return found


def chosen_in(case: PlaneCase, chosen: Sequence[Chosen]) -> PlaneCase:
    """The case with these policies, each without the parameters of the one it replaces. UsageError."""
    if not chosen:
        return case
    control = dict(case.scenario.control) | {one.kind: {"name": one.name or one.about.split()[0]} for one in chosen}
    own = {one.kind: one.about for one in chosen if one.about}
    scenario = case.scenario.model_copy(update={"control": control | ({"custom": own} if own else {})})
    loaded = classes(chosen)
    with blamed(loaded):
        try:
            plane_of(scenario.facts, loaded)
        except (TypeError, ValueError) as error:
            raise UsageError(f"--policy {' --policy '.join(one.text for one in chosen)}: {error}") from None
    return replace(case, scenario=scenario)


def control_of(text: str, name: str) -> Mapping[str, Any] | None:
    """The `[control]` table of a scenario's text; None where it is a scenario without a control plane. UsageError
    where it names code."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None  # who reads it as a scenario says what is wrong
    control = raw.get("control")
    if not isinstance(control, Mapping):
        return {} if any(key in raw for key in PLANE_KEYS) else None
    for kind in KINDS:
        value = control.get(kind)
        policy = value.get("name") if isinstance(value, Mapping) else value
        if isinstance(policy, str) and ".py" in policy:
            raise UsageError(f"{name}: control.{kind}: {policy!r}: code is not taken from a scenario; give it on the "
                             f"command line: --policy {kind}=./FILE.py:CLASS")
    if "custom" in control:
        raise UsageError(f"{name}: control.custom: is written by a run, not by a scenario; give code on the command "
                         "line: --policy KIND=./FILE.py:CLASS")
    return control
