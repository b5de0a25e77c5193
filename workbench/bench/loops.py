"""When to send: the open loop keeps to a schedule whatever the server does, the closed loop waits for answers."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from workbench.bench.client import Client
from workbench.runlog.schema import Planned, Row, chains

Request = tuple[Planned, bytes]
TIMER_STEP_S = 0.002  # timers have millisecond steps: where it is cheap, the last two are spent asking the clock
SPIN_GAP_S = 0.02  # cheap: requests are further apart than this on average, so at most a tenth of a core
CONNECT_AHEAD_S = 0.05  # open a connection this long before it is needed, if none is


async def open_loop(client: Client, requests: Sequence[Request]) -> "list[asyncio.Future[Row]]":
    """Send each request at its intended time; one that is late goes out at once. Returns when all are sent, but for
    the later turns of sessions: what is returned ends with them."""
    talks = sorted(_talks(requests), key=lambda talk: talk[0][0].intended_ns or 0)
    sent: list[asyncio.Future[Row]] = []
    try:
        await _send_first_turns(client, talks, sent)
    except asyncio.CancelledError:
        for talk in sent:  # nobody goes on with what was begun
            talk.cancel()
        raise
    return sent


async def _send_first_turns(client: Client, talks: "list[list[Request]]", sent: "list[asyncio.Future[Row]]") -> None:
    exact_s = TIMER_STEP_S if _mean_gap_s([talk[0] for talk in talks]) > SPIN_GAP_S else 0.0
    for (planned, content), *later in talks:
        due_ns = planned.intended_ns or 0
        await _until(client, due_ns - round(CONNECT_AHEAD_S * 1e9), 0.0)
        if not client.warm_left and client.clock() < due_ns:
            await asyncio.wait([asyncio.ensure_future(client.warm(1))], timeout=(due_ns - client.clock()) / 1e9)
        await _until(client, due_ns, exact_s)
        answer = client.submit(planned, content)
        sent.append(asyncio.ensure_future(_go_on(client, answer, later)) if later else answer)


def _talks(requests: Sequence[Request]) -> list[list[Request]]:
    """Each session's turns, in order; a request that nobody follows is alone."""
    return [[requests[i] for i in chain] for chain in chains([planned for planned, _ in requests])]


async def _go_on(client: Client, answer: "asyncio.Future[Row]", later: Iterable[Request]) -> Row:
    """The other turns of a session, each when the answer before it has ended and the thinking is done.

    After a turn that did not end ok the others are not sent: what they answer to was never said.
    """
    row = await answer
    failed = row if row.outcome != "ok" else None
    for planned, content in later:
        if failed is None:
            due_ns = (row.end_ns or client.clock()) + planned.think_ns
            await _until(client, due_ns, 0.0)
            row = await client.submit(replace(planned, intended_ns=due_ns), content)
            failed = row if row.outcome != "ok" else None
        else:
            client.skip(planned, f"not sent: turn {failed.request_id} of its session ended with {failed.outcome}")
    return row


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
    """Keep `concurrency` requests in flight; the first ones start spread over `stagger_s`, not to march in step. A
    session holds its place from its first turn to its last answer, pauses included."""
    talks = _talks(requests)
    waiting = iter(talks)

    async def place(index: int) -> None:
        await _until(client, round(index * stagger_s / concurrency * 1e9), -TIMER_STEP_S)  # not early, nothing more
        for (planned, content), *later in waiting:
            await _go_on(client, client.submit(planned, content), later)

    await asyncio.gather(*(place(index) for index in range(min(concurrency, len(talks)))))
