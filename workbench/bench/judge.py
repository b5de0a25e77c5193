"""The load generator's judgement of itself: was the client the limit, and how far can its clock be trusted?"""

import asyncio
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.runlog.schema import Row

TICK_S = 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond any of these a run is `client_limited` and is kept out of fits."""

    lag_ttft_frac: float = 0.05  # the event loop woke this late at p99, over the median TTFT: reads may be as late
    delivered_frac: float = 0.02  # the delivered rate differs from the rate asked for by so much of it
    cpu_frac: float = 0.8  # of the core of its one thread


class LagMeter:
    """Wakes every 10 ms and notes how late: what any read may have waited for the event loop."""

    def __init__(self) -> None:
        self.late_ns = array("q")
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._due_ns = 0

    def start(self) -> None:
        self._due_ns = time.perf_counter_ns() + round(TICK_S * 1e9)
        self._handle = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self.late_ns.append(max(0, time.perf_counter_ns() - self._due_ns))
        self.start()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


def nearest_rank(values: Sequence[int], q: float) -> int | None:
    """The smallest value with at least a fraction q at or below it; None without values."""
    if not values:
        return None
    ranked = sorted(values)
    return ranked[max(0, min(len(ranked) - 1, -int(-q * len(ranked) // 1) - 1))]


class Sends:
    """Of each request the times that the judgement needs: a row may be long, and is not kept for it."""

    def __init__(self) -> None:
        self.due_ns, self.sent_ns, self.ttft_ns = array("q"), array("q"), array("q")

    def take(self, row: Row) -> None:
        if row.sent_ns is None:
            return
        if row.intended_ns is not None:
            self.due_ns.append(row.intended_ns)
            self.sent_ns.append(row.sent_ns)
        if row.first_token_ns is not None:
            self.ttft_ns.append(row.first_token_ns - row.sent_ns)

    @property
    def late_ns(self) -> list[int]:
        return [sent - due for due, sent in zip(self.due_ns, self.sent_ns, strict=True)]

    @property
    def rates(self) -> tuple[float | None, float | None]:
        """(asked, delivered) requests per second of an open loop; None where there is no rate."""
        if len(self.due_ns) < 2:
            return None, None
        asked_ns, sent_ns = (max(times) - min(times) for times in (self.due_ns, self.sent_ns))
        gaps = (len(self.due_ns) - 1) * 1e9
        return (gaps / asked_ns, gaps / sent_ns) if asked_ns > 0 and sent_ns > 0 else (None, None)


def judge(sends: Sends, lag_ns: Sequence[int], cpu_frac: float, limits: Limits) -> dict[str, Any]:
    """What goes into `provenance.client`; reasons name the figure and the limit it broke."""
    asked, delivered = sends.rates
    lag, late = _spread(lag_ns), _spread(sends.late_ns)
    reasons = []
    ttft_s = (nearest_rank(sends.ttft_ns, 0.5) or 0) / 1e9
    if ttft_s and (lag["p99"] or 0.0) > limits.lag_ttft_frac * ttft_s:
        reasons.append(f"the event loop woke {lag['p99']:.4f} s late at p99 (limit {limits.lag_ttft_frac:.0%} of the "
                       f"median TTFT, {ttft_s:.4f} s)")
    if asked and delivered and abs(delivered / asked - 1) > limits.delivered_frac:
        reasons.append(f"{delivered:.4g} requests per second were delivered, {asked:.4g} asked for (limit +-"
                       f"{limits.delivered_frac:.0%})")
    if cpu_frac > limits.cpu_frac:
        reasons.append(f"the client used {cpu_frac:.2f} of a core (limit {limits.cpu_frac:g})")
    return {
        "client_limited": bool(reasons), "reasons": reasons, "lag_s": lag, "late_s": late,
        "asked_rps": asked, "delivered_rps": delivered, "cpu_frac": round(cpu_frac, 4),
    }


def _spread(values_ns: Sequence[int]) -> dict[str, float | None]:
    """p50, p95, p99 and max in seconds."""
    found = {name: nearest_rank(values_ns, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))}
    return {name: None if value is None else value / 1e9 for name, value in found.items()}


SUMS = ("cpu_s", "connects", "reads", "chunks", "races", "asked_rps", "delivered_rps")


def together(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of several workers: sums of what they did, the worst of how late and how busy one of them was."""
    if len(found) == 1:
        return found[0] | {"workers": 1}
    worst = {name: {q: _most(item[name][q] for item in found) for q in found[0][name]} for name in ("lag_s", "late_s")}
    sums = {name: None if any(item.get(name) is None for item in found) else sum(item[name] for item in found)
            for name in SUMS if name in found[0]}
    return found[0] | sums | worst | {
        "workers": len(found), "client_limited": any(item["client_limited"] for item in found),
        "reasons": [f"worker {i}: {reason}" for i, item in enumerate(found) for reason in item["reasons"]],
        "cpu_frac": max(item["cpu_frac"] for item in found),
        "stopped": any(item.get("stopped", True) for item in found),
    }


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def unjudged(reason: str) -> dict[str, Any]:
    """The judgement of a run whose client did not live to judge itself: not to be trusted."""
    return {"client_limited": True, "reasons": [reason]}
