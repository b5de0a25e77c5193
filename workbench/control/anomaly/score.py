"""How good a detector is: false alarms, and how late."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Score(NamedTuple):
    """Of one run. An alarm within `patience` steps from a change is its detection, the first one; further ones within
    it are neither; all others are false."""

    changes: int
    detected: int
    false_alarms: int
    delay: int  # steps, summed over the detected

    def __add__(self, other: object) -> "Score":
        """Of both runs together."""
        if not isinstance(other, Score):
            return NotImplemented
        return Score(*(a + b for a, b in zip(self, other, strict=True)))


def score(alarms: Sequence[int], changes: Sequence[int], patience: int) -> Score:
    """Both are steps, rising. Changes are at least `patience` apart."""
    if any(b - a < patience for a, b in pairwise(changes)):
        raise ValueError(f"changes: two are less than {patience} steps apart, so an alarm could be for either")
    delays = []
    for change in changes:
        first = next((at for at in alarms if change <= at < change + patience), None)
        if first is not None:
            delays.append(first - change)
    false = sum(not any(change <= at < change + patience for change in changes) for at in alarms)
    return Score(len(changes), len(delays), false, sum(delays))
