"""Shares of service: Jain's index, and the times at which all of several had something waiting.

Fair queueing promises nothing to who has nothing to send, so shares are taken over jointly backlogged time alone
(Parekh & Gallager, IEEE/ACM Transactions on Networking 1(3), 1993).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def jain(values: Sequence[float]) -> float | None:
    """(sum x)^2 / (n sum x^2): 1 where all have the same, 1/n where one has everything; None where nobody has anything.

    Jain, Chiu & Hawe, DEC-TR-301, 1984.
    """
    most = max(values, default=0.0)
    if min(values, default=0.0) < 0:
        raise ValueError("Jain's index is of amounts, none below 0")
    if not most:
        return None
    scaled = [value / most for value in values]  # squares of large amounts stay finite
    return sum(scaled) ** 2 / (len(scaled) * sum(value * value for value in scaled))


def union(start_ns: Ints, end_ns: Ints) -> Ints:
    """Shape (m, 2): [from, to) in order and apart, in which at least one of the given intervals is open."""
    if (end_ns < start_ns).any():
        raise ValueError("an interval ends before it begins")
    order = np.argsort(start_ns, kind="stable")
    start, end = start_ns[order], np.maximum.accumulate(end_ns[order])
    if not len(start):
        return np.zeros((0, 2), dtype=np.int64)
    first = np.r_[True, start[1:] > end[:-1]]
    found = np.stack([start[first], end[np.r_[first[1:], True]]], axis=1)
    return np.asarray(found[found[:, 1] > found[:, 0]], dtype=np.int64)


def common(several: Sequence[Ints]) -> Ints:
    """Shape (m, 2): where all of several unions are open."""
    if not several:
        return np.zeros((0, 2), dtype=np.int64)
    moments = np.concatenate([one.ravel() for one in several])
    change = np.concatenate([np.tile([1, -1], len(one)) for one in several])
    order = np.lexsort((-change, moments))  # who begins, before who ends at the same moment: touching parts are joined
    open_n = np.cumsum(change[order])
    at = np.flatnonzero(open_n == len(several))
    if not len(at):
        return np.zeros((0, 2), dtype=np.int64)
    found = np.stack([moments[order][at], moments[order][at + 1]], axis=1)
    return union(found[:, 0], found[:, 1])


def inside(times_ns: Ints, intervals: Ints) -> NDArray[np.bool_]:
    """Which moments lie in (from, to] of an interval: what is told at its end was done in it."""
    index = np.searchsorted(intervals[:, 0], times_ns, side="left") - 1
    found: NDArray[np.bool_] = np.zeros(len(times_ns), dtype=bool)
    known = index >= 0
    found[known] = times_ns[known] <= intervals[index[known], 1]
    return found


def length_ns(intervals: Ints) -> int:
    return int((intervals[:, 1] - intervals[:, 0]).sum())
