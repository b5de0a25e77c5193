"""Chunk times of a simulated run, kept as runs of iterations instead of one list a request.

A token leaves at the end of an iteration of its replica, so a request's chunk times are the iteration ends from its
first token to its last. A *segment* is some iterations in a row whose durations are an arithmetic progression
(`workbench.profile.decode_run`); a *span* is the segments in which one request got one token each iteration. A request
has one span, and one more for each time that it was preempted. Gap quantiles and stalls come from here unexpanded.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workbench.stats.quantiles import enough

Ints = NDArray[np.int64]
END, FIRST, RISE, COUNT = range(4)
FS_PER_NS = 1_000_000
_HALF = FS_PER_NS // 2


@dataclass(frozen=True)
class Segments:
    """`runs` is (n, 4): end_ns, first_fs, rise_fs, iterations; iteration i lasts `first_fs + i * rise_fs`, to the
    nearest ns, and the last one ends at `end_ns`. `spans` is (m, 3), ordered by row and time: row of the run log, first
    and last segment, both included; the first segment of a span is a single iteration. A client sees a token
    `shift_ns` after its iteration's end, and none after `until_ns`."""

    runs: Ints
    spans: Ints
    rows: int
    shift_ns: int = 0
    until_ns: int = np.iinfo(np.int64).max

    def where(self, mask: NDArray[np.bool_]) -> "Segments":
        """Of some rows only; rows are then counted anew."""
        number = np.cumsum(mask) - 1
        kept = self.spans[mask[self.spans[:, 0]]]
        kept[:, 0] = number[kept[:, 0]]
        return replace(self, spans=kept, rows=int(mask.sum()))

    def expand(self) -> tuple[Ints, Ints]:
        """(row, time in ns) of every token that was seen, by row and time."""
        row, first, last = self.spans.T
        ends, offset = self._ends_ns, self._offset
        index = _ranges(offset[first], offset[last + 1])
        found = np.repeat(row, offset[last + 1] - offset[first]), ends[index] + self.shift_ns
        seen = found[1] <= self.until_ns
        return (found[0][seen], found[1][seen]) if not seen.all() else found

    @cached_property
    def tokens(self) -> Ints:
        """Shape (rows,): tokens of each row, also those that nobody saw any more."""
        row, first, last = self.spans.T
        found = np.zeros(self.rows, dtype=np.int64)
        np.add.at(found, row, self._offset[last + 1] - self._offset[first])
        return found

    def gap_n(self) -> int:
        """Gaps between two tokens of one row: one less than its tokens."""
        return int(np.maximum(self.tokens - 1, 0).sum())

    def gap_sum_ns(self) -> int:
        """Of all gaps: last token less first token, over the rows."""
        row = self.spans[:, 0]
        opens, closes = np.r_[True, row[1:] != row[:-1]], np.r_[row[1:] != row[:-1], True]
        if not len(row):
            return 0
        return int((self.runs[self.spans[closes, 2], END] - self.runs[self.spans[opens, 1], END]).sum())

    def gap_max_ns(self) -> int:
        worst = int(self._high_ns[self._weight > 0].max(initial=0))
        return max(worst, int(self._pauses[1].max(initial=0)))

    def gap_quantile_ns(self, q: float) -> float | None:
        """As `np.quantile` (type 7) over all gaps; None for fewer than the percentile needs."""
        n = self.gap_n()
        if not enough(n, q):
            return None
        place = (n - 1) * q
        below = int(place)
        low = self._gap_rank_ns(below)
        same = self._gaps_up_to(low) > below + 1  # the next one is as long: most iterations end the gaps of many
        high = low if same or below + 1 == n else self._gap_rank_ns(below + 1)
        return low + (high - low) * (place - below)

    def stall_ns(self) -> Ints:
        """The longest gap of each row that has one, by row."""
        row, first, last = self.spans.T
        found = np.full(self.rows, -1, dtype=np.int64)
        some = last > first
        np.maximum.at(found, row[some], _range_max(self._high_ns, first[some] + 1, last[some] + 1))
        np.maximum.at(found, *self._pauses)
        return found[found >= 0]

    def faults(self) -> str | None:
        """What no run may show: time going back, or a hole between two iterations of a span."""
        inside = np.flatnonzero(self._weight)
        took, count = self.runs[inside, END] - self.runs[inside - 1, END], self.runs[inside, COUNT]
        if (took < self._low_ns[inside] * count).any() or (took > self._high_ns[inside] * count).any():
            return "tokens with a hole between them, or out of order"
        if (self.runs[self.spans[:, 1], COUNT] != 1).any():
            return "a span that begins inside a segment"
        return "a pause that ends before it began" if (self._pauses[1] < 0).any() else None

    @cached_property
    def _offset(self) -> Ints:
        """Shape (n + 1,): iterations before each segment."""
        return np.asarray(np.r_[0, np.cumsum(self.runs[:, COUNT])])

    @cached_property
    def _ends_ns(self) -> Ints:
        """The end of every iteration."""
        durations, offset = _durations_ns(self.runs)
        total = np.r_[0, np.cumsum(durations)]
        return np.asarray(total[1:] + np.repeat(self.runs[:, END] - total[offset[1:]], self.runs[:, COUNT]))

    @cached_property
    def _low_ns(self) -> Ints:
        return np.asarray(np.maximum(1, (self.runs[:, FIRST] + _HALF) // FS_PER_NS))

    @cached_property
    def _high_ns(self) -> Ints:
        last_fs = self.runs[:, FIRST] + self.runs[:, RISE] * (self.runs[:, COUNT] - 1)
        return np.asarray(np.maximum(1, (last_fs + _HALF) // FS_PER_NS))

    @cached_property
    def _weight(self) -> Ints:
        """Shape (n,): in how many spans each iteration of the segment ends a gap."""
        n, (_, first, last) = len(self.runs), self.spans.T
        change = np.bincount(first + 1, minlength=n + 1) - np.bincount(last + 1, minlength=n + 1)
        found: Ints = np.cumsum(change)[:n]
        return found

    @cached_property
    def _pauses(self) -> tuple[Ints, Ints]:
        """(row, gap in ns) between two spans of one row."""
        row, first, last = self.spans.T
        again = np.flatnonzero(row[1:] == row[:-1]) + 1
        return row[again], self.runs[first[again], END] - self.runs[last[again - 1], END]

    def _gaps_up_to(self, limit_ns: int) -> int:
        """How many gaps are no longer."""
        edge = np.flatnonzero((self._weight > 0) & (self._low_ns <= limit_ns))
        count, rise = self.runs[edge, COUNT], self.runs[edge, RISE]
        reach_fs = (min(limit_ns, int(self._high_ns.max(initial=0))) + 1) * FS_PER_NS  # as in `_gap_rank_ns`
        short = np.where(rise > 0, _ceil_div(reach_fs - _HALF - self.runs[edge, FIRST], np.maximum(rise, 1)), count)
        return int((self._weight[edge] * np.clip(short, 0, count)).sum()) + int((self._pauses[1] <= limit_ns).sum())

    def _gap_rank_ns(self, rank: int) -> int:
        """The gap with `rank` others before it in order of size: bisection over whole ns, exact."""
        used = self._weight > 0
        weight, count = self._weight[used], self.runs[used, COUNT]
        fs, rise = self.runs[used, FIRST] + _HALF, self.runs[used, RISE]
        low, high = self._low_ns[used], self._high_ns[used]
        pauses = self._pauses[1]
        below = 0  # gaps that are certainly no longer than the answer
        least = int(min(low.min(initial=2**62), pauses.min(initial=2**62)))
        longest = int(high.max(initial=0))  # of a pause, above 2.5 hours, the fs would not fit into 64 bits
        most = max(longest, int(pauses.max(initial=0)))
        while least < most:
            middle = (least + most) // 2
            reach_fs = (min(middle, longest) + 1) * FS_PER_NS
            short = np.where(rise > 0, _ceil_div(reach_fs - fs, np.maximum(rise, 1)), count)
            short = np.where(high <= middle, count, np.where(low <= middle, np.clip(short, 0, count), 0))
            if below + int((weight * short).sum()) + int((pauses <= middle).sum()) > rank:
                most, kept = middle, low <= middle
            else:
                least, kept = middle + 1, high > middle
                below += int((weight * count)[~kept].sum())
            if not kept.all():
                weight, count, fs, rise, low, high = (
                    values[kept] for values in (weight, count, fs, rise, low, high))
        return least


def _durations_ns(runs: Ints) -> tuple[Ints, Ints]:
    """Every iteration's duration, and the offset of each segment's first one."""
    count = runs[:, COUNT]
    offset = np.r_[0, np.cumsum(count)]
    step = np.arange(offset[-1]) - np.repeat(offset[:-1], count)
    fs = np.repeat(runs[:, FIRST], count) + _HALF + step * np.repeat(runs[:, RISE], count)
    return np.maximum(1, fs // FS_PER_NS), offset


def _ranges(low: Ints, high: Ints) -> Ints:
    """low[0] .. high[0] - 1, low[1] .. high[1] - 1, and so on."""
    size = high - low
    before = np.r_[0, np.cumsum(size)]
    return np.asarray(np.arange(before[-1]) + np.repeat(low - before[:-1], size))


def _ceil_div(a: Ints, b: Ints) -> Ints:
    return np.asarray(-(-a // b))


def _range_max(values: Ints, low: Ints, high: Ints) -> Ints:
    """The maximum of values[low:high] for each pair, low < high: a sparse table, a level at a time."""
    found = np.zeros(len(low), dtype=np.int64)
    level = np.frexp(high - low)[1] - 1  # 2**level <= length
    table = values
    for i in range(int(level.max(initial=-1)) + 1):
        mine = np.flatnonzero(level == i)
        found[mine] = np.maximum(table[low[mine]], table[high[mine] - (1 << i)])
        table = np.maximum(table[: -(1 << i)], table[1 << i:])
    return found
