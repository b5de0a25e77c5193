"""What happened to one request in a simulation, and the run log's row of it."""

from dataclasses import dataclass, field

from workbench.runlog.schema import Outcome, Planned, Row

UNFINISHED = "the run ended first"


@dataclass(slots=True)
class Record:
    """Filled in as the run goes; times in ns on the run's clock, None until they happened."""

    planned: Planned
    sent_ns: int | None = None
    admit_ns: int | None = None
    start_ns: int | None = None
    left_ns: int | None = None
    replica: int | None = None
    refusal: str | None = None
    preemptions: int = 0
    token_ns: list[int] = field(default_factory=list)  # as the client sees them

    @property
    def outcome(self) -> Outcome:
        if self.refusal is not None:
            return "rejected"
        return "ok" if self.left_ns is not None else "unfinished"

    def row(self, model: str, engine: str, stop_ns: int, cost_pusd: int | None) -> Row:
        """The row as the log keeps it; tokens that the client would see after the stop are not in it."""
        plan = self.planned
        seen = tuple(t for t in self.token_ns if t <= stop_ns)
        error = self.refusal if self.refusal is not None else (None if self.outcome == "ok" else UNFINISHED)
        return Row(
            request_id=plan.request_id, tenant=plan.tenant, tier=plan.tier, model=model, engine=engine,
            replica=None if self.replica is None else str(self.replica),
            asked_prompt_tok=plan.asked_prompt_tok, asked_output_tok=plan.asked_output_tok,
            prompt_tok=plan.asked_prompt_tok, cached_tok=0 if seen else None, output_tok=len(seen) or None,
            intended_ns=plan.intended_ns, sent_ns=self.sent_ns, admit_ns=self.admit_ns, start_ns=self.start_ns,
            first_token_ns=seen[0] if seen else None, last_token_ns=seen[-1] if seen else None,
            end_ns=self.left_ns, warmup=plan.warmup, outcome=self.outcome, error=error, cost_pusd=cost_pusd,
            preemptions=self.preemptions, chunk_ns=seen or None, chunk_tok=(1,) * len(seen) or None,
        )
