"""Points of a profile from what a client saw of an endpoint: engine and network together, no client can part them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from workbench.profile.points import DecodePoint, PromptPoint
from workbench.runlog.schema import Row
from workbench.runlog.table import RunLog


@dataclass(frozen=True, slots=True)
class Wave:
    """So many requests sent together that all decoded at once, or fewer: then the endpoint let no more run."""

    sent: int
    together: int
    point: DecodePoint | None


def prompt_points(log: RunLog) -> list[PromptPoint]:
    """Median time to the first token by prompt length, of requests sent one at a time."""
    by_length: dict[int, list[int]] = {}
    for row in _ok(log):
        tok, first, sent = row.prompt_tok, row.first_token_ns, row.sent_ns
        if tok and first is not None and sent is not None:
            by_length.setdefault(tok, []).append(first - sent)
    return [PromptPoint(1, tok, 0, float(median(times)), len(times)) for tok, times in sorted(by_length.items())]


def wave(log: RunLog) -> Wave:
    """One decode step while all of a wave decode: from the last first token to the first end, none joins or leaves."""
    rows = [row for row in _ok(log) if (row.output_tok or 0) > 1 and row.first_token_ns is not None]
    if not rows:
        return Wave(len(log), 0, None)
    latest = max(rows, key=lambda row: (row.first_token_ns or 0, row.request_id))
    began = latest.first_token_ns or 0
    together = sum((row.last_token_ns or 0) > began for row in rows)
    made = (latest.output_tok or 0) - 1
    ns = ((latest.last_token_ns or 0) - began) / made
    if together < len(log) or ns <= 0:
        return Wave(len(log), together, None)
    low = sum((row.prompt_tok or 0) + 1 for row in rows) // len(rows)
    return Wave(len(log), together, DecodePoint(together, low, low + made, ns))


def middle(points: Sequence[DecodePoint]) -> DecodePoint:
    """The median of waves of equal size."""
    ranked = sorted(points, key=lambda point: point.ns)
    chosen = ranked[len(ranked) // 2]
    ns = float(median(point.ns for point in ranked))
    return DecodePoint(chosen.decodes, chosen.low_tok, chosen.high_tok, ns, len(ranked))


def _ok(log: RunLog) -> list[Row]:
    return [row for row in log.rows() if row.outcome == "ok" and not row.warmup]
