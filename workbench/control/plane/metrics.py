"""The metrics of a plane, from what it is told and what it answers: the same in simulation, gateway and replay."""

from collections.abc import Callable, Iterable
from typing import Any

from workbench.control.plane.events import (
    Alarm,
    Answer,
    Arrived,
    Cancel,
    Charge,
    Decision,
    Event,
    Finish,
    FirstToken,
    Left,
    Reject,
    Release,
    ReplicaDown,
    ReplicaUp,
    Report,
    Start,
    Stop,
)
from workbench.control.plane.plane import ControlPlane
from workbench.control.telemetry.values import Values

REASONS = {"ok": "stop", "error": "error", "cancelled": "abort"}  # vLLM's finished_reason
OTHER = "other"  # of models: whatever no facts know


def models_of(plane: ControlPlane) -> tuple[str, ...]:
    """Names that its facts know: of the registry's versions, and of those that replicas serve."""
    registry, specs = plane.desk.models, plane.desk.fleet.specs
    versions = () if registry is None else registry.versions()
    return tuple(dict.fromkeys((*(one.name for one in versions), *(name for spec in specs for name in spec.models))))


class _Seen:
    """A request that is inside."""

    __slots__ = ("arrived_ns", "first_ns", "label", "out", "output_tok", "prompt_tok", "released_ns")

    def __init__(self, arrived_ns: int, prompt_tok: int) -> None:
        self.arrived_ns, self.prompt_tok, self.output_tok, self.label = arrived_ns, prompt_tok, 0, ""
        self.released_ns: int | None = None
        self.first_ns: int | None = None
        self.out: dict[int, int] = {}  # attempt -> replica


class PlaneMetrics:
    """Told every (now, event, decisions) in order. `models`: the names that are labels; every other is "other", so that
    names which clients invent make no series."""

    def __init__(self, models: Iterable[str] = ()) -> None:
        self.values = Values()
        self._models = frozenset(models) | {""}  # none was asked for
        self._inside: dict[str, _Seen] = {}
        self._events: dict[type[Any], Callable[[int, Any], None]] = {
            Arrived: self._arrived, FirstToken: self._first_token, Left: self._left, Report: self._report,
            ReplicaUp: self._up, ReplicaDown: self._down}
        self._decisions: dict[type[Any], Callable[[int, Any], None]] = {
            Release: self._release, Cancel: self._cancel, Finish: self._finish, Reject: self._reject,
            Answer: self._answer, Charge: self._charge, Alarm: self._alarm, Start: self._start, Stop: self._stop}

    @staticmethod
    def of(entries: Iterable[tuple[int, Event, tuple[Decision, ...]]], models: Iterable[str] = ()) -> "PlaneMetrics":
        """Of a journal. `models`: `models_of` the plane that wrote it."""
        found = PlaneMetrics(models)
        for now_ns, event, decisions in entries:
            found.told(now_ns, event, decisions)
        return found

    def told(self, now_ns: int, event: Event, decisions: Iterable[Decision]) -> None:
        what = self._events.get(event.__class__)
        if what is not None:
            what(now_ns, event)
        for one in decisions:
            does = self._decisions.get(one.__class__)
            if does is not None:
                does(now_ns, one)

    def _arrived(self, now_ns: int, event: Arrived) -> None:
        self.values.add("workbench_arrivals_total")
        self.values.add("vllm:num_requests_waiting")
        self._inside[event.request_id] = _Seen(now_ns, event.prompt_tok)

    def _first_token(self, now_ns: int, event: FirstToken) -> None:
        seen = self._inside.get(event.request_id)
        if seen is not None and event.attempt in seen.out:
            self._began(now_ns, seen)

    def _began(self, now_ns: int, seen: _Seen) -> None:
        if seen.first_ns is None and seen.released_ns is not None:
            seen.first_ns, labels = now_ns, (seen.label,)
            self.values.observe("vllm:time_to_first_token_seconds", labels, now_ns - seen.arrived_ns)
            self.values.observe("vllm:request_prefill_time_seconds", labels, now_ns - seen.released_ns)

    def _left(self, now_ns: int, event: Left) -> None:
        """One that was over before (cancelled) is no news."""
        seen = self._inside.get(event.request_id)
        if seen is None or event.attempt not in seen.out:
            return
        self._over(seen, event.attempt, event.outcome)
        labels = (seen.label,)
        for name, tok in (("vllm:prompt_tokens_total", event.prompt_tok),
                          ("vllm:generation_tokens_total", event.output_tok),
                          ("vllm:prefix_cache_queries_total", event.prompt_tok),
                          ("vllm:prompt_tokens_cached_total", event.cached_tok),
                          ("vllm:prefix_cache_hits_total", event.cached_tok)):
            if tok:
                self.values.add(name, labels, tok)
        if event.outcome == "ok":
            self._began(now_ns, seen)
            seen.prompt_tok, seen.output_tok = event.prompt_tok, event.output_tok

    def _over(self, seen: _Seen, attempt: int, outcome: str) -> None:
        """An attempt is at no replica any more; its request waits, or ends by what follows."""
        del seen.out[attempt]
        self.values.add("workbench_attempts_total", (outcome,))
        self.values.add("vllm:num_requests_running", (seen.label,), -1)
        if not seen.out:
            self.values.add("vllm:num_requests_waiting")

    def _release(self, now_ns: int, one: Release) -> None:
        seen, values, label = self._inside[one.request_id], self.values, self._label(one.model)
        if not seen.out:
            values.add("vllm:num_requests_waiting", (), -1)
        if seen.released_ns is None:
            values.observe("vllm:request_queue_time_seconds", (label,), now_ns - seen.arrived_ns)
        else:
            values.add("workbench_retries_total")
        seen.label, seen.released_ns = label, now_ns
        seen.out[one.attempt] = one.replica
        values.add("vllm:num_requests_running", (label,))

    def _label(self, model: str) -> str:
        return model if model in self._models else OTHER

    def _cancel(self, _: int, one: Cancel) -> None:
        seen = self._inside.get(one.request_id)
        if seen is None or one.attempt not in seen.out:
            return
        self._over(seen, one.attempt, "cancelled")
        if one.why == "preempted":
            self.values.add("vllm:num_preemptions_total", (seen.label,))

    def _finish(self, now_ns: int, one: Finish) -> None:
        seen, values = self._ended(one.request_id, one.outcome), self.values
        if seen.released_ns is None:
            return  # its client left before
        labels = (seen.label,)
        values.add("vllm:request_success_total", (seen.label, REASONS[one.outcome]))
        if one.outcome != "ok" or seen.first_ns is None:
            return
        decode_ns = now_ns - seen.first_ns
        values.observe("vllm:e2e_request_latency_seconds", labels, now_ns - seen.arrived_ns)
        values.observe("vllm:request_decode_time_seconds", labels, decode_ns)
        values.observe("vllm:request_prompt_tokens", labels, seen.prompt_tok)
        values.observe("vllm:request_generation_tokens", labels, seen.output_tok)
        if seen.output_tok > 1:
            values.observe("vllm:request_time_per_output_token_seconds", labels, decode_ns // (seen.output_tok - 1))

    def _ended(self, request_id: str, outcome: str) -> _Seen:
        seen = self._inside.pop(request_id)
        self.values.add("workbench_requests_total", (outcome,))
        for _ in seen.out:  # its replica is taken for dead, which comes next
            self.values.add("workbench_attempts_total", ("failure",))
            self.values.add("vllm:num_requests_running", (seen.label,), -1)
        if not seen.out:
            self.values.add("vllm:num_requests_waiting", (), -1)
        return seen

    def _reject(self, _: int, one: Reject) -> None:
        self._ended(one.request_id, one.outcome)
        self.values.add("workbench_rejections_total", (str(one.status),))

    def _answer(self, _: int, one: Answer) -> None:
        self._ended(one.request_id, "answered")
        self.values.add("workbench_answers_total", (one.source,))

    def _charge(self, _: int, one: Charge) -> None:
        self.values.add("workbench_charged_usd", (), one.price_pusd)

    def _report(self, _: int, event: Report) -> None:
        self.values.set("vllm:kv_cache_usage_perc", (str(event.replica),), event.kv_used_ppm)

    def _up(self, _: int, event: ReplicaUp) -> None:
        self.values.set("workbench_replica_up", (str(event.replica),), 1)

    def _down(self, _: int, event: ReplicaDown) -> None:
        self.values.set("workbench_replica_up", (str(event.replica),), 0)

    def _alarm(self, _: int, one: Alarm) -> None:
        self.values.add("workbench_alarms_total", (one.severity,))

    def _start(self, _: int, __: Start) -> None:
        self.values.add("workbench_replica_starts_total")

    def _stop(self, _: int, one: Stop) -> None:
        """Attempts that are there are over without an event of their own: it is taken for dead."""
        for seen in self._inside.values():
            for attempt in [number for number, replica in seen.out.items() if replica == one.replica]:
                self._over(seen, attempt, "failure")
        self.values.add("workbench_replica_stops_total")
        self.values.set("workbench_replica_up", (str(one.replica),), 0)


class ObservedPlane(ControlPlane):
    """The same plane, for either driver: what it is told and answers goes to `metrics` as well."""

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(plane.desk)
        self.metrics = PlaneMetrics(models_of(plane))

    def on(self, now_ns: int, event: Event) -> tuple[Decision, ...]:
        decisions = super().on(now_ns, event)
        self.metrics.told(now_ns, event, decisions)
        return decisions
