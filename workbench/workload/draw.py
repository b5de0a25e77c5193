"""From a workload and a seed to the schedule: every request with its time and lengths, drawn before anything is sent.

Arrivals, prompt lengths, output lengths, prefixes and tenants each read a stream of their own, one uniform a request.
So two workloads that differ in one thing share everything else (common random numbers), and a longer run begins as the
shorter one.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.errors import UsageError
from workbench.runlog.schema import Planned
from workbench.workload.arrivals import NEVER_NS, Closed, Open, expected_n, times_ns
from workbench.workload.lengths import find_file
from workbench.workload.prefix import Ids
from workbench.workload.spec import MAX_REQUESTS, TraceSource, Who, WorkloadSpec
from workbench.workload.traces import AZURE, MOONCAKE, Trace, read_csv, read_jsonl

Ints = NDArray[np.int64]
ARRIVALS, PROMPTS, OUTPUTS, PREFIXES, WHO = 0, 1, 2, 4, 5  # stream numbers; 3 is thinning


def draw(spec: WorkloadSpec, seed: int, *, base: Path | None = None) -> tuple[Planned, ...]:
    """The schedule. `base` is the folder to which file names in the workload are relative (default: here)."""
    folder = base or Path.cwd()
    ids: Sequence[Ids] = ()
    prefix_tok = 0
    if spec.trace is not None:
        times, trace = _from_trace(spec, spec.trace, seed, folder)
        prompts, outputs, ids, prefix_tok = trace.prompt_tok, trace.output_tok, trace.prefix_ids, trace.prefix_tok
    else:
        assert spec.arrivals is not None
        assert spec.prompt_tok is not None
        assert spec.output_tok is not None
        times = _times(spec, spec.arrivals, seed)
        n = len(times) if times is not None else spec.requests or 0
        prompts = spec.prompt_tok.lengths_tok(_uniform(seed, PROMPTS, n), folder)
        outputs = spec.output_tok.lengths_tok(_uniform(seed, OUTPUTS, n), folder)
        if spec.prefix is not None:
            ids, prefix_tok = spec.prefix.ids(_uniform(seed, PREFIXES, n), prompts), spec.prefix.block_tok
    if len(prompts) <= spec.warmup_requests:
        raise UsageError(
            f"the workload draws {len(prompts)} requests, {spec.warmup_requests} of them warm-up: none to count; "
            "raise duration_s or the rate"
        )
    moments: list[int | None] = [None] * len(prompts) if times is None else [*times.tolist()]
    nothing: Ids = ()
    return tuple(
        Planned(f"r{i:06d}", moment, prompt, output, who.tenant, who.tier, i < spec.warmup_requests, who.priority, own,
                prefix_tok if own else 0)
        for i, (moment, prompt, output, own, who) in enumerate(zip(
            moments, prompts.tolist(), outputs.tolist(), ids or repeat(nothing, len(prompts)),
            _who(spec, seed, len(prompts)), strict=True))
    )


def _who(spec: WorkloadSpec, seed: int, n: int) -> Iterable[Who]:
    """Who sends each request: drawn by share, independently of times and lengths."""
    if not spec.who:
        return repeat(Who(tenant=spec.tenant, tier=spec.tier), n)
    shares = np.cumsum([item.share for item in spec.who])
    picked = np.searchsorted(shares / shares[-1], _uniform(seed, WHO, n), side="right")
    return [spec.who[i] for i in picked.tolist()]


def _uniform(seed: int, stream: int, n: int) -> NDArray[np.float64]:
    """The first n uniforms in [0, 1) of one of a seed's independent streams."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream,))).random(n)


def _times(spec: WorkloadSpec, arrivals: Open | Closed, seed: int) -> Ints | None:
    if isinstance(arrivals, Closed):
        return None
    if spec.duration_s is None:
        times = times_ns(arrivals, _uniform(seed, ARRIVALS, spec.requests or 0))
        if times[-1] >= NEVER_NS:
            raise UsageError(f"rate_per_s {arrivals.rate_per_s} is too low: the last request would never come")
        return times
    expected = expected_n(arrivals, spec.duration_s)
    if expected > MAX_REQUESTS:
        raise UsageError(f"rate_per_s {arrivals.rate_per_s} x duration_s {spec.duration_s} exceeds {MAX_REQUESTS}")
    n, end_ns = math.ceil(expected) + 16, min(NEVER_NS, round(spec.duration_s * 1e9))
    while (times := times_ns(arrivals, _uniform(seed, ARRIVALS, n)))[-1] < end_ns:
        n *= 2  # the stream's beginning is the same, so this only reads further
    return times[times < end_ns]


def _from_trace(spec: WorkloadSpec, source: TraceSource, seed: int, folder: Path) -> tuple[Ints | None, Trace]:
    trace = shaped(source, read(source, folder), seed)
    if spec.requests is not None:
        if spec.requests > len(trace):
            raise UsageError(f"{source.file}: requests {spec.requests} asked, {len(trace)} there after the slice")
        trace = trace.first(spec.requests)
    if spec.arrivals is None:
        if spec.duration_s is not None:
            trace = trace.part(0.0, spec.duration_s)
        return trace.arrival_ns, trace
    if isinstance(spec.arrivals, Closed):
        return None, trace
    times = times_ns(spec.arrivals, _uniform(seed, ARRIVALS, len(trace)))
    if spec.duration_s is not None:
        times = times[times < round(spec.duration_s * 1e9)]
    return times, trace.first(len(times))


def read(source: TraceSource, folder: Path) -> Trace:
    """The whole file of a trace."""
    path = find_file(folder, source.file)
    if source.format in {"azure", "csv"}:
        return read_csv(path, source.columns or AZURE)
    return read_jsonl(path, source.columns or MOONCAKE)


def shaped(source: TraceSource, trace: Trace, seed: int) -> Trace:
    """The part that the source asks for, thinned, stretched and cut, in this order."""
    trace = trace.part(source.start_s, source.take_s).thin(source.keep_frac, seed)
    if not len(trace):
        raise UsageError(f"{source.file}: no request in the part asked for (start_s {source.start_s})")
    if source.rate_per_s is not None:
        trace = trace.at_rate(source.rate_per_s)
    elif source.speed is not None:
        trace = trace.faster(source.speed)
    return trace.cut(source.max_prompt_tok, source.max_output_tok)
