"""When requests leave: on the schedule, never early, late ones reported; in a closed loop never too many."""

import asyncio
import time

import pytest
from scripted import FINISH, Reply, measure, plain_answer, text, usage

from workbench.bench import loops
from workbench.bench.client import Client


def test_open_loop_keeps_to_the_schedule_whatever_the_server_does() -> None:
    async def slow(reply: Reply) -> None:
        await asyncio.sleep(0.2)
        await plain_answer(reply)

    found = measure(slow, 10, gap_s=0.01)
    sent = [row.sent_ns for row in found.rows]
    assert [row.intended_ns for row in found.rows] == [i * 10_000_000 for i in range(10)]
    assert all(at is not None and at >= (row.intended_ns or 0) for at, row in zip(sent, found.rows, strict=True))
    first_end = min(row.end_ns or 0 for row in found.rows)
    assert sum(at is not None and at < first_end for at in sent) >= 5  # they did not wait for answers


async def _impatient(client: Client, due_ns: int, exact_s: float) -> None:
    """Mutant: sends when it likes."""


def test_mutant_that_sends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_until", _impatient)
    found = measure(plain_answer, 5, gap_s=0.02)
    assert any((row.sent_ns or 0) < (row.intended_ns or 0) for row in found.rows)


def test_late_sender_catches_up_and_is_reported() -> None:
    """The client's thread is held up for 200 ms in the middle: later requests leave at once, late, and it says so."""
    async def holding_up(reply: Reply) -> None:
        if reply.index == 2:
            time.sleep(0.2)  # the scripted server shares the client's thread: this stops both
        await plain_answer(reply)

    found = measure(holding_up, 12, gap_s=0.01)
    assert [row.outcome for row in found.rows] == ["ok"] * 12
    late = [(row.sent_ns or 0) - (row.intended_ns or 0) for row in found.rows]
    assert max(late) > 100_000_000
    assert found.client["client_limited"] is True
    assert any("requests per second were delivered" in reason for reason in found.client["reasons"])
    assert found.client["late_s"]["max"] == max(late) / 1e9
    assert found.client["lag_s"]["max"] > 0.1


@pytest.mark.parametrize("concurrency", [1, 3])
def test_closed_loop_holds_its_concurrency(concurrency: int) -> None:
    async def slow(reply: Reply) -> None:
        await asyncio.sleep(0.01)
        await plain_answer(reply)

    found = measure(slow, 9, concurrency=concurrency)
    events = sorted(
        [(row.sent_ns or 0, 1) for row in found.rows] + [(row.end_ns or 0, -1) for row in found.rows]
    )
    inside, most = 0, 0
    for _, step in events:
        inside += step
        most = max(most, inside)
    assert most == concurrency
    assert all(row.intended_ns is None for row in found.rows)


def test_closed_loop_starts_staggered() -> None:
    async def slow(reply: Reply) -> None:
        await asyncio.sleep(0.3)
        await plain_answer(reply)

    sent = sorted(row.sent_ns or 0 for row in measure(slow, 4, concurrency=4, stagger_s=0.1).rows)
    assert all(at >= i * 25_000_000 for i, at in enumerate(sent))


def test_connections_are_kept_and_warmed() -> None:
    found = measure(plain_answer, 20, concurrency=2)
    assert found.server.connections == 2


def test_server_that_promises_to_keep_and_closes() -> None:
    """llama.cpp does: each answer is whole, the connection then closes under the next request."""
    async def two_faced(reply: Reply) -> None:
        await plain_answer(reply)
        reply.writer.close()

    for concurrency in (None, 2):
        found = measure(two_faced, 12, gap_s=0.002, concurrency=concurrency)
        assert [row.outcome for row in found.rows] == ["ok"] * 12
        assert found.client["races"] == sum(row.attempts - 1 for row in found.rows)


def test_request_lost_on_a_new_connection_is_not_sent_again() -> None:
    async def dead(reply: Reply) -> None:
        reply.writer.close()

    found = measure(dead, 3, concurrency=1)
    assert len(found.server.replies) == 3
    assert [row.attempts for row in found.rows] == [1, 1, 1]


def test_connection_says_close() -> None:
    async def closing(reply: Reply) -> None:
        await reply.head(more="Connection: close\r\n")
        await reply.events(text("a"), FINISH, usage(1), b"[DONE]")
        await reply.end()
        reply.writer.close()

    found = measure(closing, 6, concurrency=1, output_tok=1)
    assert [row.outcome for row in found.rows] == ["ok"] * 6
    assert found.client["races"] == 0
