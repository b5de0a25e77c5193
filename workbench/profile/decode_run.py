"""Many decode iterations in a row, as one formula: what lets the simulator jump.

While a batch of decodes does not change, each iteration adds one token to every context. A model whose time is then
an arithmetic progression says so with a `DecodeLine`; sums are exact, the rounding of each iteration included.
"""

from collections.abc import Callable
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FS_PER_NS = 1_000_000
_HALF = FS_PER_NS // 2
FOREVER = 1 << 40  # iterations: years


class DecodeLine(NamedTuple):
    """Iteration i = 0 .. steps - 1 takes `to_ns(first_fs + i * rise_fs)`: nearest nanosecond, halves up, at least 1."""

    first_fs: int
    rise_fs: int  # at least 0
    steps: int = FOREVER  # how far the formula holds

    def total_ns(self, k: int) -> int:
        """Time of the first k iterations; k at most `steps`."""
        first_fs, rise_fs = self.first_fs + _HALF, self.rise_fs
        if first_fs < 2 * FS_PER_NS:  # some iterations may round to 0 and count 1
            return sum(max(1, (first_fs + i * rise_fs) // FS_PER_NS) for i in range(k))
        if not rise_fs % FS_PER_NS:
            return k * (first_fs // FS_PER_NS) + rise_fs // FS_PER_NS * (k * (k - 1) // 2)
        return _floor_sum(k, FS_PER_NS, rise_fs, first_fs)

    def last_ns(self, k: int) -> int:
        """Time of the k-th iteration alone (k from 1)."""
        return max(1, (self.first_fs + _HALF + (k - 1) * self.rise_fs) // FS_PER_NS)

    def times_ns(self, k: int) -> NDArray[np.int64]:
        """Shape (k,): each of the first k iterations. Terms stay below 2**63 fs, that is 2.5 hours an iteration."""
        fs = self.first_fs + _HALF + self.rise_fs * np.arange(k, dtype=np.int64)
        return np.maximum(1, fs // FS_PER_NS)

    def reach(self, after_ns: int) -> int:
        """The fewest iterations, at most `steps`, that take `after_ns` or longer together; at least 1."""
        first_fs, rise_fs, after_fs = max(1, self.first_fs), self.rise_fs, after_ns * FS_PER_NS
        k = after_fs / first_fs  # as a real number, from the sum of the progression; then to the exact one
        if rise_fs:
            slope = first_fs / rise_fs
            k = sqrt(slope * slope + 2 * after_fs / rise_fs) - slope
        k = min(self.steps, max(1, ceil(k)))
        while k > 1 and self.total_ns(k - 1) >= after_ns:
            k -= 1
        while k < self.steps and self.total_ns(k) < after_ns:
            k += 1
        return k


def times_along(line_after: Callable[[int], DecodeLine], k: int) -> NDArray[np.int64]:
    """Shape (k,): iteration times along several lines, one after another; `line_after(done)` holds from there on."""
    parts: list[NDArray[np.int64]] = []
    done = 0
    while done < k:
        line = line_after(done)
        parts.append(line.times_ns(min(line.steps, k - done)))
        done += len(parts[-1])
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _floor_sum(n: int, m: int, a: int, b: int) -> int:
    """sum of (a * i + b) // m for i = 0 .. n - 1, all non-negative, in O(log m) steps (Euclid's algorithm)."""
    total = 0
    while True:
        if a >= m:
            total += (n - 1) * n // 2 * (a // m)
            a %= m
        if b >= m:
            total += n * (b // m)
            b %= m
        top = a * n + b
        if top < m:
            return total
        n, b = divmod(top, m)
        m, a = a, m
