"""What a jump asks a profile: one mixed iteration, or many decode iterations in a row."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.replica import IterationTime
from workbench.profile.batch import Batch
from workbench.profile.compiling import of_a_replica
from workbench.profile.decode_run import FOREVER, FS_PER_NS, DecodeLine
from workbench.profile.profile import Profile
from workbench.profile.ranges import RangeWatch

AT_ONCE = 64  # iterations evaluated ahead where there is no closed form: an arrival may make most of them useless


class Times:
    """The face of a `DecodeLine` over explicit durations."""

    def __init__(self, durations_ns: NDArray[np.int64]) -> None:
        if int(durations_ns.min()) < 1:
            raise ValueError(f"the profile says {int(durations_ns.min())} ns: an iteration takes at least 1 ns")
        self.durations_ns = durations_ns
        self.total = np.cumsum(durations_ns)
        self.steps = len(durations_ns)

    def total_ns(self, k: int) -> int:
        return int(self.total[k - 1]) if k else 0

    def rows(self, start_ns: int, k: int) -> bytes:
        """The first k iterations as segments of one each (`workbench.runlog.segments`)."""
        rows = np.zeros((k, 4), dtype=np.int64)
        rows[:, 0], rows[:, 1], rows[:, 3] = start_ns + self.total[:k], self.durations_ns[:k] * FS_PER_NS, 1
        return rows.tobytes()

    def reach(self, after_ns: int) -> int:
        return min(self.steps, int(np.searchsorted(self.total, after_ns)) + 1)


class Timing:
    """A timing object with whatever it offers, and the mode that this allows."""

    def __init__(self, timing: IterationTime, *, single: bool) -> None:
        given: Any = of_a_replica(timing)
        self.watch: RangeWatch | None = None  # is told what ran, not what was asked ahead
        if isinstance(given, RangeWatch):
            given, self.watch = given.profile, given
        self.iteration_ns: Callable[[Batch], int] = given.iteration_ns
        lines = given.model if isinstance(given, Profile) else given  # without a step between
        self.line: Callable[[int, int, int, int], DecodeLine | None] | None = getattr(lines, "decode_line", None)
        self._times: Callable[..., NDArray[np.int64]] | None = getattr(given, "decode_times_ns", None)
        self.mixed_ns: Callable[..., int] | None = getattr(given, "mixed_ns", None)  # as iteration_ns, without a Batch
        self.jumps = not single and (self.line is not None or self._times is not None)
        if single:
            self._times = None
        uses = getattr(given, "uses", None)
        self.needs_spread = uses is None or bool({"decode_ctx_max_tok", "decode_ctx_min_tok"} & set(uses))

    def run(self, n: int, ctx_sum: int, ctx_max: int, ctx_min: int, k: int) -> "DecodeLine | Times":
        """Where `line` has no answer: the next iterations of `n` decodes, at most `k` of them wanted; `steps` says how
        many these are."""
        if self._times is not None and k > 1:
            return Times(np.asarray(self._times(n, ctx_sum, ctx_max, ctx_min, min(k, AT_ONCE)), dtype=np.int64))
        ns = self.iteration_ns(Batch((), n, ctx_sum, ctx_max, ctx_min))
        if ns < 1:
            raise ValueError(f"the profile says {ns} ns for {n} decodes: an iteration takes at least 1 ns")
        return DecodeLine(ns * FS_PER_NS, 0, 1)


__all__ = ["FOREVER", "Times", "Timing"]
