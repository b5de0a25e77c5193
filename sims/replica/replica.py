"""A replica: an engine's batching rules and how long its iterations take. Pure: whoever drives it owns the clock."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sims.replica.job import Batcher, Job, Plan, Request
from sims.replica.llama_cpp import LlamaCppBatcher
from sims.replica.ranks import RankedBatcher
from sims.replica.vllm import VllmBatcher
from sims.rules import EngineRules, LlamaCppRules, VllmRules
from workbench.profile.batch import Batch
from workbench.profile.compiling import of_a_replica


class IterationTime(Protocol):
    """What a replica asks a profile."""

    def iteration_ns(self, batch: Batch) -> int: ...


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration that began: all of it is decided at its start; tokens come at `end_ns`."""

    batch: Batch
    start_ns: int
    end_ns: int
    started: tuple[str, ...]  # admitted here: what is not cached of their prompt begins (again, if preempted)
    emitted: tuple[str, ...]  # who gets tokens at end_ns, in the engine's order
    finished: tuple[str, ...]  # their last token is among the emitted
    preempted: tuple[str, ...]
    tokens: tuple[int, ...] = ()  # how many each of `emitted` gets; empty: one each
    cached_tok: tuple[int, ...] = ()  # of each of `started`, when it was admitted first; empty: none has any
    batches: tuple[Batch, ...] = ()  # per lock-step rank, where there are several; an idle rank's is empty


def batcher(rules: EngineRules) -> Batcher:
    if isinstance(rules, LlamaCppRules):
        return LlamaCppBatcher(rules)
    return VllmBatcher(rules) if rules.ranks == 1 else RankedBatcher(rules)


class Replica:
    """Submit requests, then step: each step is one iteration.

    The driver calls `step(now_ns)` when the replica is idle and something was submitted, and again at each
    iteration's `end_ns`, after the submissions of the same instant. `admit_ns` is what an admission costs the
    engine, added to the iteration in which a prompt begins.
    """

    def __init__(self, rules: EngineRules, timing: IterationTime, *, admit_ns: int = 0) -> None:
        self.rules, self.admit_ns = rules, admit_ns
        self.timing: IterationTime = of_a_replica(timing)
        self.batcher = batcher(rules)
        self.busy_until_ns = 0
        self.slow_x = 1.0  # its hardware needs so many times as long as the profile says
        self.iterations = 0
        self.preemptions = 0

    def refusal(self, request: Request) -> str | None:
        """Why this request can never be served here, or None."""
        if request.prompt_tok < 1 or request.output_tok < 1:
            return f"prompt_tok {request.prompt_tok}, output_tok {request.output_tok}: both must be at least 1"
        return self.batcher.refusal(request)

    def submit(self, now_ns: int, request: Request) -> str | None:
        """Queue a request, or say why it is refused. It is admitted by the next step at or after `now_ns`."""
        if now_ns < 0:
            raise ValueError(f"now_ns {now_ns}: a run begins at 0")
        reason = self.refusal(request)
        if reason is None:
            self._tell(now_ns)
            self.batcher.submit(Job(request, request.prompt_tok))
        return reason

    def step(self, now_ns: int) -> Iteration | None:
        """Begin the next iteration at `now_ns`; None when there is nothing to compute."""
        if now_ns < self.busy_until_ns:
            raise ValueError(f"step at {now_ns} ns, but the iteration in progress ends at {self.busy_until_ns} ns")
        self._tell(now_ns)
        plan = self.batcher.compose()
        if plan is None:
            return None
        return self._run(plan, now_ns)

    def cancel(self, request_id: str) -> bool:
        """Drop a request that has not finished; False when it is not here. The iteration in progress ends first."""
        return self.batcher.cancel(request_id)

    @property
    def waiting_n(self) -> int:
        return len(self.batcher.waiting)

    @property
    def running_n(self) -> int:
        return len(self.batcher.running)

    @property
    def idle(self) -> bool:
        return not self.waiting_n and not self.running_n

    def _tell(self, now_ns: int) -> None:
        if isinstance(self.batcher, RankedBatcher):
            self.batcher.publish(now_ns)

    def _run(self, plan: Plan, now_ns: int) -> Iteration:
        begun = [piece.job for piece in plan.pieces if piece.first]
        takes_ns = self._compute_ns(plan) + self._loading_ns(plan)
        end_ns = now_ns + (takes_ns if self.slow_x == 1 else round(takes_ns * self.slow_x))
        if begun and self.admit_ns:
            end_ns += self.admit_ns * max(Counter(job.rank for job in begun).values())
        if end_ns <= now_ns:
            raise ValueError(f"the profile says {end_ns - now_ns} ns for {plan.batch}: it takes at least 1 ns")
        emitted = tuple([job.request.request_id for job in plan.emitters])
        finished = tuple([job.request.request_id for job in self.batcher.complete(plan)])
        cached = tuple([job.cached_tok or 0 for job in begun])
        self.busy_until_ns = end_ns
        self.iterations += 1
        self.preemptions += len(plan.preempted)
        return Iteration(
            plan.batch, now_ns, end_ns, tuple([job.request.request_id for job in begun]), emitted, finished,
            tuple([job.request.request_id for job in plan.preempted]),
            plan.tokens, cached if any(cached) else (), plan.batches,
        )

    def _compute_ns(self, plan: Plan) -> int:
        if not plan.batches:
            return self.timing.iteration_ns(plan.batch)
        return lockstep_ns(self.timing, plan.batches)

    def _loading_ns(self, plan: Plan) -> int:
        """Blocks from host memory come before the iteration that needs them."""
        if not plan.loaded_blocks or not isinstance(self.rules, VllmRules):
            return 0
        return round(plan.loaded_blocks * self.rules.kv_block_bytes / self.rules.host_bytes_per_s * 1e9)


def lockstep_ns(timing: IterationTime, batches: Sequence[Batch]) -> int:
    """All ranks step together, those without work do a dummy step: the timing's own `lockstep_ns` if it has one,
    else the slowest rank's time."""
    own: Callable[[Sequence[Batch]], int] | None = getattr(timing, "lockstep_ns", None)
    if own is not None:
        return own(batches)
    return max(timing.iteration_ns(batch) for batch in batches if batch.decode_n or batch.prefills)
