"""One observed engine iteration: what a profile is fitted from."""

from dataclasses import dataclass
from typing import Literal

from workbench.profile.batch import Batch

Region = Literal["prefill", "decode", "mixed"]
Origin = Literal["grid", "live"]
REGIONS: tuple[Region, ...] = ("prefill", "decode", "mixed")


def region_of(batch: Batch) -> Region:
    """What kind of iteration it is; an empty batch counts as a decode of none."""
    if not batch.prefills:
        return "decode"
    return "mixed" if batch.decode_n else "prefill"


@dataclass(frozen=True, slots=True)
class Sample:
    """One iteration, its composition and how long it took.

    `at_ns` is when it began on its run's clock; `run` names that run (drift is looked for within and between runs).
    `spread_ns` is by how much the times of its requests' tokens differ: what the client could not see exactly.
    """

    batch: Batch
    ns: int
    region: Region
    origin: Origin
    at_ns: int
    run: str
    spread_ns: int = 0


def sample(batch: Batch, ns: int, *, origin: Origin, at_ns: int, run: str, spread_ns: int = 0) -> Sample:
    """A sample whose region follows from its batch."""
    return Sample(batch, ns, region_of(batch), origin, at_ns, run, spread_ns)
