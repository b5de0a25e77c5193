"""Several workloads on one clock: each tenant with arrivals, lengths and prefixes of its own.

Each reads streams of its own, from the seed and its name. So whoever changes one, or adds one, leaves every request of
the others as it was, with its time, its lengths and its id.
"""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from operator import attrgetter
from pathlib import Path

from pydantic import Field

from workbench.runlog.schema import Planned
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

ID_BITS = 41  # above them is whose prefix it is; a group's ids and a trace's stay below


class NamedWorkload(WorkloadSpec):
    """`name` (default: its tenant's) begins the ids of its requests."""

    name: str = Field(default="", max_length=100, pattern=r"^[A-Za-z0-9_.:@-]*$")

    @property
    def title(self) -> str:
        return self.name or self.tenant


def draw_all(specs: Sequence[NamedWorkload], seed: int, *, base: Path | None = None,
             requests: int | None = None) -> tuple[Planned, ...]:
    """One schedule, in order of time, at one moment in order of the specs; `requests` takes so many of its first."""
    merged = [plan for spec in specs for plan in _own(spec, seed, base)]
    merged.sort(key=attrgetter("intended_ns"))
    return tuple(merged[:requests])


def own_seed(seed: int, name: str) -> int:
    return int.from_bytes(sha256(f"{seed}/{name}".encode()).digest()[:8])


def _own(spec: NamedWorkload, seed: int, base: Path | None) -> list[Planned]:
    mark = _mark(spec.title)
    return [replace(plan, request_id=f"{spec.title}-{plan.request_id[1:]}",
                    prefix_ids=tuple(mark + one for one in plan.prefix_ids))
            for plan in draw(spec, own_seed(seed, spec.title), base=base)]


def _mark(name: str) -> int:
    """Two workloads share no prefix."""
    return own_seed(0, f"prefix/{name}") >> ID_BITS + 2 << ID_BITS


def check_names(specs: Sequence[NamedWorkload]) -> None:
    """ValueError where two could not be told apart."""
    names, marks = set[str](), set[int]()
    for spec in specs:
        if spec.title in names or _mark(spec.title) in marks:
            raise ValueError(f"workloads: {spec.title!r} is there already; give one of them a name of its own")
        names.add(spec.title)
        marks.add(_mark(spec.title))
