"""Prefill and decode on separate engines: one pool computes prompts, the KV cache travels, the other pool decodes.

The front door sees one replica. Inside, a request goes to the prefill engine with the fewest requests, which gives its
first token; its prompt's keys and values cross that engine's link, one after another, and it goes to the decode engine
with the fewest requests, which computes the first token's and all others'. Preempted there, it computes its prompt
there again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sims.clock import Clock, Turn
from sims.overheads import Overheads
from sims.record import NEVER, Record
from sims.replica import Iteration, IterationTime, Request
from sims.rules import DisaggregatedRules
from sims.station import Ended, Station, request_of
from workbench.runlog.schema import Planned


def prefill_request(planned: Planned) -> Request:
    """The prompt, for its first token alone."""
    whole = request_of(planned)
    return Request(whole.request_id, whole.prompt_tok, min(1, whole.output_tok), whole.prefix_ids, whole.prefix_tok,
                   whole.priority)


def decode_request(planned: Planned) -> Request:
    """The prompt arrives computed; the first token, already emitted, is what is left of it to compute."""
    whole = request_of(planned)
    return Request(whole.request_id, whole.prompt_tok + 1, max(1, whole.output_tok - 1), whole.prefix_ids,
                   whole.prefix_tok, whole.priority, received_tok=whole.prompt_tok)


def transfer_ns(rules: DisaggregatedRules, prompt_tok: int) -> int:
    """How long a prompt's KV cache occupies the link; the latency comes on top."""
    return round(prompt_tok * rules.kv_bytes_per_tok / rules.link_bytes_per_s * 1e9)


@dataclass(slots=True)
class _Link:
    """The way out of one prefill engine: first come, first served."""

    free_ns: int = 0

    def send(self, now_ns: int, occupied_ns: int) -> int:
        self.free_ns = max(self.free_ns, now_ns) + occupied_ns
        return self.free_ns


class Disaggregated:
    """Implements `sims.station.StationLike`. The trace numbers the engines: prefill from 0, then decode."""

    mode = "oracle"

    def __init__(
        self, clock: Clock, number: int, rules: DisaggregatedRules, timing: IterationTime, overheads: Overheads,
        record: Record, ended: Ended, trace: list[tuple[int, Iteration]] | None = None,
    ) -> None:
        self.clock, self.number, self.rules, self.record, self.ended = clock, number, rules, record, ended
        self._first, self._rest = Record(record.schedule), Record(record.schedule)
        self.prefill = [
            Station(clock, i, rules.prefill, timing, overheads, self._first, self._prefilled, trace, prefill_request)
            for i in range(rules.prefill_n)]
        self.decode = [
            Station(clock, rules.prefill_n + i, rules.decode, timing, overheads, self._rest, self._decoded, trace,
                    decode_request)
            for i in range(rules.decode_n)]
        self._links = [_Link() for _ in self.prefill]
        self._inside = [0] * (rules.prefill_n + rules.decode_n)  # requests per engine, those on their way included
        self._mine: list[int] = []

    @property
    def iterations(self) -> int:
        return sum(station.iterations for station in (*self.prefill, *self.decode))

    @property
    def sequences(self) -> int:
        return sum(station.sequences for station in (*self.prefill, *self.decode))

    @property
    def preemptions(self) -> int:
        return sum(station.replica.preemptions for station in (*self.prefill, *self.decode))

    def refusal(self, planned: Planned) -> str | None:
        reason = self.prefill[0].refusal(planned)
        if reason is not None:
            return f"prefill pool: {reason}" if planned.asked_output_tok > 0 < planned.asked_prompt_tok else reason
        reason = self.decode[0].refusal(planned) if planned.asked_output_tok > 1 else None
        return None if reason is None else f"decode pool: {reason}"

    def submit(self, index: int) -> None:
        self._mine.append(index)
        engine = self._least(0, self.rules.prefill_n)
        self.prefill[engine].submit(index)

    def settle(self, stop_ns: int) -> None:
        """Both pools' parts make one record."""
        for station in (*self.prefill, *self.decode):
            station.settle(stop_ns)
        record, first, rest = self.record, self._first, self._rest
        for index in self._mine:
            tokens = [*first.token_ns.get(index, ()), *rest.token_ns.get(index, ())]
            if tokens:
                record.token_ns[index] = tokens
            if first.start_ns[index] != NEVER:
                record.start_ns[index], record.cached_tok[index] = first.start_ns[index], first.cached_tok[index]
            record.preemptions[index] = first.preemptions[index] + rest.preemptions[index]

    def busy_ns(self, until_ns: int) -> int:
        """Mean over the engines."""
        stations = (*self.prefill, *self.decode)
        return sum(station.busy_ns(until_ns) for station in stations) // len(stations)

    def _least(self, start: int, stop: int) -> int:
        """The engine with the fewest requests gets one more; ties go to the lowest number."""
        engine = min(range(start, stop), key=self._inside.__getitem__)
        self._inside[engine] += 1
        return engine

    def _prefilled(self, engine: int, finished: Sequence[int]) -> None:
        """First tokens are out. Who asked for no more is done; the others' KV cache goes on its way."""
        self._inside[engine] -= len(finished)
        now_ns, done = self.clock.now_ns, []
        for index in finished:
            planned = self.record.schedule[index]
            if planned.asked_output_tok == 1:
                done.append(index)
                continue
            sent_ns = self._links[engine].send(now_ns, transfer_ns(self.rules, planned.asked_prompt_tok))
            self._hand_over(sent_ns + self.rules.link_latency_ns, index)
        if done:
            self.ended(self.number, done)

    def _hand_over(self, when_ns: int, index: int) -> None:
        engine = self._least(self.rules.prefill_n, len(self._inside)) - self.rules.prefill_n
        self.clock.at(when_ns, Turn.ARRIVE, lambda: self.decode[engine].submit(index))

    def _decoded(self, engine: int, finished: Sequence[int]) -> None:
        self._inside[engine] -= len(finished)
        self.ended(self.number, finished)
