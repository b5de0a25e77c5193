"""The run log's columns: one row per request, the same for a real and a simulated run.

Integers are stored: nanoseconds on one monotonic clock (t=0 at the run's start), tokens, pico-USD.
Seconds and USD are derived where they are shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

SCHEMA = 1

Outcome = Literal["ok", "rejected", "shed", "cancelled", "timeout", "error", "unfinished"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def _column(unit: str, doc: str, *, real: bool = True, simulated: bool = True, default: Any = None) -> Any:
    """A column with its unit, its meaning, and the worlds in which it can be known."""
    return field(default=default, metadata={"unit": unit, "doc": doc, "real": real, "simulated": simulated})


@dataclass(frozen=True, slots=True)
class Row:
    """One request. `None` is "not known here"; the metadata says which world cannot know it."""

    request_id: str = _column("", "unique within the run", default="")
    tenant: str = _column("", "who asked", default="default")
    tier: str = _column("", "the tenant's service tier", default="standard")
    model: str = _column("", "model name as asked for", default="")
    engine: str = _column("", "engine name", default="")
    replica: str | None = _column("", "which replica served it", real=False)
    asked_prompt_tok: int | None = _column("tok", "prompt length that the workload asked for")
    asked_output_tok: int | None = _column("tok", "output length that the workload asked for")
    prompt_tok: int | None = _column("tok", "prompt length, from the server's usage where it reports it")
    cached_tok: int | None = _column("tok", "prompt tokens found in the prefix cache")
    output_tok: int | None = _column("tok", "tokens generated, from the server's usage where it reports it")
    intended_ns: int | None = _column("ns", "when the schedule wanted it sent")
    sent_ns: int | None = _column("ns", "when it was handed to the socket (simulated: when it arrived)")
    admit_ns: int | None = _column("ns", "when the front door released it to a replica", real=False)
    start_ns: int | None = _column("ns", "when its first prompt token was computed", real=False)
    first_token_ns: int | None = _column("ns", "when its first token arrived")
    last_token_ns: int | None = _column("ns", "when its last token arrived")
    end_ns: int | None = _column("ns", "when the stream ended (usage and [DONE] included)")
    warmup: bool = _column("", "left out of every metric", default=False)
    outcome: Outcome = _column("", "how it ended", default="unfinished")
    error: str | None = _column("", "one line, for every outcome but ok")
    cost_pusd: int | None = _column("pusd", "what serving it cost us")
    price_pusd: int | None = _column("pusd", "what the customer pays")
    preemptions: int | None = _column("", "times it lost its place in the batch", real=False)
    attempts: int = _column("", "tries, hedges included", default=1)
    chunk_ns: tuple[int, ...] | None = _column("ns", "arrival of each chunk that carried tokens")
    chunk_tok: tuple[int, ...] | None = _column("tok", "tokens in each chunk, where known")
    prefix_ids: tuple[int, ...] | None = _column("", "ids of the blocks that its prompt begins with, where drawn")
    prefix_tok: int | None = _column("tok", "prompt tokens that one of those ids stands for")


COLUMNS: tuple[str, ...] = tuple(column.name for column in fields(Row))
TEXT_COLUMNS = frozenset(
    {"request_id", "tenant", "tier", "model", "engine", "replica", "outcome", "error"}
)
LIST_COLUMNS = frozenset({"chunk_ns", "chunk_tok", "prefix_ids"})


@dataclass(frozen=True, slots=True)
class Planned:
    """One drawn request of a schedule, before anything was sent."""

    request_id: str
    intended_ns: int | None  # None in a closed loop (it is sent when a place is free), and for a later turn
    asked_prompt_tok: int
    asked_output_tok: int
    tenant: str = "default"
    tier: str = "standard"
    warmup: bool = False
    priority: int = 0  # lower is served first, where an engine orders by it (vLLM's convention)
    prefix_ids: tuple[int, ...] = ()  # one id per block of `prefix_tok` prompt tokens, the last one perhaps begun only
    prefix_tok: int = 0  # an id stands for everything up to its block's end: equal ids, equal prefix
    after: str = ""  # the turn of the same session whose answer must have ended
    think_ns: int = 0  # from that end until this one is sent

    def as_list(self) -> list[Any]:
        """A compact JSON form, in field order, without trailing defaults."""
        values = [getattr(self, item.name) for item in fields(self)]
        return values if self.after else values[:10] if self.priority or self.prefix_ids else values[:7]

    @property
    def shared_tok(self) -> int:
        """Prompt tokens that have a prefix id: others may begin with the same."""
        return min(len(self.prefix_ids) * self.prefix_tok, self.asked_prompt_tok)

    @staticmethod
    def from_list(values: Sequence[Any]) -> "Planned":
        found = list(values)
        if len(found) > 8:
            found[8] = tuple(found[8])
        return Planned(*found)

    def unfinished(self) -> Row:
        """The row of a request that the run never came to finish."""
        return Row(
            request_id=self.request_id, tenant=self.tenant, tier=self.tier, warmup=self.warmup,
            intended_ns=self.intended_ns, asked_prompt_tok=self.asked_prompt_tok,
            asked_output_tok=self.asked_output_tok, outcome="unfinished", error="the run ended first",
        )


def followers(schedule: Sequence[Planned]) -> dict[int, int]:
    """Place of a turn -> place of the turn that comes after it; empty without sessions."""
    if not any(planned.after for planned in schedule):
        return {}
    place = {planned.request_id: i for i, planned in enumerate(schedule)}
    return {place[planned.after]: i for i, planned in enumerate(schedule) if planned.after}


def chains(schedule: Sequence[Planned]) -> list[list[int]]:
    """Places in the schedule, session by session, turns in order; a request that follows nobody begins one."""
    found: list[list[int]] = []
    chain_of: dict[str, list[int]] = {}
    for place, planned in enumerate(schedule):
        chain = chain_of.get(planned.after) if planned.after else None
        if chain is None:
            chain = []
            found.append(chain)
        chain.append(place)
        chain_of[planned.request_id] = chain
    return found
