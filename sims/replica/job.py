"""A request inside an engine, and one iteration's plan."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from workbench.profile.batch import Batch


@dataclass(frozen=True, slots=True)
class Request:
    """What an engine is asked for. `output_tok` is where it will stop: known to the engine alone.

    `prefix_ids`: one id per `prefix_tok` prompt tokens from the beginning; equal ids mean equal tokens up to there.
    `received_tok` prompt tokens come with their keys and values, computed elsewhere (disaggregation).
    """

    request_id: str
    prompt_tok: int
    output_tok: int
    prefix_ids: tuple[int, ...] = ()
    prefix_tok: int = 0
    priority: int = 0  # lower is served first, where the rules order by it
    received_tok: int = 0


@dataclass(slots=True, eq=False)
class Block:
    """A full block of a prefix that has an id. `stale` entries of the free queue no longer stand for it."""

    key: int
    refs: int = 1
    stale: int = 0


@dataclass(slots=True, eq=False)
class Run:
    """What is left of the own blocks of a preempted request, in the free queue as one entry."""

    count: int


@dataclass(frozen=True, slots=True)
class Hit:
    """What the KV cache has of a prompt: blocks that others can find, then blocks in host memory or its own."""

    tok: int = 0
    found: Sequence[Block] = ()
    own: int = 0
    hosted: int = 0


@dataclass(slots=True, eq=False)
class Job:
    """A request's progress. While `kv_tok` is below `target_tok` its prompt is being computed.

    `blocks` to `survivors` belong to the KV cache, `rank` and `order` to the batcher.
    """

    request: Request
    target_tok: int  # tokens to compute before it can emit: the prompt; after a preemption also what it had emitted
    kv_tok: int = 0  # tokens whose keys and values are in the cache
    out_tok: int = 0  # tokens emitted
    preemptions: int = 0
    cached_tok: int | None = None  # prompt tokens found in the cache when it was first admitted; None before
    order: int = 0  # of arrival at the batcher
    rank: int = 0
    blocks: int = 0  # held
    shared: list[Block] = field(default_factory=list)  # the first of them, which others can find
    keys: Sequence[int] | None = None  # of the shareable part of its prompt, block by block; None: not asked yet
    survivors: Run | None = None
    late_tok: int = 0  # accepted drafts, in blocks that count as full from the next step on
    luck: Random | None = None  # draws whether its drafted tokens are right

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
    first: bool  # it was admitted in this iteration
    last: bool

    @staticmethod
    def of(job: Job, new_tok: int, *, first: bool) -> "Piece":
        return Piece(job, new_tok, job.kv_tok, first, job.kv_tok + new_tok >= job.target_tok)


@dataclass(slots=True, eq=False)
class Plan:
    """One iteration, decided: who decodes, which prompt pieces, who was preempted to make room.

    `batch` is the sum over all ranks, `batches` is per rank where there are several. A decode's context counts the
    token being computed: prompt + emitted so far. `emitters` get their `tokens` at the iteration's end, in the
    engine's order; `tokens` is empty where each gets one.
    """

    decodes: Sequence[Job]
    pieces: Sequence[Piece]
    batch: Batch
    preempted: Sequence[Job] = ()
    drafts: Sequence[int] = ()  # drafted tokens per decode; empty: none
    loaded_blocks: int = 0  # KV blocks that come from host memory first
    batches: tuple[Batch, ...] = ()
    emitters: tuple[Job, ...] = ()
    tokens: tuple[int, ...] = ()
    finished: Sequence[Job] = ()  # known once everyone was advanced

    def __post_init__(self) -> None:
        if not self.emitters:
            self.emitters = (*self.decodes, *[piece.job for piece in self.pieces if piece.last])

    def drop(self, job: Job) -> None:
        """It was cancelled after this was decided: it is computed all the same, and nobody gets its token."""
        kept = [i for i, other in enumerate(self.emitters) if other is not job]
        self.tokens = tuple(self.tokens[i] for i in kept) if self.tokens else ()
        self.emitters = tuple(self.emitters[i] for i in kept)
        self.finished = [other for other in self.finished if other is not job]


def batch_of(decodes: Sequence[Job], pieces: Sequence[Piece], drafts: Sequence[int] = (), ubatch_n: int = 1) -> Batch:
    """What an iteration computes, seen at its start."""
    contexts = [job.kv_tok + 1 for job in decodes]
    return Batch(
        tuple([(piece.new_tok, piece.past_tok) for piece in pieces]),
        len(contexts), sum(contexts), max(contexts, default=0), min(contexts, default=0),
        ubatch_n, sum(drafts),
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
        piece.job.kv_tok += piece.new_tok
    for job in plan.decodes:
        job.kv_tok += 1
        job.out_tok += 1
