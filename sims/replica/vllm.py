"""vLLM v1: running requests first, a token budget, chunked prefill, block-wise KV with recompute preemption."""

from collections import deque
from collections.abc import Sequence

from sims.replica.job import Job, Piece, Plan, Request, advance
from sims.replica.kv import BlockPool
from sims.rules import VllmRules


class VllmBatcher:
    """The schedule of one step.

    1. Running requests in order of admission, each decode one token and a half-done prompt what the budget
       leaves. One that finds no block preempts the tail of the running list, in the end itself: the victim
       loses its blocks, goes back to the head of the queue and computes its prompt and output again.
    2. Unless somebody was preempted: the queue in order, while seats, budget and blocks last. Head of line:
       when the first does not fit, nobody behind it is looked at.
    """

    def __init__(self, rules: VllmRules) -> None:
        self.rules = rules
        self.kv = BlockPool(rules.kv_blocks, rules.block_tok)
        self._queue: deque[Job] = deque()
        self._running: list[Job] = []

    def refusal(self, request: Request) -> str | None:
        need, most = request.prompt_tok + request.output_tok, self.rules.max_model_len_tok
        if most is not None and need > most:
            return f"needs {need} tokens of context, the model takes {most}"
        blocks, have = self.kv.blocks(need - 1), self.rules.kv_blocks  # the last token is never read again
        if have is not None and blocks > have:
            return f"needs {blocks} KV blocks, the replica has {have}"
        return None

    def submit(self, job: Job) -> None:
        self._queue.append(job)

    def compose(self) -> Plan | None:
        budget = self.rules.max_num_batched_tokens
        decodes: list[Job] = []
        pieces: list[Piece] = []
        preempted: list[Job] = []
        turn = 0
        while turn < len(self._running) and budget:
            job = self._running[turn]
            new = 1 if job.decoding else min(budget, job.target_tok - job.kv_tok)
            if not self._make_room(job, new, preempted):
                break  # it preempted itself; nobody is behind it any more
            if job.decoding:
                decodes.append(job)
            else:
                pieces.append(Piece(job, new, job.kv_tok))
            budget -= new
            turn += 1
        if not preempted:
            self._admit(budget, pieces)
        if not decodes and not pieces:
            return None
        return Plan(tuple(decodes), tuple(pieces), tuple(preempted))

    def complete(self, plan: Plan) -> list[Job]:
        advance(plan)
        finished = [job for job in self._running if job.finished]
        for job in finished:
            self.kv.release(job.request.request_id)
        self._running = [job for job in self._running if not job.finished]
        return finished

    def cancel(self, request_id: str) -> bool:
        for jobs in (self._queue, self._running):
            for job in jobs:
                if job.request.request_id == request_id:
                    jobs.remove(job)
                    self.kv.release(request_id)
                    return True
        return False

    @property
    def waiting(self) -> Sequence[Job]:
        return self._queue

    @property
    def running(self) -> Sequence[Job]:
        """In order of admission."""
        return self._running

    def _make_room(self, job: Job, new: int, preempted: list[Job]) -> bool:
        while not self.kv.grow(job.request.request_id, job.kv_tok + new):
            victim = self._running.pop()
            self.kv.release(victim.request.request_id)
            victim.target_tok, victim.kv_tok = victim.request.prompt_tok + victim.out_tok, 0
            victim.preemptions += 1
            self._queue.appendleft(victim)
            preempted.append(victim)
            if victim is job:
                return False
        return True

    def _admit(self, budget: int, pieces: list[Piece]) -> None:
        while self._queue and budget and len(self._running) < self.rules.max_num_seqs:
            job = self._queue[0]
            new = min(budget, job.target_tok)
            if not self.kv.grow(job.request.request_id, new):
                return
            self._running.append(self._queue.popleft())
            pieces.append(Piece(job, new, 0))
            budget -= new
