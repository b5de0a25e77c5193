"""Several workloads on one clock: each tenant with arrivals, lengths and prefixes of its own.

Each reads streams of its own, from the seed and its name. So whoever changes one, or adds one, leaves every request of
the others as it was, with its time, its lengths and its id.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from workbench.errors import UsageError
from workbench.runlog.schema import Planned, chains
from workbench.workload.prefix import own_seed, prefix_mark
from workbench.workload.single import draw_one
from workbench.workload.spec import NamedWorkload


def draw_all(specs: Sequence[NamedWorkload], seed: int, *, base: Path | None = None,
             requests: int | None = None) -> tuple[Planned, ...]:
    """One schedule, in order of time, at one moment in order of the specs; `requests` takes so many of its first.

    A session stands together, where it begins.
    """
    merged = [plan for spec in specs for plan in _own(spec, seed, base)]
    groups = [[merged[place] for place in chain] for chain in chains(merged)]
    groups.sort(key=lambda group: group[0].intended_ns or 0)
    return tuple(plan for group in groups for plan in group)[:requests]


def draw_tenants(specs: Sequence[NamedWorkload], seed: int, base: Path, requests: int | None,
                 warmup: int) -> tuple[Planned, ...]:
    """As `draw_all`; the first `warmup` of them count in no metric, whatever a tenant says."""
    found = draw_all(specs, seed, base=base, requests=requests)
    if len(found) <= warmup or len(found) < (requests or 0):
        raise UsageError(f"the tenants draw {len(found)} requests; {requests or 'all'} are asked for, {warmup} of them "
                         "warm-up: raise their requests or duration_s")
    return tuple(replace(plan, warmup=plan.warmup or i < warmup) for i, plan in enumerate(found))


def _own(spec: NamedWorkload, seed: int, base: Path | None) -> list[Planned]:
    mark, title = prefix_mark(spec.title), spec.title
    return [replace(plan, request_id=f"{title}-{plan.request_id[1:]}",
                    prefix_ids=tuple(mark + one for one in plan.prefix_ids),
                    after=f"{title}-{plan.after[1:]}" if plan.after else "")
            for plan in draw_one(spec, own_seed(seed, title), base or Path.cwd())]
