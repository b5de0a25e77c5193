"""One replica of N data-parallel ranks that share their experts: each schedules for itself, all step together."""

from collections.abc import Sequence

from sims.replica.job import Job, Plan, Request
from sims.replica.vllm import VllmBatcher
from sims.rules import VllmRules
from workbench.profile.batch import Batch

PUBLISH_NS = 100_000_000  # vLLM v1's DP coordinator publishes the ranks' counts at most every 100 ms
WAITING_WEIGHT = 4  # vLLM v1's client sends a request where 4 x waiting + running is least


class RankedBatcher:
    """A request goes to the rank that looks least loaded: by the counts published last, plus what was sent since."""

    def __init__(self, rules: VllmRules) -> None:
        self.rules = rules
        self.ranks = [VllmBatcher(rules) for _ in range(rules.ranks)]
        self._counts = [(0, 0)] * rules.ranks  # (waiting, running)
        self._published_ns = 0
        self._plans: list[Plan | None] = []

    def publish(self, now_ns: int) -> None:
        """Refresh what the choice of a rank sees, when it is due."""
        if now_ns - self._published_ns >= PUBLISH_NS:
            self._published_ns = now_ns
            self._counts = [(len(rank.waiting), len(rank.running)) for rank in self.ranks]

    def refusal(self, request: Request) -> str | None:
        return self.ranks[0].refusal(request)

    def submit(self, job: Job) -> None:
        loads = [WAITING_WEIGHT * waiting + running for waiting, running in self._counts]
        job.rank = loads.index(min(loads))
        waiting, running = self._counts[job.rank]
        self._counts[job.rank] = waiting + 1, running
        self.ranks[job.rank].submit(job)

    def compose(self) -> Plan | None:
        self._plans = [rank.compose() for rank in self.ranks]
        busy = [plan for plan in self._plans if plan is not None]
        if not busy:
            return None
        batches = tuple([Batch() if plan is None else plan.batch for plan in self._plans])
        return Plan(
            [job for plan in busy for job in plan.decodes], [piece for plan in busy for piece in plan.pieces],
            total(batches), [job for plan in busy for job in plan.preempted],
            loaded_blocks=max(plan.loaded_blocks for plan in busy), batches=batches,
            emitters=tuple([job for plan in busy for job in plan.emitters]),
        )

    def complete(self, plan: Plan) -> list[Job]:
        finished: list[Job] = []
        tokens: list[int] = []
        for rank, part in zip(self.ranks, self._plans, strict=True):
            if part is not None:
                finished += rank.complete(part)
                tokens += part.tokens or [1] * len(part.emitters)
        plan.finished, plan.tokens = finished, tuple(tokens) if max(tokens, default=1) > 1 else ()
        return finished

    def cancel(self, request_id: str) -> bool:
        return any(rank.cancel(request_id) for rank in self.ranks)

    @property
    def waiting(self) -> Sequence[Job]:
        return [job for rank in self.ranks for job in rank.waiting]

    @property
    def running(self) -> Sequence[Job]:
        return [job for rank in self.ranks for job in rank.running]


def total(batches: Sequence[Batch]) -> Batch:
    """What all ranks compute together."""
    decoding = [batch for batch in batches if batch.decode_n]
    return Batch(
        tuple([piece for batch in batches for piece in batch.prefills]),
        sum(batch.decode_n for batch in decoding), sum(batch.decode_ctx_sum_tok for batch in decoding),
        max((batch.decode_ctx_max_tok for batch in decoding), default=0),
        min((batch.decode_ctx_min_tok for batch in decoding), default=0),
        draft_tok=sum(batch.draft_tok for batch in batches),
    )
