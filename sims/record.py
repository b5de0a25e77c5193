"""What happened to the requests of a simulation, column by column, and the run log made of it."""

from array import array
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned
from workbench.runlog.segments import Segments
from workbench.runlog.table import RunLog

UNFINISHED = "the run ended first"
NEVER = -1
LISTS_UP_TO = 2_000  # requests: smaller logs hold chunk times as lists, larger ones as segments

Ints = NDArray[np.int64]


class Record:
    """Filled in as the run goes, by the request's place in the schedule; times in ns on the run's clock, `NEVER` until
    they happened. A replica keeps a request's tokens as a list (`token_ns`) or as spans of its segments."""

    def __init__(self, schedule: Sequence[Planned]) -> None:
        n = len(schedule)
        self.schedule = schedule
        self.sent_ns, self.admit_ns, self.start_ns, self.first_ns, self.left_ns, self.replica, self.cached_tok = (
            array("q", [NEVER]) * n for _ in range(7))
        self.preemptions = array("q", [0]) * n
        self.refusals: dict[int, str] = {}
        self.dropped: dict[int, str] = {}  # turns that never came: the one before them was refused
        self.token_ns: dict[int, list[int]] = {}  # as the client sees them
        self.segments: Segments | None = None  # set at the run's end

    def __len__(self) -> int:
        return len(self.schedule)

    def settle(self, stop_ns: int) -> None:
        """The run is over: tokens that the client would see after the stop did not happen."""
        for index, times in self.token_ns.items():
            seen = [t for t in times if t <= stop_ns]
            self.token_ns[index] = seen
            self.first_ns[index] = seen[0] if seen else NEVER

    def column(self, name: str) -> Ints:
        return np.frombuffer(getattr(self, name), dtype=np.int64)

    def forget(self) -> None:
        """The log was made; what it shares with these columns stays."""
        self.sent_ns = self.admit_ns = self.start_ns = self.first_ns = self.left_ns = array("q")
        self.replica = self.cached_tok = self.preemptions = array("q")
        self.schedule, self.token_ns, self.segments = (), {}, None

    @property
    def ok(self) -> NDArray[np.bool_]:
        found = np.asarray(self.column("left_ns") != NEVER)
        found[list(self.refusals)] = False
        return found

    def tokens(self) -> tuple[Ints, Ints]:
        """(row, time) of every token seen, by row and time."""
        if self.segments is not None:
            return self.segments.expand()
        rows = sorted(self.token_ns)
        row = np.repeat(np.array(rows, dtype=np.int64), [len(self.token_ns[i]) for i in rows])
        return row, np.array([t for i in rows for t in self.token_ns[i]], dtype=np.int64)

    def log(self, origin: Provenance, cost_pusd: Sequence[int] | None) -> RunLog:
        """The run log. Chunk times are lists in a small one, segments in a large one."""
        plans, ok, n = self.schedule, self.ok, len(self.schedule)
        segments = self.segments
        lists = self.segments is None or n <= LISTS_UP_TO
        tokens, last_ns = self.seen()
        first_ns = np.where(tokens > 0, self.column("first_ns"), NEVER)
        outcome = np.where(ok, "ok", "unfinished").astype(object)
        error = np.where(ok, "", UNFINISHED).astype(object)
        error[ok] = None
        for index, reason in self.refusals.items():
            outcome[index], error[index] = "rejected", reason
        for index, reason in self.dropped.items():
            outcome[index], error[index] = "cancelled", reason
        prompt = [plan.asked_prompt_tok for plan in plans]
        columns = {
            "request_id": [plan.request_id for plan in plans], "tenant": [plan.tenant for plan in plans],
            "tier": [plan.tier for plan in plans], "model": _same(origin.model, n), "engine": _same(origin.engine, n),
            "replica": _names(self.column("replica")), "asked_prompt_tok": prompt,
            "asked_output_tok": [plan.asked_output_tok for plan in plans], "prompt_tok": prompt,
            "cached_tok": _known(np.where(tokens > 0, np.maximum(self.column("cached_tok"), 0), NEVER)),
            "output_tok": _known(np.where(tokens > 0, tokens, NEVER)),
            "intended_ns": self._intended(), "sent_ns": _known(self.column("sent_ns")),
            "admit_ns": _known(self.column("admit_ns")), "start_ns": _known(self.column("start_ns")),
            "first_token_ns": _known(first_ns), "last_token_ns": _known(last_ns),
            "end_ns": _known(self.column("left_ns")), "warmup": [plan.warmup for plan in plans],
            "outcome": outcome, "error": error, "preemptions": self.column("preemptions"),
        }
        if cost_pusd is not None:
            columns["cost_pusd"] = cost_pusd
        if any(plan.prefix_ids for plan in plans):
            columns["prefix_ids"] = [plan.prefix_ids or None for plan in plans]
            columns["prefix_tok"] = [plan.prefix_tok or None for plan in plans]
        log = RunLog.from_columns(origin, columns)
        if not lists:
            return RunLog(origin, log.table, segments=segments)
        return log.with_chunks(*self.tokens())

    def _intended(self) -> list[int | None]:
        """As planned; a later turn is meant when the one before it has ended and the thinking is done, and comes then.
        """
        sent = self.sent_ns
        return [(None if sent[i] == NEVER else sent[i]) if plan.after else plan.intended_ns
                for i, plan in enumerate(self.schedule)]

    def seen(self) -> tuple[Ints, Ints]:
        """Tokens that the client saw of each request, and when the last one."""
        n, ok = len(self), self.ok
        if self.segments is None:
            row, at_ns = self.tokens()
            tokens, last_ns = np.bincount(row, minlength=n), np.full(n, NEVER, dtype=np.int64)
            last_ns[row] = at_ns  # by time: the last one stays
            return tokens, last_ns
        asked = np.array([plan.asked_output_tok for plan in self.schedule], dtype=np.int64)
        tokens, last_ns = np.where(ok, asked, 0), np.where(ok, self.column("left_ns"), NEVER)
        cut = np.flatnonzero(~ok)
        if len(cut):
            row, at_ns = self.segments.where(~ok).expand()
            tokens[cut] = np.bincount(row, minlength=len(cut))
            last_ns[cut[row]] = at_ns
        return tokens, last_ns


def _known(values: Ints) -> pa.Array:
    return pa.array(values, mask=values == NEVER)


def _same(text: str, n: int) -> pa.Array:
    return pa.array([text]).take(pa.array(np.zeros(n, dtype=np.int32)))


def _names(numbers: Ints) -> pa.Array:
    """Replica numbers as text."""
    names = pa.array([str(i) for i in range(int(numbers.max(initial=0)) + 1)])
    return names.take(pa.array(numbers, mask=numbers == NEVER))
