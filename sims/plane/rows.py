"""What happened to each request of a run under the control plane, and the run log made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sims.plane.tokens import Tokens
from sims.record import UNFINISHED
from workbench.control.plane.events import Answer, Finish, Reject
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Outcome, Planned
from workbench.runlog.table import RunLog

OUTCOMES: Mapping[str, Outcome] = {"rejected": "rejected", "shed": "shed", "expired": "timeout"}
NOBODY = -1


@dataclass(slots=True)
class Line:
    """Of one request, in ns on the run's clock; of its last attempt, or of the one whose answer its client sees."""

    plan: Planned
    row: int = 0
    sent_ns: int | None = None
    admit_ns: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    replica: int | None = None
    model: str = ""
    cached_tok: int = 0
    shown: int = NOBODY  # the attempt whose tokens the client sees
    at_once: bool = False  # all tokens at its end
    device_ns: tuple[int, int] | None = None  # first token, each further one: on its client's own device
    outcome: Outcome = "unfinished"
    error: str | None = UNFINISHED
    attempts: int = 0
    price_pusd: int | None = None
    engine_ns: int = 0  # in a replica, all attempts

    @property
    def on_device(self) -> bool:
        return self.device_ns is not None

    def computed(self, now_ns: int) -> None:
        """By its client's own device."""
        self.outcome, self.error, self.end_ns = "ok", None, now_ns

    def ended(self, now_ns: int, end: Reject | Answer | Finish) -> None:
        self.end_ns = now_ns
        if isinstance(end, Answer):
            self.outcome, self.error, self.at_once = "ok", None, True
            self.cached_tok = self.plan.asked_prompt_tok
        elif isinstance(end, Reject):
            self.outcome, self.error = OUTCOMES[end.outcome], f"{end.status} {end.reason}"
        else:
            self.outcome, self.error = end.outcome, end.reason or None


def log_of(lines: Sequence[Line], tokens: Tokens, preemptions: Sequence[int], origin: Provenance,
           cost_pusd: Sequence[int] | None, priced: bool) -> RunLog:
    """A run log as any other; `tokens` are by the lines' order."""
    seen, first_ns, last_ns = tokens.seen()
    plans = [one.plan for one in lines]
    columns: dict[str, Any] = {
        "request_id": [plan.request_id for plan in plans], "tenant": [plan.tenant for plan in plans],
        "tier": [plan.tier for plan in plans], "model": [one.model or origin.model for one in lines],
        "engine": ["device" if one.on_device else origin.engine for one in lines],
        "replica": [None if one.replica is None else str(one.replica) for one in lines],
        "asked_prompt_tok": [plan.asked_prompt_tok for plan in plans],
        "asked_output_tok": [plan.asked_output_tok for plan in plans],
        "prompt_tok": [plan.asked_prompt_tok for plan in plans],
        "cached_tok": [one.cached_tok if n else None for one, n in zip(lines, seen, strict=True)],
        "output_tok": [n or None for n in seen],
        "intended_ns": [plan.intended_ns for plan in plans], "sent_ns": [one.sent_ns for one in lines],
        "admit_ns": [one.admit_ns for one in lines], "start_ns": [one.start_ns for one in lines],
        "first_token_ns": [at if n else None for at, n in zip(first_ns, seen, strict=True)],
        "last_token_ns": [at if n else None for at, n in zip(last_ns, seen, strict=True)],
        "end_ns": [one.end_ns for one in lines], "warmup": [plan.warmup for plan in plans],
        "outcome": [one.outcome for one in lines], "error": [one.error for one in lines],
        "attempts": [max(1, one.attempts) for one in lines], "cost_pusd": cost_pusd, "preemptions": preemptions,
        "price_pusd": [one.price_pusd or 0 for one in lines] if priced else None,
    }
    log = RunLog.from_columns(origin, {name: values for name, values in columns.items() if values is not None})
    return tokens.into(log)
