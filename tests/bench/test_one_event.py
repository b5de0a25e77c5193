"""The short way past both parsers: whatever the cut of the bytes, the same row as by the long way."""

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.bench import connection, form
from workbench.bench.client import Client
from workbench.bench.connection import Connection
from workbench.bench.sse import one_event
from workbench.bench.target import Target
from workbench.runlog.schema import Planned, Row

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def framed(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


def event(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else orjson.dumps(value)) + b"\n\n"


def token(text: str, **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "text": text, "finish_reason": None, **more}]})


END = [event({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}),
       event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}), event(b"[DONE]")]
EVENTS = st.sampled_from([
    token("a"), token(""), token("é\n"), token("b", token_ids=[1, 2]), token("c", logprobs={"tokens": ["c"]}),
    b": ping\n\n", b"event: x\ndata: {}\n\n",
    b"data:" + orjson.dumps({"choices": [{"text": "d"}], "timings": {"predicted_n": 3}}) + b"\n\n",
    event({"choices": [{"delta": {"content": "x"}}], "usage": {"completion_tokens": 2}}), event(b"{"), event([1]),
    event({"error": {"message": "no"}}), token("w").replace(b"\n", b"\r\n"), token("half")[:9], token("half")[9:],
])


class Wire:
    """A transport that says nothing."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def row_of(reads: list[bytes]) -> tuple[Any, ...]:
    """What becomes of these reads, a tick of the clock each."""

    async def main() -> Row:
        rows: list[Row] = []
        client = Client(Target("http://127.0.0.1:1", "m"), "e", rows.append)
        ticks = iter(range(10**9))
        client.clock = lambda: next(ticks)  # type: ignore[method-assign]
        found, wire = Connection(client), Wire()
        found.connection_made(wire)  # type: ignore[arg-type]
        client.release(found)
        client.submit(Planned("r", None, 3, 4), b"x")
        for data in reads:
            if not rows:
                found.data_received(data)
        if not rows:
            found.connection_lost(None)
        return rows[0]

    row = asyncio.run(main())
    return (row.outcome, row.error, row.chunk_ns, row.chunk_tok, row.output_tok, row.prompt_tok, row.end_ns)


@given(st.lists(st.tuples(EVENTS, st.sampled_from(["own", "joined", "cut", "read of its own"])), max_size=12),
       st.randoms(use_true_random=False))
def test_the_short_way_gives_the_same_row(parts: list[tuple[bytes, str]], rng: Any) -> None:
    """Parts get an HTTP chunk of their own or share one, and reads end between them or anywhere."""
    chunks, cuts = [HEAD], []
    for body, how in [*parts, *((end, "own") for end in END)]:
        if how == "joined" and len(chunks) > 1:
            chunks[-1] = framed(chunks[-1].partition(b"\r\n")[2][:-2] + body)
        else:
            chunks.append(framed(body))
        cuts.append(how)
    stream, at, edges = b"".join(chunks) + b"0\r\n\r\n", 0, []
    for item in chunks:
        at += len(item)
        edges.append(at)
    anywhere = (rng.randrange(len(stream)) for _ in range(cuts.count("cut")))
    places = sorted({*(edge for edge in edges if rng.random() < 0.8), *anywhere})
    reads = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True) if b > a]
    short = row_of(reads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "one_event", lambda _: None)
        patch.setattr(form.Form, "frames", lambda *_: False)
        assert row_of(reads) == short


def test_it_takes_whole_chunks_only() -> None:
    whole = framed(token("a"))
    assert one_event(whole) == token("a")[6:-2]
    for data in (whole[:-1], whole[1:], whole + b"1", whole + whole, framed(token("a") * 2), framed(b": ping\n\n"),
                 framed(token("a").replace(b"\n", b"\r\n")), framed(b"data: a\ndata: b\n\n"), b"zz\r\n" + whole[4:]):
        assert one_event(data) is None


def test_mutant_that_forgets_half_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asking whether an event is half read, the next one would be read apart from it."""
    halves = framed(b"data: {\"choices\": [{\"text\":\n"), framed(b"data: \"a\"}]}\n\n")
    reads = [HEAD, *halves, *map(framed, END), b"0\r\n\r\n"]
    right = row_of(reads)
    assert right[:2] == ("ok", None)
    monkeypatch.setattr("workbench.bench.sse.SseParser.between", True)
    assert row_of(reads) != right
