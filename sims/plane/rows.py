"""What happened to each request of a run under the control plane, and the run log made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.control.plane.events import Answer, Finish, Reject
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Outcome, Planned
from workbench.runlog.table import RunLog

UNFINISHED = "the run ended first"
OUTCOMES: Mapping[str, Outcome] = {"rejected": "rejected", "shed": "shed", "expired": "timeout"}


@dataclass(slots=True)
class Line:
    """Of one request, in ns on the run's clock; of its last attempt."""

    plan: Planned
    sent_ns: int | None = None
    admit_ns: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    replica: int | None = None
    model: str = ""
    cached_tok: int = 0
    token_ns: list[int] = field(default_factory=list)
    outcome: Outcome = "unfinished"
    error: str | None = UNFINISHED
    attempts: int = 0
    price_pusd: int | None = None
    engine_ns: int = 0  # in a replica, all attempts
    on_device: bool = False  # its own client's

    def computed(self, token_ns: list[int]) -> None:
        """By its client's own device."""
        self.outcome, self.error, self.token_ns, self.end_ns = "ok", None, token_ns, token_ns[-1]

    def ended(self, now_ns: int, end: Reject | Answer | Finish) -> None:
        self.end_ns = now_ns
        if isinstance(end, Answer):  # all of it at once
            self.outcome, self.error = "ok", None
            self.cached_tok, self.token_ns = self.plan.asked_prompt_tok, [now_ns] * self.plan.asked_output_tok
        elif isinstance(end, Reject):
            self.outcome, self.error = OUTCOMES[end.outcome], f"{end.status} {end.reason}"
        else:
            self.outcome, self.error = end.outcome, end.reason or None


def log_of(lines: Sequence[Line], origin: Provenance, cost_pusd: Sequence[int] | None, priced: bool) -> RunLog:
    """A run log as any other."""
    columns: dict[str, Any] = {
        "request_id": [one.plan.request_id for one in lines], "tenant": [one.plan.tenant for one in lines],
        "tier": [one.plan.tier for one in lines], "model": [one.model or origin.model for one in lines],
        "engine": ["device" if one.on_device else origin.engine for one in lines],
        "replica": [None if one.replica is None else str(one.replica) for one in lines],
        "asked_prompt_tok": [one.plan.asked_prompt_tok for one in lines],
        "asked_output_tok": [one.plan.asked_output_tok for one in lines],
        "prompt_tok": [one.plan.asked_prompt_tok for one in lines],
        "cached_tok": [one.cached_tok if one.token_ns else None for one in lines],
        "output_tok": [len(one.token_ns) or None for one in lines],
        "intended_ns": [one.plan.intended_ns for one in lines], "sent_ns": [one.sent_ns for one in lines],
        "admit_ns": [one.admit_ns for one in lines], "start_ns": [one.start_ns for one in lines],
        "first_token_ns": [one.token_ns[0] if one.token_ns else None for one in lines],
        "last_token_ns": [one.token_ns[-1] if one.token_ns else None for one in lines],
        "end_ns": [one.end_ns for one in lines], "warmup": [one.plan.warmup for one in lines],
        "outcome": [one.outcome for one in lines], "error": [one.error for one in lines],
        "attempts": [max(1, one.attempts) for one in lines], "cost_pusd": cost_pusd,
        "price_pusd": [one.price_pusd or 0 for one in lines] if priced else None,
    }
    log = RunLog.from_columns(origin, {name: values for name, values in columns.items() if values is not None})
    rows = np.repeat(np.arange(len(lines), dtype=np.int64), [len(one.token_ns) for one in lines])
    return log.with_chunks(rows, np.array([at for one in lines for at in one.token_ns], dtype=np.int64))
