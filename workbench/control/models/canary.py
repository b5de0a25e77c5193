"""A new version takes over step by step, or is taken back, by a sequential test."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from workbench.control.limits.answer import whole
from workbench.control.models.registry import ModelRegistry
from workbench.control.models.sequential import PairedSprt
from workbench.control.routing.protocol import Clock

Act = Literal["begin", "widen", "promote", "roll back"]


class Step(NamedTuple):
    """What was done to the alias, and why."""

    act: Act
    alias: str
    share_ppm: int  # the canary's from now on
    reason: str


class Canary(Clock):
    """`canary` gets `stages_ppm[0]` of an alias's users, then more with every `stage_pairs` pairs of outcomes.

    The test runs over all stages: good promotes, bad rolls back, at any moment. Undecided after `most_pairs` pairs it
    is rolled back: who cannot be shown to be good is not promoted. So a bad canary is promoted with a probability of
    at most `false_good_ppm`. A user who had the canary keeps it in the next stage.
    A failure is whatever the caller counts as one: an error, a missed first-byte target, a thumb down.
    """

    def __init__(self, registry: ModelRegistry, alias: str, baseline: str, canary: str,
                 stages_ppm: Sequence[int] = (10_000, 50_000, 250_000, 500_000), stage_pairs: int = 500,
                 most_pairs: int = 20_000, ratio_ppm: int = 2_000_000, false_good_ppm: int = 50_000,
                 false_bad_ppm: int = 50_000) -> None:
        super().__init__()
        for i, share in enumerate(stages_ppm):
            whole(f"stages_ppm.{i}", share, stages_ppm[i - 1] + 1 if i else 1)
        if not stages_ppm or stages_ppm[-1] >= 1_000_000:
            raise ValueError(f"stages_ppm {list(stages_ppm)}: at least one, each below 1000000 (the last is promotion)")
        for name in (baseline, canary):
            registry.version(name)  # raises where it is unknown
        if baseline == canary:
            raise ValueError(f"canary {canary}: is the baseline itself")
        self.registry, self.alias, self.baseline, self.canary = registry, alias, baseline, canary
        self.stages_ppm, self.stage_pairs = tuple(stages_ppm), whole("stage_pairs", stage_pairs)
        self.most_pairs = whole("most_pairs", most_pairs)
        self.test = PairedSprt(ratio_ppm, false_good_ppm, false_bad_ppm)
        self.over = False
        self._stage = 0
        self._waiting: tuple[str, bool] | None = None  # the first outcome of the next pair

    def begin(self, now_ns: int) -> Step:
        return self._split(now_ns, "begin", self.stages_ppm[0], f"{self.canary} beside {self.baseline}")

    def outcome(self, now_ns: int, version: str, failed: bool) -> Step | None:
        """One request's. Which outcomes make a pair does not depend on how they turned out: the first of each side
        after the last pair. Others of the same side are left out: the baseline's are plenty."""
        self._tick(now_ns)
        if self.over or version not in (self.baseline, self.canary):
            return None
        if self._waiting is None or self._waiting[0] == version:
            self._waiting = self._waiting or (version, failed)
            return None
        _, other = self._waiting
        self._waiting = None
        verdict = self.test.pair(failed, other) if version == self.canary else self.test.pair(other, failed)
        if verdict == "good":
            return self._end(now_ns, "promote", self.canary, 1_000_000)
        if verdict == "bad":
            return self._end(now_ns, "roll back", self.baseline, 0)
        if self.test.pairs >= self.most_pairs:
            return self._end(now_ns, "roll back", self.baseline, 0)
        if self.test.pairs >= self.stage_pairs * (self._stage + 1) and self._stage + 1 < len(self.stages_ppm):
            self._stage += 1
            return self._split(now_ns, "widen", self.stages_ppm[self._stage], self._seen())
        return None

    def _end(self, now_ns: int, act: Act, winner: str, share_ppm: int) -> Step:
        self.over = True
        self.registry.split(now_ns, self.alias, {winner: 1})
        return Step(act, self.alias, share_ppm, self._seen())

    def _split(self, now_ns: int, act: Act, share_ppm: int, reason: str) -> Step:
        self._tick(now_ns)
        weights: Mapping[str, int] = {self.canary: share_ppm, self.baseline: 1_000_000 - share_ppm}
        self.registry.split(now_ns, self.alias, weights)
        return Step(act, self.alias, share_ppm, reason)

    def _seen(self) -> str:
        test = self.test
        return (f"{test.pairs} pairs: {test.canary_alone} where only the canary failed, {test.baseline_alone} where "
                "only the baseline did")
