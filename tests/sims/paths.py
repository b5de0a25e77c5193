"""More sample-path recursions that know nothing of the simulator; all in whole numbers."""

import heapq
from collections.abc import Callable, Sequence


def by_rank(arrivals: Sequence[int], services: Sequence[int], rank: Callable[[int], int], servers: int = 1, *,
            all_at_once: bool = False) -> list[int]:
    """Departures where a free server takes the waiting request of least rank, ties in order of arrival.

    Arrivals are sorted. Those of one instant find the servers one after another, unless they are seen `all_at_once`.
    """
    free, waiting, ends = [0] * servers, list[tuple[int, int]](), [0] * len(arrivals)

    def serve(until: int) -> None:
        """Everybody whose turn comes before `until`: a server is free and somebody is there."""
        while waiting and max(free[0], min(arrivals[number] for _, number in waiting)) < until:
            _, number = heapq.heappop(waiting)
            ends[number] = max(free[0], arrivals[number]) + services[number]
            heapq.heapreplace(free, ends[number])

    for number, at in enumerate(arrivals):
        serve(at)
        heapq.heappush(waiting, (rank(number), number))
        if free[0] <= at and not (all_at_once and number + 1 < len(arrivals) and arrivals[number + 1] == at):
            serve(at + 1)
    serve(max(arrivals) + sum(services) + 1)
    return ends


def processor_sharing(arrivals: Sequence[int], rounds: Sequence[int], unit: int) -> list[int]:
    """Departures of a server that gives everybody inside one quantum a round; a round of n lasts n x unit.

    Who arrives during a round joins the next one. In the time of "quanta given to each" a request leaves at
    its arrival plus its own need: a heap and a sum are all there is. Arrivals are sorted.
    """
    now, given, coming = 0, 0, 0
    leaving: list[tuple[int, int]] = []  # (quanta given to each when it leaves, number)
    ends = [0] * len(arrivals)
    while coming < len(arrivals) or leaving:
        if not leaving:
            now = max(now, arrivals[coming])
        while coming < len(arrivals) and arrivals[coming] <= now:
            heapq.heappush(leaving, (given + rounds[coming], coming))
            coming += 1
        lasts = len(leaving) * unit
        quanta = leaving[0][0] - given
        if coming < len(arrivals):
            quanta = min(quanta, -(-(arrivals[coming] - now) // lasts))
        now, given = now + quanta * lasts, given + quanta
        while leaving and leaving[0][0] == given:
            ends[heapq.heappop(leaving)[1]] = now
    return ends
