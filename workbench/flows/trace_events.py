"""A simulated run as Chrome trace events, the JSON form that Perfetto and chrome://tracing read.

Google, "Trace Event Format" (2016): M names tracks, X is a slice with a duration, C a counter, b and e begin and end an
asynchronous slice. Times are microseconds; three decimals keep the nanosecond.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sims.replica import Iteration
from sims.result import SimResult
from sims.rules import DisaggregatedRules, Rules, VllmRules
from workbench.errors import UsageError
from workbench.runlog.schema import Row

FLEET, REQUESTS = 1, 2  # process ids: a group of tracks each
Event = dict[str, Any]


def events(result: SimResult, rules: Rules, from_ns: int, to_ns: int) -> Iterator[Event]:
    """Names first, then slices of the iterations, counters and requests that touch the window."""
    assert result.trace is not None
    rows = result.log.rows()
    yield _name("process_name", FLEET, 0, "replicas")
    yield _name("process_name", REQUESTS, 0, "requests")
    tracks = engines(rules, len(result.busy_ns))
    for number, name in enumerate(tracks):
        yield _name("thread_name", FLEET, number + 1, name)
    cache = Cache(rules, {row.request_id: row.prompt_tok or 0 for row in rows})
    for number in range(len(tracks)):  # of a pair of pools those that prefill come first, and their tokens as well
        mine = [iteration for track, iteration in result.trace if track == number]
        for jump in jumps(mine, cache):
            if jump.end_ns > from_ns and jump.start_ns < to_ns:
                yield jump.event(number + 1)
    yield from counters(rows, len(result.busy_ns), from_ns, to_ns)
    for row in rows:
        yield from request(row, from_ns, to_ns)


def engines(rules: Rules, replicas: int) -> list[str]:
    """The names of what runs iterations, as the trace numbers them. Raises UsageError."""
    if not isinstance(rules, DisaggregatedRules):
        return [f"replica {number}" for number in range(replicas)]
    if replicas > 1:
        raise UsageError("the engines of several disaggregated replicas are not told apart: trace one replica, with "
                         "more engines in its pools")
    return [f"prefill {n}" for n in range(rules.prefill_n)] + [f"decode {n}" for n in range(rules.decode_n)]


@dataclass(slots=True)
class Jump:
    """Iterations in a row that do the same: one slice."""

    start_ns: int
    end_ns: int
    last: Iteration
    iterations: int
    kv_tok: int
    kv_blocks: int | None

    def event(self, track: int) -> Event:
        batch = self.last.batch
        what = [f"decode {batch.decode_n}"] if batch.decode_n else []
        what += [f"prefill {batch.prefill_tok} tok"] if batch.prefills else []
        times = f" ×{self.iterations}" if self.iterations > 1 else ""
        args: dict[str, Any] = {
            "iterations": self.iterations, "decode_n": batch.decode_n, "prefill_n": len(batch.prefills),
            "prefill_tok": batch.prefill_tok, "kv_tok": self.kv_tok,
        }
        args |= {} if self.kv_blocks is None else {"kv_blocks": self.kv_blocks}
        args |= {"preempted": len(self.last.preempted)} if self.last.preempted else {}
        return {"ph": "X", "name": " + ".join(what) + times, "cat": "iteration", "pid": FLEET, "tid": track,
                "ts": _us(self.start_ns), "dur": _us(self.end_ns - self.start_ns), "args": args}


@dataclass
class Cache:
    """What the sequences of a batch hold, followed from what they emitted: tokens, and blocks where KV has blocks.

    A block that several sequences share is counted for each of them.
    """

    rules: Rules
    prompt_tok: dict[str, int]
    out_tok: dict[str, int] = field(default_factory=dict)
    decoding: set[str] = field(default_factory=set)

    def after(self, iteration: Iteration) -> tuple[int, int | None]:
        """(tokens, blocks) at the end of an iteration, of the sequences in its batch."""
        self.decoding.difference_update(iteration.started)
        held = [new + past for new, past in iteration.batch.prefills]
        counts = iteration.tokens or (1,) * len(iteration.emitted)
        for name, count in zip(iteration.emitted, counts, strict=True):
            self.out_tok[name] = self.out_tok.get(name, 0) + count
            if name in self.decoding:
                held.append(self.prompt_tok[name] + self.out_tok[name] - 1)  # the newest token's KV comes next
            self.decoding.add(name)
        self.decoding.difference_update(iteration.finished)
        pool = self.rules.decode if isinstance(self.rules, DisaggregatedRules) else self.rules
        if not isinstance(pool, VllmRules):
            return sum(held), None
        return sum(held), sum(-(-tok // pool.block_tok) for tok in held)


def jumps(iterations: list[Iteration], cache: Cache) -> Iterator[Jump]:
    """Iterations one after the other; those that only decode the same sequences, without a pause, together."""
    current: Jump | None = None
    for item in iterations:
        kv_tok, kv_blocks = cache.after(item)
        if current is not None and current.end_ns == item.start_ns and _plain(item) and _plain(current.last) \
                and current.last.emitted == item.emitted and not current.last.finished:
            current.end_ns, current.last = item.end_ns, item
            current.iterations, current.kv_tok, current.kv_blocks = current.iterations + 1, kv_tok, kv_blocks
            continue
        if current is not None:
            yield current
        current = Jump(item.start_ns, item.end_ns, item, 1, kv_tok, kv_blocks)
    if current is not None:
        yield current


def _plain(iteration: Iteration) -> bool:
    return not (iteration.batch.prefills or iteration.started or iteration.preempted)


def counters(rows: list[Row], replicas: int, from_ns: int, to_ns: int) -> Iterator[Event]:
    """Requests waiting and running at each replica, and at the front door, at every change."""
    door = [(row.sent_ns, row.admit_ns) for row in rows if row.outcome != "rejected"]
    yield from _counter("front door", {"waiting": door}, from_ns, to_ns)
    for replica in range(replicas):
        mine = [row for row in rows if row.replica == str(replica)]
        waiting = [(row.admit_ns, row.start_ns) for row in mine]
        running = [(row.start_ns, row.last_token_ns if row.outcome == "ok" else None) for row in mine]
        yield from _counter(f"replica {replica}", {"waiting": waiting, "running": running}, from_ns, to_ns)


def _counter(
    name: str, series: dict[str, list[tuple[int | None, int | None]]], from_ns: int, to_ns: int
) -> Iterator[Event]:
    steps: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = {}
    for key, spans in series.items():
        up = [start for start, _ in spans if start is not None]
        down = [end for start, end in spans if start is not None and end is not None]
        steps[key] = np.array([*((at, 1) for at in up), *((at, -1) for at in down)], dtype=np.int64).reshape(-1, 2)
    moments = np.unique(np.concatenate([[from_ns], *(found[:, 0] for found in steps.values())]))
    totals = {}
    for key, found in steps.items():
        order = np.argsort(found[:, 0], kind="stable")
        upto = np.searchsorted(found[order, 0], moments, side="right")
        totals[key] = np.concatenate([[0], np.cumsum(found[order, 1])])[upto]
    for i, at in enumerate(moments.tolist()):
        if from_ns <= at <= to_ns:
            yield {"ph": "C", "name": name, "pid": FLEET, "ts": _us(at),
                   "args": {key: int(values[i]) for key, values in totals.items()}}


def request(row: Row, from_ns: int, to_ns: int) -> Iterator[Event]:
    """One asynchronous slice of a request with its wait, prompt and decode inside; what never happened is left out."""
    if row.sent_ns is None:
        return
    moments = [row.sent_ns, row.start_ns, row.first_token_ns, row.last_token_ns]
    end_ns = max(at for at in (*moments, row.end_ns) if at is not None)
    if end_ns < from_ns or row.sent_ns >= to_ns:
        return
    about = {"replica": row.replica, "prompt_tok": row.prompt_tok, "output_tok": row.output_tok,
             "tier": row.tier, "tenant": row.tenant, "outcome": row.outcome, "preemptions": row.preemptions}
    head = {"cat": "request", "id": row.request_id, "pid": REQUESTS, "tid": 0}
    yield head | {"ph": "b", "name": row.request_id, "ts": _us(row.sent_ns), "args": about}
    for name, begin, end in zip(("wait", "prompt", "decode"), moments, moments[1:], strict=False):
        if begin is None or end is None:
            break
        yield head | {"ph": "b", "name": name, "ts": _us(begin)}
        yield head | {"ph": "e", "name": name, "ts": _us(end)}
    yield head | {"ph": "e", "name": row.request_id, "ts": _us(end_ns)}


def _name(kind: str, pid: int, tid: int, name: str) -> Event:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}


def _us(at_ns: int) -> float:
    return at_ns / 1000
