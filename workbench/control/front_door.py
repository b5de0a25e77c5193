"""The front door: a queue, a router, and at most `window` outstanding requests per replica."""

from workbench.control.events import Arrived, Event, Left, Release
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
        self.outstanding = [0] * replicas
        self._at: dict[str, int] = {}
        self._now_ns = 0

    def on(self, now_ns: int, event: Event) -> tuple[Release, ...]:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns
        if isinstance(event, Arrived):
            self.queue.push(now_ns, event)
        else:
            self._leave(event)
        return tuple(self._releases(now_ns))

    def _leave(self, event: Left) -> None:
        replica = self._at.pop(event.request_id, None)
        if replica is None:
            raise ValueError(f"{event.request_id} left, but was never released")
        self.outstanding[replica] -= 1

    def _releases(self, now_ns: int) -> list[Release]:
        found = []
        while len(self.queue):
            candidates = [
                Candidate(replica, n) for replica, n in enumerate(self.outstanding)
                if self.window is None or n < self.window
            ]
            if not candidates:
                break
            request = self.queue.pop(now_ns)
            replica = self.router.pick(now_ns, request, candidates)
            if all(replica != item.replica for item in candidates):
                raise ValueError(f"the router picked replica {replica}, which is none of its candidates")
            self.outstanding[replica] += 1
            self._at[request.request_id] = replica
            found.append(Release(request.request_id, replica))
        return found
