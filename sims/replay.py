"""Rebuild the iterations of a measured llama.cpp run: the simulator's rules, with the observed times for a clock.

A client sees when each token came, not which tokens were computed together. The rules say that: who was admitted
when, and what each batch held. So each iteration's composition is known, and its end is when its tokens came.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sims.observed import Observed, cloud, observe
from sims.replica.job import Job, Plan, Request
from sims.replica.llama_cpp import LlamaCppBatcher
from sims.rules import LlamaCppRules
from workbench.profile.samples import Origin, Sample, sample
from workbench.runlog.table import RunLog


@dataclass(frozen=True)
class Replay:
    """The iterations that could be timed, and what could not be explained."""

    samples: list[Sample]
    hidden_n: int  # iterations whose start or end no token shows: no sample
    contradicted_n: int  # iterations that would have ended before they began
    overlapped_n: int  # iterations left out because a row of unknown work was in the engine as well
    unexplained: tuple[str, ...]  # ids of rows whose work or whose token times are not known

    @property
    def iterations_n(self) -> int:
        return len(self.samples) + self.hidden_n + self.contradicted_n + self.overlapped_n

    @property
    def spread_ns(self) -> list[int]:
        """How far apart the tokens of one iteration arrived, per sample: small where the rules are right."""
        return [item.spread_ns for item in self.samples]


def replay(
    log: RunLog, rules: LlamaCppRules, *, engine_in_ns: int = 0, engine_out_ns: int = 0,
    origin: Origin = "live", run: str = "",
) -> Replay:
    """All iterations of the run. `engine_in_ns` passes between sending and the engine, `engine_out_ns` on the
    way back. Rows that never reached the engine (rejected, never sent) do not matter."""
    rows = [row for row in log.rows() if row.sent_ns is not None and row.outcome != "rejected"]
    seen = {row.request_id: observe(row, engine_in_ns, engine_out_ns) for row in rows}
    known = {name: item for name, item in seen.items() if item is not None}
    clouds = [cloud(row) for row in rows if seen[row.request_id] is None]
    walk = _Walk(rules, known, clouds, origin, run)
    walk.run()
    vague = tuple(sorted(name for name, item in seen.items() if item is None or not item.exact))
    return Replay(walk.samples, walk.hidden_n, walk.contradicted_n, walk.overlapped_n, vague)


class _Walk:
    """Goes through the run iteration by iteration; `_sharp` says whether the present moment was observed."""

    def __init__(
        self, rules: LlamaCppRules, known: Mapping[str, Observed], clouds: Sequence[tuple[int, int]],
        origin: Origin, name: str,
    ) -> None:
        self.batcher = LlamaCppBatcher(rules)
        self.known, self.clouds, self.origin, self.name = known, clouds, origin, name
        self.arrivals = sorted(known.values(), key=lambda item: item.arrived_ns)  # stable: ties as in the log
        self.samples: list[Sample] = []
        self.hidden_n = self.contradicted_n = self.overlapped_n = 0
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
        while self._next < len(self.arrivals) and self.arrivals[self._next].arrived_ns <= self._now_ns:
            item = self.arrivals[self._next]
            request = Request(item.request_id, item.prompt_tok, item.output_tok)
            self.batcher.submit(Job(request, item.prompt_tok, kv_tok=item.cached_tok))
            self._next += 1

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
        if not (exact and sharp):
            self.hidden_n += 1
        elif end_ns <= start_ns:
            self.contradicted_n += 1
        elif any(begin < end_ns and start_ns < end for begin, end in self.clouds):
            self.overlapped_n += 1
        else:
            self.samples.append(sample(
                batch, end_ns - start_ns, origin=self.origin, at_ns=start_ns, run=self.name,
                spread_ns=max(exact) - min(exact),
            ))

    def _token(self, job: Job) -> tuple[int, bool]:
        return self.known[job.request.request_id].tokens[job.out_tok]

    def _guess_end(self, plan: Plan) -> int:
        """The end of an iteration without a token: by prompt tokens, on the way to the first token to follow."""
        done = sum(piece.new_tok for piece in plan.pieces)
        first_ns, left = min((self._token(piece.job)[0], piece.job.target_tok - piece.job.kv_tok)
                             for piece in plan.pieces)
        return self._now_ns + (first_ns - self._now_ns) * done // (done + left)
