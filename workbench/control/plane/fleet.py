"""The replicas as the plane knows them: who is up, how much is out there, what they last reported."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from workbench.control.limits.answer import whole
from workbench.control.routing.breaker import CircuitBreaker, Outcome
from workbench.control.routing.health import Ejection
from workbench.control.routing.protocol import Candidate, Signal


class Spec(NamedTuple):
    """A replica. `models` empty: whatever is asked of it. Not `started`: a spare, down until somebody says it is up."""

    pool: str = "shared"
    models: tuple[str, ...] = ()
    weight: int = 1
    started: bool = True


class _Group(NamedTuple):
    """Replicas that can stand in for each other."""

    ejection: Ejection
    members: list[int]


class Fleet:
    """`window`: most that one replica has out; None: no bound, and then the order is the engine's. `ejection` makes one
    for each group of replicas that can stand in for each other (one pool, the same models). Where all of a group that
    are up are ejected, none is: nobody's last one is left out, also when the others went down after it was ejected.
    """

    def __init__(self, replicas: int | Sequence[Mapping[str, Any]], window: int | None = None,
                 breaker: CircuitBreaker | None = None, ejection: Callable[[], Ejection] | None = None) -> None:
        self.specs = [Spec()] * whole("replicas", replicas) if isinstance(replicas, int) else [
            _spec(i, raw) for i, raw in enumerate(replicas)]
        if not self.specs:
            raise ValueError("replicas: none; give at least one")
        self.window, self.breaker = None if window is None else whole("window", window), breaker
        self.up = [spec.started for spec in self.specs]  # takes requests: neither down nor draining
        self._all = [Candidate(i, weight=spec.weight) for i, spec in enumerate(self.specs)]
        self.pools: dict[str, list[int]] = {}
        for i, spec in enumerate(self.specs):
            self.pools.setdefault(spec.pool, []).append(i)
        self._free = {pool: sum(self.up[i] for i in every) for pool, every in self.pools.items()}  # and with a place
        self.blocked = False  # by an open circuit or an ejection, since this was last set
        self.mixed = any(spec.models for spec in self.specs)
        self._groups: dict[tuple[str, tuple[str, ...]], _Group] = {}
        self._group: list[_Group] = []
        if ejection is not None:
            for i, spec in enumerate(self.specs):
                key = spec.pool, spec.models
                group = self._groups.get(key) or self._groups.setdefault(key, _Group(ejection(), []))
                group.members.append(i)
                self._group.append(group)

    @property
    def outstanding(self) -> int:
        return sum(candidate.outstanding for candidate in self._all)

    def load(self, pool: str) -> tuple[int, int]:
        """Of its replicas that are up: how many, and how many requests are out there."""
        found = [self._all[i].outstanding for i in self.pools[pool] if self.up[i]]
        return len(found), sum(found)

    def seen(self, replica: int) -> Candidate:
        """As the plane knows it now."""
        return self._all[self._known(replica)]

    def serves(self, pool: str, model: str) -> bool:
        return not self.mixed or any(self.can(i, model) for i in self.pools[pool])

    def serving(self, pool: str, model: str) -> tuple[int, ...]:
        """Replicas of the pool, up or not."""
        return tuple(i for i in self.pools[pool] if self.can(i, model))

    def candidates(self, now_ns: int, pool: str) -> list[Candidate]:
        """Who of the pool is up, has a place, and is neither ejected nor behind an open circuit; by number."""
        if not self._free[pool]:
            return []
        every, up, window, breaker = self._all, self.up, self.window, self.breaker
        found = [every[i] for i in self.pools[pool] if up[i] and (window is None or every[i].outstanding < window)]
        if (breaker is not None and breaker.troubled) or (self._group and self._ejected(now_ns)):
            able = [one for one in found if self._allows(now_ns, one.replica)]
            self.blocked = self.blocked or len(able) < len(found)
            return able
        return found

    def takes(self, now_ns: int, replica: int) -> bool:
        """A place there is one where a request may go."""
        return self.up[replica] and self._allows(now_ns, replica)

    def sent(self, now_ns: int, replica: int, request_id: str, attempt: int) -> None:
        if self.breaker is not None:
            self.breaker.sent(now_ns, replica, f"{request_id}#{attempt}")

    def done(self, now_ns: int, replica: int, request_id: str, attempt: int, outcome: Outcome) -> None:
        """How an attempt turned out; of one that was cancelled nothing is known."""
        if self.breaker is not None:
            self.breaker.done(now_ns, replica, f"{request_id}#{attempt}", outcome)
        if self._group and outcome != "cancelled":
            ejection, members = self._group[replica]
            ejection.done(now_ns, replica, outcome == "failure", sum(self.up[i] for i in members))

    def due_ns(self, now_ns: int) -> int | None:
        """When a circuit lets a probe go, or who was ejected may be asked again; perhaps in the past."""
        due = [group.ejection.due_ns(now_ns) for group in self._groups.values()]
        if self.breaker is not None:
            due.append(self.breaker.due_ns())
        return min((at_ns for at_ns in due if at_ns is not None and at_ns > now_ns), default=None)

    def fit(self, candidates: list[Candidate], model: str, tried: Sequence[int]) -> list[Candidate]:
        """Of these, who serves the model; not where an attempt failed, if there is anybody else."""
        if self.mixed:
            candidates = [one for one in candidates if self.can(one.replica, model)]
        if tried:
            candidates = [one for one in candidates if one.replica not in tried] or candidates
        return candidates

    def taken(self, replica: int, tok: int) -> None:
        number, out, out_tok, signal, weight = self._all[replica]
        self._all[replica] = Candidate(number, out + 1, out_tok + tok, signal, weight)
        if out + 1 == self.window and self.up[replica]:
            self._free[self.specs[replica].pool] -= 1

    def freed(self, replica: int, tok: int) -> None:
        number, out, out_tok, signal, weight = self._all[replica]
        self._all[replica] = Candidate(number, out - 1, out_tok - tok, signal, weight)
        if out == self.window and self.up[replica]:
            self._free[self.specs[replica].pool] += 1

    def reported(self, replica: int, signal: Signal) -> None:
        """An older report than the last one is no news."""
        one = self._all[self._known(replica)]
        if one.signal is None or signal.reported_ns >= one.signal.reported_ns:
            self._all[replica] = one._replace(signal=signal)

    def turned(self, replica: int, up: bool) -> None:
        if self.up[self._known(replica)] != up:
            self.up[replica] = up
            if self._all[replica].outstanding != self.window:
                self._free[self.specs[replica].pool] += 1 if up else -1

    def _known(self, replica: int) -> int:
        if not 0 <= replica < len(self._all):
            raise ValueError(f"replica {replica}: unknown; there are 0 to {len(self._all) - 1}")
        return replica

    def _ejected(self, now_ns: int) -> bool:
        return any(group.ejection.anybody(now_ns) for group in self._groups.values())

    def _allows(self, now_ns: int, replica: int) -> bool:
        return (self.breaker is None or self.breaker.allows(now_ns, replica)) and (
            not self._group or self._not_ejected(now_ns, replica))

    def _not_ejected(self, now_ns: int, replica: int) -> bool:
        ejection, members = self._group[replica]
        return ejection.allows(now_ns, replica) or not any(
            self.up[i] and ejection.allows(now_ns, i) for i in members)

    def can(self, replica: int, model: str) -> bool:
        """Serves it that model?"""
        models = self.specs[replica].models
        return not models or model in models


def _spec(i: int, raw: Mapping[str, Any]) -> Spec:
    try:
        spec = Spec(**{**raw, "models": tuple(raw.get("models", ()))})
    except TypeError:
        raise ValueError(f"replicas.{i} {dict(raw)}: known keys: {', '.join(Spec._fields)}") from None
    whole(f"replicas.{i}.weight", spec.weight)
    return spec
