"""A request inside an engine, and one iteration's plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.profile.batch import Batch


@dataclass(frozen=True, slots=True)
class Request:
    """What an engine is asked for. `output_tok` is where it will stop: known to the engine alone."""

    request_id: str
    prompt_tok: int
    output_tok: int


@dataclass(slots=True)
class Job:
    """A request's progress. While `kv_tok` is below `target_tok` its prompt is being computed."""

    request: Request
    target_tok: int  # tokens to compute before it can emit: the prompt; after a preemption also what it had emitted
    kv_tok: int = 0  # tokens whose keys and values are in the cache
    out_tok: int = 0  # tokens emitted
    preemptions: int = 0

    @property
    def decoding(self) -> bool:
        return self.kv_tok >= self.target_tok

    @property
    def finished(self) -> bool:
        return self.out_tok >= self.request.output_tok


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt in one iteration: `new_tok` tokens after `past_tok`; the last piece emits a token."""

    job: Job
    new_tok: int
    past_tok: int

    @property
    def last(self) -> bool:
        return self.past_tok + self.new_tok >= self.job.target_tok


@dataclass(frozen=True, slots=True)
class Plan:
    """One iteration, decided: who decodes, which prompt pieces, who was preempted to make room."""

    decodes: tuple[Job, ...]
    pieces: tuple[Piece, ...]
    preempted: tuple[Job, ...] = ()
    ubatch_n: int = 1

    @property
    def emitters(self) -> tuple[Job, ...]:
        """Who gets a token at the iteration's end, in the engine's order."""
        return self.decodes + tuple(piece.job for piece in self.pieces if piece.last)

    @property
    def batch(self) -> Batch:
        """A decode's context counts the token being computed: prompt + emitted so far."""
        contexts = [job.kv_tok + 1 for job in self.decodes]
        return Batch(
            prefills=tuple((piece.new_tok, piece.past_tok) for piece in self.pieces),
            decode_n=len(contexts), decode_ctx_sum_tok=sum(contexts),
            decode_ctx_max_tok=max(contexts, default=0), decode_ctx_min_tok=min(contexts, default=0),
            ubatch_n=self.ubatch_n,
        )


class Batcher(Protocol):
    """An engine's composition rule. Times do not occur here: only order, slots, tokens and blocks."""

    def refusal(self, request: Request) -> str | None: ...

    def submit(self, job: Job) -> None: ...

    def compose(self) -> Plan | None:
        """Admit who can be admitted and plan the next iteration; None when there is nothing to compute."""
        ...

    def complete(self, plan: Plan) -> list[Job]:
        """The iteration ended: advance everyone in it; returns who finished, in the engine's order."""
        ...

    def cancel(self, request_id: str) -> bool:
        """Drop a request between two iterations; False when it is not here."""
        ...

    @property
    def waiting(self) -> Sequence[Job]: ...

    @property
    def running(self) -> Sequence[Job]: ...


def advance(plan: Plan) -> None:
    """Everyone in the iteration moves on: a decode by one token, a piece by its tokens, the last piece emits."""
    for piece in plan.pieces:
        piece.job.out_tok += piece.last
    for piece in plan.pieces:
        piece.job.kv_tok += piece.new_tok
    for job in plan.decodes:
        job.kv_tok += 1
        job.out_tok += 1
