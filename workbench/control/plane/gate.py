"""Who of those that wait could go now: a replica that serves its model has a place, and its tenant may run more."""

from collections.abc import Callable, Mapping, Sequence

from workbench.control.plane.fleet import Fleet
from workbench.control.request import Waiting
from workbench.control.routing.protocol import Candidate

# replicas that serve it (empty: all of the pool), and its tenant where that has a bound ("": it has none)
Lane = tuple[tuple[int, ...], str]

NOBODY = (-1,)


class Running:
    """Attempts that are out, of each tenant with a bound on them. `most`: None is no bound."""

    def __init__(self, most: Callable[[str], int | None]) -> None:
        self._most = most
        self._out: dict[str, int] = {}

    def bound(self, tenant: str) -> bool:
        return self._most(tenant) is not None

    def may(self, tenant: str) -> bool:
        most = self._most(tenant)
        return most is None or self._out.get(tenant, 0) < most

    def began(self, tenant: str) -> None:
        if self.bound(tenant):
            self._out[tenant] = self._out.get(tenant, 0) + 1

    def ended(self, tenant: str) -> None:
        if self.bound(tenant):
            left = self._out[tenant] - 1
            if left:
                self._out[tenant] = left
            else:
                del self._out[tenant]

    @property
    def out(self) -> Mapping[str, int]:
        return self._out


class Gate:
    """Of one pool."""

    def __init__(self, pool: str, fleet: Fleet, running: Running | None) -> None:
        self.pool, self.fleet, self.running = pool, fleet, running
        self._named = frozenset(model for spec in fleet.specs for model in spec.models)
        self._serving: dict[str, tuple[int, ...]] = {}  # "": a model that no replica names

    def lane(self, item: Waiting) -> Lane:
        tenant = item.tenant if self.running is not None and self.running.bound(item.tenant) else ""
        return self._replicas(item.model) if self.fleet.mixed else (), tenant

    def open(self, candidates: Sequence[Candidate]) -> Callable[[Lane], bool]:
        """With places at these. Nobody has a place: nobody may go."""
        numbers = {one.replica for one in candidates}

        def able(lane: Lane) -> bool:
            replicas, tenant = lane
            if tenant and self.running is not None and not self.running.may(tenant):
                return False
            return not numbers.isdisjoint(replicas) if replicas else bool(numbers)
        return able

    def allowed(self, lane: Lane) -> bool:
        """If it had a place."""
        return not lane[1] or self.running is None or self.running.may(lane[1])

    def _replicas(self, model: str) -> tuple[int, ...]:
        name = model if model in self._named else ""  # clients may ask for any number of others
        found = self._serving.get(name)
        if found is None:
            found = self._serving[name] = self.fleet.serving(self.pool, model) or NOBODY
        return found
