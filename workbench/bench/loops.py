"""When to send: the open loop keeps to a schedule whatever the server does, the closed loop waits for answers."""

import asyncio
from collections.abc import Sequence

from workbench.bench.client import Client
from workbench.runlog.schema import Planned, Row

Request = tuple[Planned, bytes]
TIMER_STEP_S = 0.002  # timers have millisecond steps: where it is cheap, the last two are spent asking the clock
SPIN_GAP_S = 0.02  # cheap: requests are further apart than this on average, so at most a tenth of a core
CONNECT_AHEAD_S = 0.05  # open a connection this long before it is needed, if none is


async def open_loop(client: Client, requests: Sequence[Request]) -> "list[asyncio.Future[Row]]":
    """Send each request at its intended time; one that is late goes out at once. Returns when all are sent."""
    sent: list[asyncio.Future[Row]] = []
    exact_s = TIMER_STEP_S if _mean_gap_s(requests) > SPIN_GAP_S else 0.0
    for planned, content in sorted(requests, key=lambda item: item[0].intended_ns or 0):
        due_ns = planned.intended_ns or 0
        await _until(client, due_ns - round(CONNECT_AHEAD_S * 1e9), 0.0)
        if not client.warm_left and client.clock() < due_ns:
            await asyncio.wait([asyncio.ensure_future(client.warm(1))], timeout=(due_ns - client.clock()) / 1e9)
        await _until(client, due_ns, exact_s)
        sent.append(client.submit(planned, content))
    return sent


def _mean_gap_s(requests: Sequence[Request]) -> float:
    moments = [planned.intended_ns or 0 for planned, _ in requests]
    return (max(moments) - min(moments)) / max(1, len(moments) - 1) / 1e9


async def _until(client: Client, due_ns: int, exact_s: float) -> None:
    """Return at `due_ns` of the client's clock, never before, answers being read meanwhile; at once if that is past.

    The timer is set `exact_s` early and the rest is spent asking the clock.
    """
    left_s = (due_ns - client.clock()) / 1e9
    if left_s > exact_s:
        await asyncio.sleep(left_s - exact_s)
    await asyncio.sleep(0)  # also when late: reads must not starve behind the catching up
    while client.clock() < due_ns:
        await asyncio.sleep(0)


async def closed_loop(client: Client, requests: Sequence[Request], concurrency: int, stagger_s: float) -> None:
    """Keep `concurrency` requests in flight; the first ones start spread over `stagger_s`, not to march in step."""
    waiting = iter(requests)

    async def place(index: int) -> None:
        await _until(client, round(index * stagger_s / concurrency * 1e9), -TIMER_STEP_S)  # not early, nothing more
        for planned, content in waiting:
            await client.submit(planned, content)

    await asyncio.gather(*(place(index) for index in range(min(concurrency, len(requests)))))
