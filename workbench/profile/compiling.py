"""What a replica has compiled so far: the first use of each shape costs a compilation, in that iteration.

A profile is shared and knows no past; this is the past. One for each replica: what another has compiled does not help,
and after a restart everything is compiled again (a cache on disk would be a smaller `compile_ns`).
"""

from collections.abc import Sequence
from typing import Any

from workbench.profile.batch import Batch
from workbench.profile.buckets import Bucketed, Shape
from workbench.profile.decode_run import FS_PER_NS, DecodeLine
from workbench.profile.ranges import Ranges, RangeWatch


def of_a_replica(timing: Any) -> Any:
    """The timing with a fresh past where shapes are compiled while it serves; else the timing itself."""
    if isinstance(timing, Compiling):
        return timing
    given = timing.profile if isinstance(timing, RangeWatch) else timing
    model = getattr(given, "model", None)
    return Compiling(timing, model) if isinstance(model, Bucketed) and model.compile_ns else timing


class Compiling(RangeWatch):
    """Also passes on, to a watch that it was made of, what ran.

    Who asks for an iteration that computes prompts is taken to run it. A line of decodes is only looked at: it becomes
    the past when somebody says `decoded`; until it is compiled it is one iteration long.
    """

    def __init__(self, timing: Any, model: Bucketed) -> None:
        self._watch = timing if isinstance(timing, RangeWatch) else None
        whole: Any = timing.profile if isinstance(timing, RangeWatch) else timing
        super().__init__(whole)
        self.compiled: set[Shape] = set()
        self.profile = _Asked(whole, model, self.compiled)

    @property
    def compilations(self) -> int:
        return len(self.compiled)

    def ran(self, batches: Sequence[Batch]) -> None:
        if self._watch is not None:
            self._watch.ran(batches)

    def computed(self, prefills: Sequence[tuple[int, int]], decode_n: int, ctx_sum_tok: int) -> None:
        if self._watch is not None:
            self._watch.computed(prefills, decode_n, ctx_sum_tok)

    def decoded(self, decode_n: int, ctx_sum_tok: int, k: int) -> None:
        asked = self.profile
        assert isinstance(asked, _Asked)
        self.compiled.update(asked.model.shapes((), decode_n))
        if self._watch is not None:
            self._watch.decoded(decode_n, ctx_sum_tok, k)


class _Asked:
    """The profile's face, compilations added."""

    def __init__(self, profile: Any, model: Bucketed, compiled: set[Shape]) -> None:
        self._profile, self.model, self._compiled = profile, model, compiled
        self.uses = model.uses

    @property
    def ranges(self) -> Ranges:
        found: Ranges = self._profile.ranges
        return found

    @property
    def overheads(self) -> Any:
        return self._profile.overheads

    def iteration_ns(self, batch: Batch) -> int:
        new_ns = self._compile_ns(self.model.shapes(batch.prefills, batch.decode_n, batch.draft_tok))
        time_ns: int = self._profile.iteration_ns(batch)
        return time_ns + new_ns

    def mixed_ns(self, prefills: Sequence[tuple[int, int]], decode_n: int, ctx_sum_tok: int, *spread: int) -> int:
        new_ns = self._compile_ns(self.model.shapes(prefills, decode_n))
        time_ns: int = self._profile.mixed_ns(prefills, decode_n, ctx_sum_tok, *spread)
        return time_ns + new_ns

    def lockstep_ns(self, batches: Sequence[Batch]) -> int:
        """Ranks compile the same shapes at the same time."""
        shapes = [self.model.shapes(one.prefills, one.decode_n, one.draft_tok) for one in batches]
        new_ns = self._compile_ns(tuple(dict.fromkeys(shape for some in shapes for shape in some)))
        time_ns: int = self._profile.lockstep_ns(batches)
        return time_ns + new_ns

    def decode_line(self, decode_n: int, ctx_sum_tok: int, *_spread: int) -> DecodeLine:
        line = self.model.decode_line(decode_n, ctx_sum_tok)
        missing = sum(shape not in self._compiled for shape in self.model.shapes((), decode_n))
        if not missing:
            return line
        return DecodeLine(line.first_fs + missing * self.model.compile_ns * FS_PER_NS, 0, 1)

    def _compile_ns(self, shapes: tuple[Shape, ...]) -> int:
        """They are compiled from now on."""
        missing = [shape for shape in shapes if shape not in self._compiled]
        self._compiled.update(missing)
        return len(missing) * self.model.compile_ns
