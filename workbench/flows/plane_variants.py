"""Variants of plane scenarios: files, or one with other orders, routers or windows; and whether their runs pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from sims.plane.custom import KINDS
from sims.plane.scenario import PlaneCase
from workbench.control.plane.build import plane_of
from workbench.errors import UsageError
from workbench.flows.plane_policies import Chosen, chosen_in
from workbench.flows.variants import APART, listed

WINDOW, NONE = "window", "none"
CHOICES = (*KINDS, WINDOW)


@dataclass(frozen=True, slots=True)
class PlaneVariant:
    """`chosen` has the policies from the user's own files: their classes are loaded where it runs."""

    name: str
    file: str
    case: PlaneCase
    chosen: tuple[Chosen, ...]
    paired: bool
    why: str
    seed_shift: int = 0


@dataclass(frozen=True, slots=True)
class Picked:
    """One value of one `--policy`, and what the variant is called for it."""

    label: str
    policy: Chosen | None = None
    window: int | None = None

    @staticmethod
    def parse(key: str, value: str) -> "Picked":
        if key != WINDOW:
            return Picked(f"{key}={Path(value).name if '.py' in value else value}", Chosen.parse(f"{key}={value}"))
        if value == NONE:
            return Picked(f"{key}={value}")
        if not value.isascii() or not value.isdigit() or not int(value):
            raise UsageError(f"--policy {key}={value}: a whole number of at least 1, or {NONE}")
        return Picked(f"{key}={value}", window=int(value))


def plane_variants(paths: Sequence[Path], choices: Sequence[str]) -> tuple[PlaneVariant, ...]:
    """Every file with every combination of `choices` (`scheduling=fifo,./mine.py:Mine`); the first is the baseline."""
    options = [[Picked.parse(key, value) for key, value in one] for one in listed(choices, CHOICES)]
    found: list[tuple[str, str, PlaneCase, tuple[Chosen, ...]]] = []
    for path in paths:
        case = PlaneCase.load(path)
        for combination in product(*options):
            labels = " ".join(one.label for one in combination)
            name = " ".join(filter(None, (path.stem if len(paths) > 1 or not labels else "", labels)))
            chosen = tuple(one.policy for one in combination if one.policy is not None)
            found.append((name, path.name, _with(case, combination, chosen), chosen))
    if len(found) < 2:
        raise UsageError("compare needs two variants: a second scenario file, or --policy scheduling=NAME,OTHER")
    if len({name for name, *_ in found}) < len(found):
        found = [(f"{number}: {name}", *rest) for number, (name, *rest) in enumerate(found, start=1)]  # type: ignore[misc]
    base = found[0][2]
    return tuple(_variant(*one, base) for one in found)


def _with(case: PlaneCase, combination: Sequence[Picked], chosen: Sequence[Chosen]) -> PlaneCase:
    """The case with other policies. One that the file names already keeps the file's parameters."""
    control = dict(case.scenario.control)
    for one in combination:
        if one.policy is None:
            control.pop(WINDOW, None)
            if one.window is not None:
                control[WINDOW] = one.window
    moved = replace(case, scenario=case.scenario.model_copy(update={"control": control}))
    anew = [one for one in chosen if one.about or _named(control.get(one.kind)) != one.name]
    return chosen_in(moved, anew)


def _named(policy: object) -> object:
    return policy.get("name") if isinstance(policy, Mapping) else policy


def _variant(name: str, file: str, case: PlaneCase, chosen: tuple[Chosen, ...], base: PlaneCase) -> PlaneVariant:
    """Equal seeds are common random numbers where the schedules are equal: each stream is read once a request."""
    seed = base.scenario.seeds[0]
    if _asks(case) == _asks(base) or case.draw(seed) == base.draw(seed):
        return PlaneVariant(name, file, case, chosen, True, "the same requests")
    if _drawn(case) and _drawn(base):
        return PlaneVariant(name, file, case, chosen, True, "different workloads, drawn from the same random streams")
    return PlaneVariant(name, file, case, chosen, False, "pairing is lost: the requests come from different sources; "
                        "independent seeds and intervals", APART)


def _asks(case: PlaneCase) -> object:
    scenario = case.scenario
    return scenario.workload, scenario.workloads


def _drawn(case: PlaneCase) -> bool:
    scenario = case.scenario
    every = [*scenario.workloads, *([] if scenario.workload is None else [scenario.workload])]
    return all(one.trace is None for one in every)


def weights_of(case: PlaneCase) -> dict[str, int]:
    """The tenants that share most replicas with each other, two or more, with their weights; else nobody."""
    who = ("replicas", "tenants")
    tenants = plane_of({key: value for key, value in case.scenario.facts.items() if key in who}).desk.tenants
    asking = dict.fromkeys(plan.tenant for plan in case.draw(case.scenario.seeds[0]))
    pools: dict[str, dict[str, int]] = {}
    for name in asking:
        if tenants is None:
            pools.setdefault("", {})[name] = 1
        elif name in tenants.names or tenants.default_tier is not None:
            pools.setdefault(tenants.pool(name), {})[name] = tenants.plan(name).weight
    most = max(pools.values(), key=len, default={})
    return dict(sorted(most.items())) if len(most) > 1 else {}
