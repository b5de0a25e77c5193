"""The eight traps of streamed answers, each held to what the server really wrote and when."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from scripted import FINISH, PROVENANCE, Measured, Reply, delta, measure, plain_answer, text, usage

from workbench import metrics
from workbench.bench import answer
from workbench.runlog.table import RunLog

PAUSE_S = 0.05


def log_of(found: Measured) -> RunLog:
    return RunLog.from_rows(PROVENANCE, found.rows)


async def role_first(reply: Reply) -> None:
    await reply.head()
    await reply.events(delta(role="assistant", content=""), label="role")
    await asyncio.sleep(PAUSE_S)
    await reply.events(delta(content="a"), label="first")
    await reply.events(delta(content="b"), label="second")
    await reply.events(FINISH, usage(2), b"[DONE]")
    await reply.end()


def check_role() -> None:
    found = measure(role_first, api="chat")
    row = found.rows[0]
    assert row.outcome == "ok"
    assert row.first_token_ns is not None
    assert row.first_token_ns >= found.at("first")
    assert row.chunk_tok == (1, 1)


def test_1_a_role_chunk_is_no_token() -> None:
    check_role()


def test_1_mutant_that_counts_the_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "carries_tokens", lambda choice: bool(choice.get("delta")))
    with pytest.raises(AssertionError):
        check_role()


async def four_a_chunk(reply: Reply) -> None:
    await reply.head()
    for i in range(4):
        so_far = {"usage": {"prompt_tokens": 7, "completion_tokens": 4 * i + 4}} if reply.asked.get("tell") else {}
        await reply.events(text("a b c d", **so_far), label=f"chunk {i}")
        await asyncio.sleep(0.01)
    await reply.events(FINISH, usage(16), b"[DONE]")
    await reply.end()


def test_2_four_tokens_in_a_chunk_where_the_server_does_not_tell() -> None:
    found = measure(four_a_chunk, output_tok=16)
    row = found.rows[0]
    assert (row.output_tok, row.chunk_tok, len(row.chunk_ns or ())) == (16, None, 4)
    assert metrics.summarise(log_of(found))["tpot_is_bound"] is True


def test_2_four_tokens_in_a_chunk_where_it_does() -> None:
    found = measure(four_a_chunk, output_tok=16, extra_body={"tell": True})
    row = found.rows[0]
    assert row.chunk_tok == (4, 4, 4, 4)
    assert row.last_token_ns is not None
    assert row.first_token_ns is not None
    exact_s = (row.last_token_ns - row.first_token_ns) / 12 / 1e9  # 12 tokens came after the first chunk
    assert metrics.values(log_of(found), "tpot_s").tolist() == pytest.approx([exact_s], rel=1e-12)


async def four_a_write(reply: Reply) -> None:
    await reply.head()
    await asyncio.sleep(0.01)
    await reply.events(*(text(c) for c in "abcd"), label="write 0")
    await asyncio.sleep(0.02)
    await reply.events(*(text(c) for c in "efgh"), label="write 1")
    await reply.events(FINISH, usage(8), b"[DONE]")
    await reply.end()


def test_3_four_events_in_a_write_share_its_time() -> None:
    found = measure(four_a_write, output_tok=8)
    row = found.rows[0]
    assert row.chunk_ns is not None
    assert len(row.chunk_ns) == 8
    assert len(set(row.chunk_ns[:4])) == len(set(row.chunk_ns[4:])) == 1
    assert found.at("write 0") <= row.chunk_ns[0] < found.at("write 1") <= row.chunk_ns[4]
    assert row.chunk_tok == (1,) * 8


async def stalled(reply: Reply) -> None:
    await reply.head()
    for i in range(6):
        await asyncio.sleep(5 * PAUSE_S if i == 3 else 0.005)
        await reply.events(text("x"), label=f"token {i}")
    await reply.events(FINISH, usage(6), b"[DONE]")
    await reply.end()


def test_4_a_stall_is_the_longest_gap_where_it_was() -> None:
    found = measure(stalled, output_tok=6)
    chunk_ns = found.rows[0].chunk_ns
    assert chunk_ns is not None
    gaps = [b - a for a, b in pairwise(chunk_ns)]
    assert gaps.index(max(gaps)) == 2
    assert metrics.values(log_of(found), "stall_s").tolist() == pytest.approx([max(gaps) / 1e9], rel=1e-12)
    written = [found.at(f"token {i}") for i in range(6)]
    assert all(seen >= sent for seen, sent in zip(chunk_ns, written, strict=True))
    assert chunk_ns[2] < written[3]  # what came before the stall was not dated after it


async def reasoning_first(reply: Reply) -> None:
    await reply.head()
    await reply.events(delta(role="assistant", content=None))
    await reply.events(delta(**{reply.asked["key"]: "hm"}), label="thought")
    await asyncio.sleep(PAUSE_S)
    await reply.events(delta(content="so"), label="content")
    await reply.events(FINISH, usage(2), b"[DONE]")
    await reply.end()


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "tool_calls"])
def test_5_reasoning_and_tool_calls_are_tokens(key: str) -> None:
    found = measure(reasoning_first, api="chat", extra_body={"key": key})
    row = found.rows[0]
    assert row.first_token_ns is not None
    assert found.at("thought") <= row.first_token_ns < found.at("content")
    assert row.output_tok == len(row.chunk_ns or ()) == 2


async def late_usage(reply: Reply) -> None:
    await reply.head()
    await reply.events(text("a"), label="token 0")
    await reply.events(text("b"), FINISH, label="token 1")
    await asyncio.sleep(4 * PAUSE_S)
    await reply.events(usage(2), b"[DONE]", label="usage")
    await reply.end()


def test_6_late_usage_is_not_latency() -> None:
    found = measure(late_usage)
    row = found.rows[0]
    assert row.last_token_ns is not None
    assert row.end_ns is not None
    assert row.last_token_ns < found.at("usage") <= row.end_ns
    assert row.output_tok == 2
    assert row.sent_ns is not None
    assert metrics.values(log_of(found), "e2e_s").tolist() == pytest.approx(
        [(row.last_token_ns - row.sent_ns) / 1e9], rel=1e-12
    )


async def every_tenth_fails(reply: Reply) -> None:
    if reply.index % 10 == 3:
        await reply.head(500, "application/json")
        await reply.body(b'{"error": {"message": "out of luck"}}')
        await reply.end()
    else:
        await plain_answer(reply)


def test_7_one_in_ten_http_500() -> None:
    found = measure(every_tenth_fails, 30, gap_s=0.002)
    outcomes = [row.outcome for row in found.rows]
    assert (outcomes.count("ok"), outcomes.count("error")) == (27, 3)
    assert {row.error for row in found.rows if row.outcome == "error"} == {"HTTP 500: out of luck"}
    assert metrics.summarise(log_of(found))["metrics"]["error_frac"]["value"]["measured"] == pytest.approx(0.1)


async def pinging(reply: Reply) -> None:
    await reply.head()
    for _ in range(3):
        await reply.body(b": ping\n\n", "ping")
        await asyncio.sleep(PAUSE_S / 3)
    await reply.events(text("a"), label="token 0")
    await reply.body(b": ping\r\n\r\n")
    await reply.events(text("b"), FINISH, usage(2), b"[DONE]")
    await reply.end()


def test_8_pings_are_no_tokens() -> None:
    found = measure(pinging)
    row = found.rows[0]
    assert row.first_token_ns is not None
    assert row.first_token_ns >= found.at("token 0")
    assert row.chunk_tok == (1, 1)


def check_pings() -> None:
    row = measure(pinging).rows[0]
    assert (row.outcome, row.chunk_tok) == ("ok", (1, 1))


def check_reasoning() -> None:
    row = measure(reasoning_first, api="chat", extra_body={"key": "reasoning"}).rows[0]
    assert row.output_tok == len(row.chunk_ns or ())


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (lambda choice: True, check_pings),  # counts the finish reason
        (lambda choice: bool((choice.get("delta") or {}).get("content")), check_reasoning),  # knows content only
    ],
)
def test_mutants_of_what_a_token_is(monkeypatch: pytest.MonkeyPatch, mutant: Any, check: Callable[[], None]) -> None:
    check()
    monkeypatch.setattr(answer, "carries_tokens", mutant)
    with pytest.raises(AssertionError):
        check()
