"""A server behind an order of release: places, a time for each request, and a record of who was served when."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations

from workbench.control.request import Waiting
from workbench.control.scheduling.protocol import Scheduler

Serve = Callable[[Waiting], tuple[int, int]]  # prompt and output tokens it really has


@dataclass
class Seen:
    """Who was released when, and what each tenant was counted after each step."""

    released: list[tuple[int, Waiting]] = field(default_factory=list)
    gone: list[tuple[int, Waiting]] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    largest: dict[str, int] = field(default_factory=dict)
    steps: list[tuple[frozenset[str], dict[str, int], bool]] = field(default_factory=list)  # waiting, counted, release

    def wait_ns(self, tenant: str) -> list[int]:
        return [now_ns - item.arrived_ns for now_ns, item in self.released if item.tenant == tenant]


def cost(prompt_tok: int, output_tok: int) -> int:
    return prompt_tok + 2 * output_tok


def run(
    order: Scheduler,
    items: Iterable[Waiting],
    serve: Serve = lambda item: (item.prompt_tok, item.estimated_tok),
    places: int = 1,
    count: str = "release",  # or "told": prompt at release, output when it is done; or "done": all when it is done
    until_ns: int | None = None,
) -> Seen:
    """Every cost unit takes a nanosecond. Arrivals of an instant come before what ends there."""
    seen, tenants = Seen(), set[str]()
    events: list[tuple[int, int, int, Waiting]] = [(item.arrived_ns, 0, item.sequence, item) for item in items]
    heapq.heapify(events)
    free = places

    def add(item: Waiting, amount: int, release: bool) -> None:
        seen.counted[item.tenant] = seen.counted.get(item.tenant, 0) + amount
        note(release)

    def note(release: bool = False) -> None:
        waiting = frozenset(name for name in tenants if order.waiting(name))
        seen.steps.append((waiting, dict(seen.counted), release))

    while events and (until_ns is None or events[0][0] <= until_ns):
        now_ns, kind, _, item = heapq.heappop(events)
        prompt, output = serve(item)
        if kind == 0:
            tenants.add(item.tenant)
            order.push(now_ns, item)
            note()
        else:
            free += 1
            seen.gone.append((now_ns, item))
            order.charge(now_ns, item.request_id, prompt, output)
            add(item, {"release": 0, "told": 2 * output, "done": cost(prompt, output)}[count], False)
        if events and events[0][:2] == (now_ns, 0):
            continue
        while free and len(order):
            nxt = order.pop(now_ns)
            free -= 1
            seen.released.append((now_ns, nxt))
            prompt, output = serve(nxt)
            guess = cost(nxt.prompt_tok, nxt.estimated_tok)
            real = cost(prompt, output)
            seen.largest[nxt.tenant] = max(seen.largest.get(nxt.tenant, 0), guess if count == "release" else real,
                                           guess if count == "done" else 0)
            heapq.heappush(events, (now_ns + max(1, real), 1, nxt.sequence, nxt))
            add(nxt, {"release": guess, "told": prompt, "done": 0}[count], True)
    return seen


def widest(seen: Seen, weights: dict[str, int]) -> tuple[dict[tuple[str, str], float], int]:
    """For each pair the widest swing of (service / weight of one - the other) over any interval in which both waited
    all along, and the releases that happened in such intervals."""
    swing: dict[tuple[str, str], float] = {}
    joint = 0
    for a, b in combinations(sorted(weights), 2):
        low = high = None
        for waiting, counted, release in seen.steps:
            gap = counted.get(a, 0) / weights[a] - counted.get(b, 0) / weights[b]
            if low is not None and high is not None:
                low, high = min(low, gap), max(high, gap)
                joint += release
                swing[a, b] = max(swing.get((a, b), 0.0), high - low)
            if not {a, b} <= waiting:
                low = high = None
            elif low is None:
                low = high = gap
    return swing, joint
