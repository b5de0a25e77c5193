"""Sessions over the wire: the next turn leaves when the answer has ended and the thinking is done, and not before."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from scripted import PROVENANCE, Reply, Server, plain_answer, serving

from workbench.bench.plan import Plan
from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.bench.worker import drive
from workbench.runlog.part import read_part
from workbench.runlog.schema import Planned, Row

THINK_NS = 30_000_000


def talk(name: str, turns: int, begin_ns: int | None) -> list[Planned]:
    return [Planned(f"{name}{k}", None if k else begin_ns, 7, 3, after=f"{name}{k - 1}" if k else "",
                    think_ns=THINK_NS if k else 0) for k in range(turns)]


def drive_all(schedule: Sequence[Planned], script: Any, concurrency: int | None = None,
              stop_after_s: float | None = None) -> dict[str, Row]:
    async def go(folder: str) -> dict[str, Row]:
        server = Server(script)
        listening = await server.start()
        target = Target(url=f"http://127.0.0.1:{server.port}", model="m", timeout_s=20.0)
        plan = Plan.of(target, schedule, [f"say {i.request_id}" for i in schedule], part=Path(folder) / "x.part.jsonl",
                       provenance=PROVENANCE, concurrency=concurrency, stagger_s=0.0)
        stop = asyncio.Event()
        if stop_after_s is not None:
            asyncio.get_running_loop().call_later(stop_after_s, stop.set)
        await drive(plan, stop, lambda message: None)
        listening.close()
        return {row.request_id: row for row in read_part(plan.part).complete_rows()}

    with TemporaryDirectory() as folder:
        return asyncio.run(go(folder))


@pytest.mark.parametrize("concurrency", [None, 1])
def test_a_turn_leaves_when_the_answer_before_it_has_ended_and_the_thinking_is_done(concurrency: int | None) -> None:
    begin_ns = None if concurrency else 0
    schedule = [*talk("a", 3, begin_ns), *talk("b", 2, begin_ns)]
    rows = drive_all(schedule, plain_answer, concurrency)
    assert [row.outcome for row in rows.values()] == ["ok"] * 5
    for plan in schedule:
        if plan.after:
            due_ns = (rows[plan.after].end_ns or 0) + THINK_NS
            assert rows[plan.request_id].intended_ns == due_ns <= (rows[plan.request_id].sent_ns or 0)
    if concurrency:  # a place is a session's to its end
        first, second = sorted((rows["a2"], rows["b1"]), key=lambda row: row.end_ns or 0)
        assert (rows[second.request_id[0] + "0"].sent_ns or 0) >= (first.end_ns or 0)


async def _refuses_b1(reply: Reply) -> None:
    if reply.asked["prompt"] == "say b1":
        await reply.raw(b"HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno")
    else:
        await plain_answer(reply)


def test_after_a_turn_that_fails_its_session_is_over_and_says_why() -> None:
    rows = drive_all([*talk("a", 3, 0), *talk("b", 4, 0)], _refuses_b1)
    assert [rows[name].outcome for name in ("a0", "a1", "a2")] == ["ok"] * 3
    assert [rows[f"b{k}"].outcome for k in range(4)] == ["ok", "error", "cancelled", "cancelled"]
    assert {rows["b2"].error, rows["b3"].error} == {"not sent: turn b1 of its session ended with error"}
    assert rows["b2"].sent_ns is None


def test_a_run_that_is_stopped_in_a_pause_sends_no_more_and_loses_no_row() -> None:
    schedule = [*talk("a", 2, 0), *talk("b", 2, 5_000_000_000)]
    slow = [plan if plan.request_id != "a1" else Planned("a1", None, 7, 3, after="a0", think_ns=60_000_000_000)
            for plan in schedule]
    rows = drive_all(slow, plain_answer, stop_after_s=0.3)
    assert {name: row.outcome for name, row in rows.items()} == {
        "a0": "ok", "a1": "unfinished", "b0": "unfinished", "b1": "unfinished"}


def test_several_workers_keep_sessions_whole(tmp_path: Path) -> None:
    schedule = [plan for name in "abcde" for plan in talk(name, 3, 0)]
    with serving(plain_answer) as server:
        target = Target(url=f"http://127.0.0.1:{server.port}", model="m", timeout_s=20.0)
        log = run(target, schedule, ["hello"] * 15, tmp_path / "run.parquet", PROVENANCE, workers=2)
    rows = {row.request_id: row for row in log.rows()}
    assert log.outcomes()["ok"] == 15
    assert all((rows[plan.request_id].sent_ns or 0) >= (rows[plan.after].end_ns or 0) + THINK_NS
               for plan in schedule if plan.after)
