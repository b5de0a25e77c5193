"""The front door: a queue, a router, and at most `window` outstanding requests per replica."""

from workbench.control.events import Event, Left, Release
from workbench.control.queues import Queue
from workbench.control.routers import Candidate, Router


class FrontDoor:
    """Tell it what happened; it answers whom to release where.

    `window` None releases everything at once, and the order is then the engine's. A small window keeps the
    decision here, where every engine obeys it. The clock never goes backwards: ValueError.
    """

    def __init__(self, queue: Queue, router: Router, *, replicas: int, window: int | None = None) -> None:
        if replicas < 1 or (window is not None and window < 1):
            raise ValueError(f"replicas {replicas}, window {window}: both must be at least 1")
        self.queue, self.router, self.window = queue, router, window
        self._replicas = [Candidate(replica, 0) for replica in range(replicas)]
        self._at: dict[str, Candidate] = {}
        self._now_ns = 0

    @property
    def outstanding(self) -> list[int]:
        """Released and not yet over, by replica."""
        return [replica.outstanding for replica in self._replicas]

    def on(self, now_ns: int, event: Event) -> tuple[Release, ...]:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns
        if isinstance(event, Left):
            replica = self._at.pop(event.request_id, None)
            if replica is None:
                raise ValueError(f"{event.request_id} left, but was never released")
            replica.outstanding -= 1
        else:
            self.queue.push(now_ns, event)
        return self._releases(now_ns) if len(self.queue) else ()

    def _releases(self, now_ns: int) -> tuple[Release, ...]:
        found: list[Release] = []
        queue, window = self.queue, self.window
        while True:
            candidates = self._replicas
            if window is not None:
                candidates = [replica for replica in candidates if replica.outstanding < window]
                if not candidates:
                    break
            request = queue.pop(now_ns)
            number = self.router.pick(now_ns, request, candidates)
            chosen = self._replicas[number] if 0 <= number < len(self._replicas) else None
            if chosen is None or (window is not None and chosen.outstanding >= window):
                raise ValueError(f"the router picked replica {number}, which is none of its candidates")
            chosen.outstanding += 1
            self._at[request.request_id] = chosen
            found.append(Release(request.request_id, number))
            if not len(queue):
                break
        return tuple(found)
