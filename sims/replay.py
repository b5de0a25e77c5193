"""Rebuild the iterations of a measured llama.cpp run: the simulator's rules, with the observed times for a clock.

A client sees when each token came, not which tokens were computed together. The rules say that: who was admitted
when, and what each batch held. So each iteration's composition is known, and its end is when its tokens came.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from sims.observed import Observed, cloud, observe
from sims.replica.job import Job, Plan, Request
from sims.replica.llama_cpp import LlamaCppBatcher
from sims.rules import LlamaCppRules
from workbench.profile.batch import Batch
from workbench.profile.samples import Origin, Sample, sample
from workbench.runlog.table import RunLog

Kind = Literal["sample", "hidden", "contradicted", "blurred", "overlapped"]


@dataclass(frozen=True)
class Replay:
    """The iterations that could be timed, and what could not be explained; the counts add up to all iterations."""

    samples: list[Sample]
    hidden_n: int  # iterations whose start or end no token shows: no sample
    contradicted_n: int  # iterations that would have ended before they began: several were read at once
    blurred_n: int  # neighbours of those, and iterations whose tokens lie further apart than they lasted
    overlapped_n: int  # iterations left out because a row of unknown work was in the engine as well
    unexplained: tuple[str, ...]  # ids of rows whose work or whose token times are not known
    spread_ns: list[int]  # per iteration with tokens, how far apart they arrived: small where the rules are right

    @property
    def iterations_n(self) -> int:
        return len(self.samples) + self.hidden_n + self.contradicted_n + self.blurred_n + self.overlapped_n


def replay(
    log: RunLog, rules: LlamaCppRules, *, engine_in_ns: int = 0, engine_out_ns: int = 0,
    doubt_ns: int = 0, origin: Origin = "live", run: str = "",
) -> Replay:
    """All iterations of the run. `engine_in_ns` passes between sending and the engine, `engine_out_ns` on the
    way back; a request that arrives within `doubt_ns` of an iteration's edge is placed by what its first token
    tells. Rows that never reached the engine (rejected, never sent) do not matter."""
    rows = [row for row in log.rows() if row.sent_ns is not None and row.outcome != "rejected"]
    seen = {row.request_id: observe(row, engine_in_ns, engine_out_ns) for row in rows}
    known = {name: item for name, item in seen.items() if item is not None}
    clouds = [cloud(row) for row in rows if seen[row.request_id] is None]
    walk = _Walk(rules, known, clouds, doubt_ns)
    walk.run()
    vague = tuple(sorted(name for name, item in seen.items() if item is None or not item.exact))
    kinds = Counter(item.kind for item in blur(walk.timed))
    return Replay(
        [sample(item.batch, item.end_ns - item.start_ns, origin=origin, at_ns=item.start_ns, run=run,
                spread_ns=item.spread_ns or 0) for item in walk.timed if item.kind == "sample"],
        kinds["hidden"], kinds["contradicted"], kinds["blurred"], kinds["overlapped"], vague,
        [item.spread_ns for item in walk.timed if item.spread_ns is not None],
    )


@dataclass(slots=True)
class Timed:
    """One iteration as far as the client's times go; `spread_ns` None where no token was seen at its end."""

    batch: Batch
    start_ns: int
    end_ns: int
    spread_ns: int | None
    kind: Kind


def blur(timed: list[Timed]) -> list[Timed]:
    """Mark what a late reader distorts. Iterations read at once seem to last no time, and the one before them
    all of it: to drop only the first kind would make every engine look slow."""
    for before, item in pairwise(timed):
        if item.kind == "contradicted" and before.kind == "sample":
            before.kind = "blurred"
        if before.kind == "contradicted" and item.kind == "sample":
            item.kind = "blurred"
    for item in timed:
        if item.kind == "sample" and (item.spread_ns or 0) > item.end_ns - item.start_ns:
            item.kind = "blurred"
    return timed


class _Walk:
    """Goes through the run iteration by iteration; `_sharp` says whether the present moment was observed."""

    def __init__(
        self, rules: LlamaCppRules, known: Mapping[str, Observed], clouds: Sequence[tuple[int, int]], doubt_ns: int
    ) -> None:
        self.batcher = LlamaCppBatcher(rules)
        self.rules, self.known, self.clouds, self.doubt_ns = rules, known, clouds, doubt_ns
        self.arrivals = sorted(known.values(), key=lambda item: item.arrived_ns)  # stable: ties as in the log
        self.timed: list[Timed] = []
        self._now_ns, self._sharp, self._next = 0, True, 0

    def run(self) -> None:
        while True:
            self._submit()
            plan = self.batcher.compose()
            if plan is not None:
                self._iterate(plan)
            elif self._next < len(self.arrivals):
                arrived_ns = self.arrivals[self._next].arrived_ns
                self._now_ns, self._sharp = max(self._now_ns, arrived_ns), arrived_ns >= self._now_ns
            else:
                return

    def _submit(self) -> None:
        while self._next < len(self.arrivals) and self._has_come(self.arrivals[self._next]):
            item = self.arrivals[self._next]
            request = Request(item.request_id, item.prompt_tok, item.output_tok)
            self.batcher.submit(Job(request, item.prompt_tok, kv_tok=item.cached_tok))
            self._next += 1

    def _has_come(self, item: Observed) -> bool:
        """Whether the engine knew of this request when it decided on the batch that begins now."""
        after_ns = item.arrived_ns - self._now_ns
        joined = self._joined(item) if abs(after_ns) < self.doubt_ns else None
        return after_ns <= 0 if joined is None else joined

    def _joined(self, item: Observed) -> bool | None:
        """Near an iteration's edge the time of arrival does not tell, the tokens do: a request whose first token
        comes with the next ones of the others was in their batch. None where that says nothing: it would have to
        wait or its prompt be cut, or there is nobody to compare with."""
        others = [*self.batcher.running, *self.batcher.waiting]
        fits = len(others) < self.rules.slots and item.prompt_tok + len(others) <= self.rules.n_batch
        first_ns, known = item.tokens[0]
        following = [at_ns for at_ns, is_exact in map(self._token, others) if is_exact]
        if not fits or not known or not following:
            return None
        return first_ns - min(following) < self.doubt_ns

    def _iterate(self, plan: Plan) -> None:
        """Time one iteration, record it, advance everyone in it."""
        batch, start_ns, sharp = plan.batch, self._now_ns, self._sharp
        tokens = [self._token(job) for job in plan.emitters]
        self.batcher.complete(plan)
        exact = [at_ns for at_ns, is_exact in tokens if is_exact]
        self._sharp = bool(exact)
        if exact or tokens:
            end_ns = int(median(exact or [at_ns for at_ns, _ in tokens]))
        else:
            end_ns = self._guess_end(plan)
        self._now_ns = max(start_ns, end_ns)
        spread_ns = max(exact) - min(exact) if exact else None
        kind = self._kind(start_ns, end_ns) if exact and sharp else "hidden"
        self.timed.append(Timed(batch, start_ns, end_ns, spread_ns, kind))

    def _kind(self, start_ns: int, end_ns: int) -> Kind:
        if end_ns <= start_ns:
            return "contradicted"
        beside = any(begin < end_ns and start_ns < end for begin, end in self.clouds)
        return "overlapped" if beside else "sample"

    def _token(self, job: Job) -> tuple[int, bool]:
        return self.known[job.request.request_id].tokens[job.out_tok]

    def _guess_end(self, plan: Plan) -> int:
        """The end of an iteration without a token: by prompt tokens, on the way to the first token to follow."""
        done = sum(piece.new_tok for piece in plan.pieces)
        first_ns, left = min((self._token(piece.job)[0], piece.job.target_tok - piece.job.kv_tok)
                             for piece in plan.pieces)
        return self._now_ns + (first_ns - self._now_ns) * done // (done + left)
