"""The schedule of one workload: every request with its time and lengths, drawn before anything is sent.

Arrivals, prompt lengths, output lengths, prefixes and tenants each read a stream of their own, one uniform a request.
So two workloads that differ in one thing share everything else (common random numbers), and a longer run begins as the
shorter one. Of sessions each has streams of its own, and the same holds session by session.
"""

from collections.abc import Sequence
from itertools import repeat
from pathlib import Path

from workbench.errors import UsageError
from workbench.runlog.schema import Planned
from workbench.workload.arrivals import Closed, times_ns
from workbench.workload.lengths import find_file
from workbench.workload.logs import read_runlog
from workbench.workload.prefix import Ids
from workbench.workload.spec import TraceSource, Who, WorkloadSpec
from workbench.workload.streams import ARRIVALS, OUTPUTS, PREFIXES, PROMPTS, Drawn, lengths, people, times, uniform
from workbench.workload.talks import from_sessions
from workbench.workload.traces import AZURE, MOONCAKE, Trace, read_csv, read_jsonl


def draw_one(spec: WorkloadSpec, seed: int, folder: Path) -> tuple[Planned, ...]:
    """`folder` is where the files that it names lie."""
    if spec.trace is not None:
        found = _from_trace(spec, spec.trace, seed, folder)
    elif spec.sessions is not None:
        found = from_sessions(spec, spec.sessions, seed, folder)
    else:
        found = _from_lengths(spec, seed, folder)
    if len(found) <= spec.warmup_requests:
        raise UsageError(
            f"the workload draws {len(found)} requests, {spec.warmup_requests} of them warm-up: none to count; "
            "raise duration_s or the rate"
        )
    nothing: Ids = ()
    n = len(found)
    return tuple(
        Planned(f"r{i:06d}", moment, prompt, output, who.tenant, who.tier, i < spec.warmup_requests, who.priority, own,
                found.prefix_tok if own else 0, "" if after is None else f"r{after:06d}", think)
        for i, (moment, prompt, output, own, who, after, think) in enumerate(zip(
            found.times, found.prompt_tok, found.output_tok, found.ids or repeat(nothing, n),
            found.who or people(spec, seed, n), found.after or repeat(None, n), found.think_ns or repeat(0, n),
            strict=True))
    )


def _from_lengths(spec: WorkloadSpec, seed: int, folder: Path) -> Drawn:
    assert spec.arrivals is not None
    when = times(spec, spec.arrivals, seed)
    n = len(when) if when is not None else spec.requests or 0
    prompts, outputs = lengths(spec, folder, uniform(seed, PROMPTS, n=n), uniform(seed, OUTPUTS, n=n))
    moments: Sequence[int | None] = [None] * n if when is None else when.tolist()
    if spec.prefix is None:
        return Drawn(moments, prompts.tolist(), outputs.tolist())
    ids = spec.prefix.ids(uniform(seed, PREFIXES, n=n), prompts)
    return Drawn(moments, prompts.tolist(), outputs.tolist(), ids, spec.prefix.block_tok)


def _from_trace(spec: WorkloadSpec, source: TraceSource, seed: int, folder: Path) -> Drawn:
    trace = shaped(source, read(source, folder), seed)
    if spec.requests is not None:
        if spec.requests > len(trace):
            raise UsageError(f"{source.file}: requests {spec.requests} asked, {len(trace)} there after the slice")
        trace = trace.first(spec.requests)
    when: Sequence[int | None]
    if spec.arrivals is None:
        if spec.duration_s is not None:
            trace = trace.part(0.0, spec.duration_s)
        when = trace.arrival_ns.tolist()
    elif isinstance(spec.arrivals, Closed):
        when = [None] * len(trace)
    else:
        drawn = times_ns(spec.arrivals, uniform(seed, ARRIVALS, n=len(trace)))
        if spec.duration_s is not None:
            drawn = drawn[drawn < round(spec.duration_s * 1e9)]
        when, trace = drawn.tolist(), trace.first(len(drawn))
    told = () if spec.who or (spec.tenant, spec.tier) != ("default", "standard") else trace.who
    who = [Who(tenant=tenant, tier=tier) for tenant, tier in told]
    return Drawn(when, trace.prompt_tok.tolist(), trace.output_tok.tolist(), trace.prefix_ids, trace.prefix_tok, who)


def read(source: TraceSource, folder: Path) -> Trace:
    """The whole file of a trace."""
    path = find_file(folder, source.file)
    if source.format == "runlog":
        return read_runlog(path)
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
