"""The streams that a workload is drawn from, and the columns that it is drawn into."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.errors import UsageError
from workbench.workload.arrivals import NEVER_NS, Closed, Open, expected_n, times_ns
from workbench.workload.lengths import correlated
from workbench.workload.prefix import Ids
from workbench.workload.spec import MAX_REQUESTS, Who, WorkloadSpec

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
ARRIVALS, PROMPTS, OUTPUTS, PREFIXES, WHO, TURNS, THINK = 0, 1, 2, 4, 5, 6, 7  # stream numbers; 3 is thinning


@dataclass(frozen=True)
class Drawn:
    """One workload's columns; what is left empty is the same for all. A later turn has no time: it comes `after` the
    request at that place."""

    times: Sequence[int | None]
    prompt_tok: Sequence[int]
    output_tok: Sequence[int]
    ids: Sequence[Ids] = ()
    prefix_tok: int = 0
    who: Sequence[Who] = ()
    after: Sequence[int | None] = ()
    think_ns: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.prompt_tok)


def uniform(seed: int, *stream: int, n: int) -> Floats:
    """The first n uniforms in [0, 1) of one of a seed's independent streams."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=stream)).random(n)


def lengths(spec: WorkloadSpec, folder: Path, first: Floats, second: Floats) -> tuple[Ints, Ints]:
    """(prompts, outputs) of as many requests as there are uniforms."""
    assert spec.prompt_tok is not None
    assert spec.output_tok is not None
    second = correlated(first, second, spec.length_corr)
    return spec.prompt_tok.lengths_tok(first, folder), spec.output_tok.lengths_tok(second, folder)


def people(spec: WorkloadSpec, seed: int, n: int) -> Sequence[Who]:
    """Who sends each request (or session): drawn by share, independently of times and lengths."""
    if not spec.who:
        return [Who(tenant=spec.tenant, tier=spec.tier)] * n
    shares = np.cumsum([item.share for item in spec.who])
    picked = np.searchsorted(shares / shares[-1], uniform(seed, WHO, n=n), side="right")
    return [spec.who[i] for i in picked.tolist()]


def times(spec: WorkloadSpec, arrivals: Open | Closed, seed: int) -> Ints | None:
    """When requests (or sessions) come; None in a closed loop."""
    if isinstance(arrivals, Closed):
        return None
    if spec.duration_s is None:
        found = times_ns(arrivals, uniform(seed, ARRIVALS, n=spec.requests or 0))
        if found[-1] >= NEVER_NS:
            raise UsageError(f"rate_per_s {arrivals.rate_per_s} is too low: the last request would never come")
        return found
    expected = expected_n(arrivals, spec.duration_s)
    if expected > MAX_REQUESTS:
        raise UsageError(f"rate_per_s {arrivals.rate_per_s} x duration_s {spec.duration_s} exceeds {MAX_REQUESTS}")
    n, end_ns = math.ceil(expected) + 16, min(NEVER_NS, round(spec.duration_s * 1e9))
    while (found := times_ns(arrivals, uniform(seed, ARRIVALS, n=n)))[-1] < end_ns:
        n *= 2  # the stream's beginning is the same, so this only reads further
    return found[found < end_ns]
