"""llama.cpp's server: slots with ids, admission between iterations, batches filled by slot id."""

from collections import deque
from collections.abc import Sequence

from sims.replica.job import Job, Piece, Plan, Request, advance, batch_of
from sims.replica.ubatch import passes
from sims.rules import LlamaCppRules

_NEVER = -1


class LlamaCppBatcher:
    """One token for each running slot, then prompt tokens by slot id up to n_batch.

    Decoders share the whole mixed iteration and get one token at its end. A free slot is chosen least
    recently used; among the never used the highest id. All busy: first in, first out.
    """

    def __init__(self, rules: LlamaCppRules) -> None:
        self.rules = rules
        self._queue: deque[Job] = deque()
        self._slots: list[Job | None] = [None] * rules.slots
        self._released = len(rules.used_slots)
        self._last_used = [_NEVER] * rules.slots  # a counter of releases: slots are released one after another
        for order, slot in enumerate(rules.used_slots):
            self._last_used[slot] = order

    def refusal(self, request: Request) -> str | None:
        need, have = request.prompt_tok + request.output_tok, self.rules.ctx_per_slot_tok
        return f"needs {need} tokens of context, a slot holds {have}" if need > have else None

    def submit(self, job: Job) -> None:
        self._queue.append(job)

    def compose(self) -> Plan | None:
        self._admit()
        running = [(slot, job) for slot, job in enumerate(self._slots) if job is not None]
        if not running:
            return None
        decodes = [(slot, job) for slot, job in running if job.decoding]
        room = self.rules.n_batch - len(decodes)
        pieces: list[tuple[int, Piece]] = []
        for slot, job in running:
            if job.decoding or not room:
                continue
            piece = Piece.of(job, min(room, job.target_tok - job.kv_tok), first=not job.kv_tok)
            pieces.append((slot, piece))
            room -= piece.new_tok
        lengths = [(slot, 1) for slot, _ in decodes] + [(slot, piece.new_tok) for slot, piece in pieces]
        ubatch_n = passes(lengths, self.rules.n_ubatch, self.rules.kv_unified)
        jobs, parts = [job for _, job in decodes], [piece for _, piece in pieces]
        return Plan(jobs, parts, batch_of(jobs, parts, ubatch_n=ubatch_n))

    def complete(self, plan: Plan) -> list[Job]:
        advance(plan)
        finished = []
        for slot, job in enumerate(self._slots):
            if job is not None and job.finished:
                finished.append(job)
                self._release(slot)
        return finished

    def cancel(self, request_id: str) -> bool:
        for job in self._queue:
            if job.request.request_id == request_id:
                self._queue.remove(job)
                return True
        for slot, holder in enumerate(self._slots):
            if holder is not None and holder.request.request_id == request_id:
                self._release(slot)
                return True
        return False

    @property
    def waiting(self) -> Sequence[Job]:
        return self._queue

    @property
    def running(self) -> Sequence[Job]:
        """By slot id."""
        return [job for job in self._slots if job is not None]

    def slot_of(self, request_id: str) -> int | None:
        for slot, job in enumerate(self._slots):
            if job is not None and job.request.request_id == request_id:
                return slot
        return None

    def _admit(self) -> None:
        free = [slot for slot, job in enumerate(self._slots) if job is None]
        while self._queue and free:
            slot = min(free, key=lambda s: (self._last_used[s], -s))
            self._slots[slot] = self._queue.popleft()
            free.remove(slot)

    def _release(self, slot: int) -> None:
        self._slots[slot] = None
        self._last_used[slot] = self._released
        self._released += 1
