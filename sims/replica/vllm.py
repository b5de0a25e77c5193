"""vLLM v1 (0.19): running requests first, a token budget, chunked prefill, block-wise KV with recompute preemption."""

from bisect import insort
from collections import deque
from collections.abc import Sequence

from sims.replica.drafts import advance_drafted
from sims.replica.job import Job, Piece, Plan, Request, advance, batch_of
from sims.replica.kv import CountedBlocks, KvCache
from sims.replica.prefix import PrefixBlocks
from sims.rules import VllmRules


class _Step:
    """What one step has decided so far."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.decodes: list[Job] = []
        self.drafts: list[int] = []
        self.pieces: list[Piece] = []
        self.preempted: list[Job] = []

    def withdraw(self, victim: Job) -> None:
        """It was to run in this step already; only where the order is by priority."""
        for at, job in enumerate(self.decodes):
            if job is victim:
                del self.decodes[at]
                self.budget += 1 + (self.drafts.pop(at) if self.drafts else 0)
                return
        for piece in self.pieces:
            if piece.job is victim:
                self.pieces.remove(piece)
                self.budget += piece.new_tok
                return


class VllmBatcher:
    """The schedule of one step.

    1. Running requests in order of admission, each decode one token and a half-done prompt what the budget
       leaves. One that finds no block preempts the tail of the running list, in the end itself: the victim
       loses its blocks, goes back to the head of the queue and computes its prompt and output again, but for
       blocks that are still cached.
    2. Unless somebody was preempted: the queue in order, while seats, budget and blocks last. Head of line:
       when the first does not fit, nobody behind it is looked at.

    With `async_scheduling` a step is composed when the one before it begins: who arrives meanwhile misses it, and
    who finishes meanwhile keeps its seat and its blocks for it.
    """

    def __init__(self, rules: VllmRules) -> None:
        self.rules = rules
        self.kv: KvCache = (PrefixBlocks(rules.kv_blocks, rules.block_tok, rules.host_blocks) if rules.prefix_caching
                            else CountedBlocks(rules.kv_blocks, rules.block_tok))
        self._queue: deque[Job] = deque()
        self._running: list[Job] = []
        self._arrived = 0
        self._open = True  # static batching: the batch still takes requests
        self._lost: list[Job] = []  # preempted since the last step that computed something
        self._ahead: Plan | None = None
        self._leaving: Sequence[Job] = ()

    def refusal(self, request: Request) -> str | None:
        rules = self.rules
        need, most = request.prompt_tok + request.output_tok, rules.max_model_len_tok
        if most is not None and need > most:
            return f"needs {need} tokens of context, the model takes {most}"
        if not rules.chunked_prefill and need - 1 > rules.max_num_batched_tokens:
            return (f"may have to compute {need - 1} tokens at once, max_num_batched_tokens is "
                    f"{rules.max_num_batched_tokens} without chunked prefill")
        blocks = self.kv.blocks(self._most_tok(request))
        if blocks > rules.kv_blocks:
            return f"needs {blocks} KV blocks, the replica has {rules.kv_blocks}"
        return None

    def submit(self, job: Job) -> None:
        job.order = self._arrived
        self._arrived += 1
        self._enqueue(job)

    def compose(self) -> Plan | None:
        if not self.rules.async_scheduling:
            return self._schedule()
        self._let_go(self._leaving)
        plan = self._ahead or self._schedule_now()
        self._ahead = self._schedule_now() if plan is not None else None
        return plan

    def complete(self, plan: Plan) -> list[Job]:
        if self.rules.async_scheduling:
            self._leaving = plan.finished
            return list(plan.finished)
        self._advance(plan)
        self._let_go(plan.finished)
        return list(plan.finished)

    def cancel(self, request_id: str) -> bool:
        for jobs in (self._queue, self._running):
            for job in jobs:
                if job.request.request_id == request_id:
                    jobs.remove(job)
                    self.kv.release(job)
                    self._leaving = [other for other in self._leaving if other is not job]
                    if self._ahead is not None:
                        self._ahead.drop(job)
                    return True
        return False

    @property
    def waiting(self) -> Sequence[Job]:
        return self._queue

    @property
    def running(self) -> Sequence[Job]:
        """In order of admission."""
        return self._running

    def _schedule(self) -> Plan | None:
        while True:
            step = _Step(self.rules.max_num_batched_tokens)
            self._continue(step)
            loaded = 0 if step.preempted else self._admit(step)
            self._lost += step.preempted
            decodes, pieces = step.decodes, step.pieces
            if decodes or pieces:
                lost, self._lost = self._lost, []
                return Plan(decodes, pieces, batch_of(decodes, pieces, step.drafts), lost, step.drafts, loaded)
            if not step.preempted:
                return None

    def _continue(self, step: "_Step") -> None:
        """Who runs already, as far as the budget goes."""
        turn, grow, block_tok, drafting = 0, self.kv.grow, self.rules.block_tok, self.rules.draft_tok > 0
        while turn < len(self._running) and step.budget:
            job = self._running[turn]
            turn += 1
            if job.out_tok >= job.request.output_tok:  # its last token is being computed (async scheduling)
                continue
            decoding = job.kv_tok >= job.target_tok
            if decoding and not drafting and job.kv_tok % block_tok:  # one token, and its last block has room
                step.decodes.append(job)
                step.budget -= 1
                continue
            new = self._decode_tok(job, step.budget) if decoding else min(step.budget, job.target_tok - job.kv_tok)
            while not grow(job, job.kv_tok + new):
                victim = self._victim()
                if self._running.index(victim) < turn:
                    turn -= 1
                    step.withdraw(victim)
                self._preempt(victim)
                step.preempted.append(victim)
                if victim is job:
                    return
            step.budget -= new
            if not decoding:
                step.pieces.append(Piece.of(job, new, first=False))
                continue
            step.decodes.append(job)
            if drafting:
                step.drafts.append(new - 1)

    def _schedule_now(self) -> Plan | None:
        plan = self._schedule()
        if plan is not None:
            self._advance(plan)
        return plan

    def _admit(self, step: "_Step") -> int:
        """Returns how many blocks come from host memory."""
        rules, loaded = self.rules, 0
        if not self._running:
            self._open = True
        while self._open and self._queue and step.budget and len(self._running) < rules.max_num_seqs:
            job = self._queue[0]
            hit = self.kv.look(job)
            past = hit.tok if job.preemptions else max(hit.tok, job.request.received_tok)
            new = job.target_tok - past
            if new > step.budget and not rules.chunked_prefill:
                break
            new = min(new, step.budget)
            if rules.kv_reserve == "contiguous":
                fits = self.kv.admit(job, hit, self._most_tok(job.request))
            else:
                fits = self.kv.admit(job, hit, past + new, job.target_tok if rules.reserve_full_prompt else 0)
            if not fits:
                break
            job.kv_tok = past
            if job.cached_tok is None:
                job.cached_tok = min(hit.tok, job.request.prompt_tok)
            loaded += hit.hosted
            self._running.append(self._queue.popleft())
            step.pieces.append(Piece.of(job, new, first=True))
            step.budget -= new
        if rules.batching == "static" and step.budget:
            self._open = False
        return loaded

    def _decode_tok(self, job: Job, budget: int) -> int:
        """One token and what is drafted after it."""
        new = min(1 + self.rules.draft_tok, budget)
        most = self.rules.max_model_len_tok
        return new if most is None else min(new, most - 1 - job.kv_tok)

    def _most_tok(self, request: Request) -> int:
        """Tokens that must find room at once: the last one's keys and values are never stored."""
        rules, need = self.rules, request.prompt_tok + request.output_tok - 1
        if rules.kv_reserve == "contiguous":
            need = rules.max_model_len_tok or need
        drafted = need + rules.draft_tok if request.output_tok > 1 else need
        return drafted if rules.max_model_len_tok is None else max(need, min(drafted, rules.max_model_len_tok - 1))

    def _victim(self) -> Job:
        if self.rules.order == "priority":
            return max(self._running, key=_urgency)
        return self._running[-1]

    def _preempt(self, victim: Job) -> None:
        self._running.remove(victim)
        if victim.finished:  # its last token is on its way: nothing to compute again
            self.kv.release(victim)
            return
        self.kv.preempt(victim)
        victim.target_tok, victim.kv_tok = victim.request.prompt_tok + victim.out_tok, 0
        victim.preemptions += 1
        victim.late_tok = 0
        if self.rules.order == "priority":
            self._enqueue(victim)
        else:
            self._queue.appendleft(victim)

    def _enqueue(self, job: Job) -> None:
        if self.rules.order == "priority":
            insort(self._queue, job, key=_urgency)
        else:
            self._queue.append(job)

    def _advance(self, plan: Plan) -> None:
        if plan.drafts:
            advance_drafted(plan, self.rules.acceptance, self.rules.seed)
        else:
            advance(plan)
        plan.finished = [job for job in plan.emitters if job.out_tok >= job.request.output_tok]

    def _let_go(self, finished: Sequence[Job]) -> None:
        if finished:
            for job in finished:
                self.kv.release(job)
            self._running = [job for job in self._running if not job.finished or job not in finished]


def _urgency(job: Job) -> tuple[int, int]:
    """Smallest first; preempted from the other end."""
    return job.request.priority, job.order
