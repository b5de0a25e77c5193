"""The event parser: the same events come out wherever the reads ended, and they are the ones put in."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.bench.sse import LINE_LIMIT_BYTES, LineTooLong, SseParser

LINE = st.binary(max_size=12).filter(lambda b: b"\n" not in b and b"\r" not in b)
EVENT = st.lists(LINE, min_size=1, max_size=3)
NOISE = st.sampled_from([b": ping", b":", b"event: message", b"id: 7", b"retry: 3", b"unknown"])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream and the payloads it holds, made forwards: no second parser is needed to know them."""
    events = draw(st.lists(EVENT, max_size=6))
    stream = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    end = draw(ENDS)  # one kind a stream: CR and then LF would be one ending, not two
    for lines in events:
        for line in draw(st.lists(NOISE, max_size=2)):
            stream += line + end
        for line in lines:
            space = b" " if line.startswith(b" ") else draw(st.sampled_from([b"", b" "]))
            stream += b"data:" + space + line + end
        stream += end
    return stream, [b"\n".join(lines) for lines in events]


def cuts_of(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def parsed(parser: SseParser, pieces: list[bytes]) -> list[bytes]:
    return [payload for piece in pieces for payload in parser.feed(piece)]


@settings(max_examples=150, deadline=None)
@given(streams(), st.lists(st.integers(0, 500), max_size=8))
def test_events_come_out_as_they_went_in_whatever_the_cuts(made: tuple[bytes, list[bytes]], places: list[int]) -> None:
    stream, payloads = made
    assert parsed(SseParser(), cuts_of(stream, places)) == payloads


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=10))
def test_any_bytes_parse_the_same_whole_cut_and_one_by_one(stream: bytes, places: list[int]) -> None:
    whole = SseParser().feed(stream)
    assert parsed(SseParser(), cuts_of(stream, places)) == whole
    assert parsed(SseParser(), [stream[i : i + 1] for i in range(len(stream))]) == whole


class NoMemory(SseParser):
    """Mutant: takes each read as whole events, as a parser that was only tried on loopback may."""

    def feed(self, data: bytes) -> list[bytes]:
        return SseParser.feed(SseParser(), data)


def test_mutant_without_memory_between_reads() -> None:
    stream = b"data: one\n\ndata: two\n\n"
    assert parsed(SseParser(), cuts_of(stream, [8])) == [b"one", b"two"]
    assert parsed(NoMemory(), cuts_of(stream, [8])) != [b"one", b"two"]


def test_cut_off_event_never_comes_out() -> None:
    assert SseParser().feed(b"data: whole\n\ndata: cut off\n") == [b"whole"]


def test_endless_line_is_refused() -> None:
    parser = SseParser()
    assert parser.feed(b"x" * LINE_LIMIT_BYTES) == []
    with pytest.raises(LineTooLong):
        parser.feed(b"x")
