"""What is compared: scenario files, or one with other policies; and whether their runs pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from sims.scenario import Policies
from workbench.config import validate
from workbench.errors import ConfigError, UsageError
from workbench.flows.replicate import Case

CHOICES = ("router", "queue", "window")
EXAMPLES = {"router": "router=round_robin,least_loaded", "scheduling": "scheduling=fifo,vtc"}
APART = 10**9  # seeds of an unpaired variant begin here: streams that the baseline never reads


@dataclass(frozen=True, slots=True)
class Variant:
    """A case under a name of its own. `seed_shift` is 0 where it shares the baseline's random numbers."""

    name: str
    case: Case
    paired: bool
    why: str
    seed_shift: int = 0


def variants(paths: Sequence[Path], choices: Sequence[str]) -> tuple[Variant, ...]:
    """Every file with every combination of `choices` (`router=round_robin,least_loaded`); the first is the baseline."""
    cases: list[tuple[str, Case]] = []
    options = listed(choices, CHOICES)
    for path in paths:
        case = Case.load(path)
        for combination in product(*options):
            names = " ".join(f"{key}={value}" for key, value in combination)
            several = len(paths) > 1
            name = " ".join(filter(None, (path.stem if several or not names else "", names)))
            cases.append((name, _with(case, dict(combination))))
    if len(cases) < 2:
        raise UsageError("compare needs two variants: a second scenario file, or --policy router=NAME,OTHER")
    if len({name for name, _ in cases}) < len(cases):
        cases = [(f"{number}: {name}", case) for number, (name, case) in enumerate(cases, start=1)]
    baseline = cases[0][1]
    return tuple(_variant(name, case, baseline) for name, case in cases)


def listed(choices: Sequence[str], keys: Sequence[str]) -> list[list[tuple[str, str]]]:
    """`KEY=A,B` as pairs, once a key; the keys are these. Raises UsageError."""
    options = [_choice(text, keys) for text in choices]
    used = [option[0][0] for option in options]
    if len(set(used)) < len(used):
        twice = next(key for key in used if used.count(key) > 1)
        raise UsageError(f"--policy {twice}=... twice: write all of its values in one, separated by commas")
    return options


def _choice(text: str, keys: Sequence[str]) -> list[tuple[str, str]]:
    key, _, values = text.partition("=")
    found = [value.strip() for value in values.split(",") if value.strip()]
    if key not in keys or not found:
        raise UsageError(f"--policy {text}: write {' or '.join(keys)} = one or more names, such as "
                         f"{EXAMPLES[keys[0]]}")
    if len(set(found)) < len(found):
        twice = next(value for value in found if found.count(value) > 1)
        raise UsageError(f"--policy {text}: {twice} twice: a variant is compared with others, not with itself")
    return [(key, value) for value in found]


def _with(case: Case, chosen: Mapping[str, str]) -> Case:
    """The case with other policies; a policy that is chosen anew loses its old parameters."""
    if not chosen:
        return case
    values: dict[str, Any] = {**case.scenario.policies.model_dump(), **chosen}
    if "window" in chosen:
        values["window"] = None if chosen["window"] == "none" else chosen["window"]
    try:
        policies = validate(Policies, values, "--policy")
    except ConfigError as error:  # a policy's own complaint names no key of the table
        raise UsageError(str(error).replace("(top level): ", "", 1)) from None
    return replace(case, scenario=case.scenario.model_copy(update={"policies": policies}))


def _variant(name: str, case: Case, baseline: Case) -> Variant:
    paired, why = pairing(case, baseline)
    return Variant(name, case, paired, why, 0 if paired else APART)


def pairing(case: Case, baseline: Case) -> tuple[bool, str]:
    """Whether equal seeds mean common random numbers, and in which words."""
    if case.scenario.workload == baseline.scenario.workload:
        return True, "the same requests"
    mine, theirs = case.scenario.workload, baseline.scenario.workload
    if mine.trace is None and theirs.trace is None:
        return True, "different workloads, drawn from the same random streams"
    if case.draw(case.scenario.seeds[0]) == baseline.draw(case.scenario.seeds[0]):
        return True, "the same requests"
    return False, "pairing is lost: the requests come from different sources; independent seeds and intervals"


def refuse_copies(case: Case, name: str) -> None:
    """Replications of a workload without randomness would be copies of one run, and their interval a fiction."""
    first, second = case.scenario.replicated(2)
    if case.draw(first) == case.draw(second):
        raise UsageError(
            f"{name}: its workload is the same for every seed, so replications say nothing; give a trace `arrivals` "
            "or `keep_frac` below 1"
        )
