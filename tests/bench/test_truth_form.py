"""Chunks that need no parsing are exactly those that parse to the first one with another text."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.bench import answer, form
from workbench.bench.answer import Answer, BadEvent
from workbench.bench.form import form_of, size_line

FIRST = b'{"id":"c-1","choices":[{"index":0,"text":" word","finish_reason":null}]}'
CHAT = b'{"id": "word", "choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": null}]}'
BEFORE, AFTER = FIRST.split(b" word")
TEXTS = st.one_of(st.binary(max_size=6), st.text(max_size=6).map(lambda text: orjson.dumps(text)[1:-1]),
                  st.sampled_from([b'a","text":"', b'"', b"\\", b"\\n", b"\\u0061", b"\n", b"\xff", b"\x7f", b""]))


def said(payloads: list[bytes]) -> tuple[Any, ...]:
    """What an answer becomes of these events, one a tick; a bad one ends it."""
    found = Answer()
    for at, payload in enumerate(payloads):
        try:
            found.event(payload, at)
        except BadEvent as error:
            return str(error), list(found.at_ns)
    return found.chunk_tok(), list(found.at_ns), found.finished, found.output_tok


def parsed(payloads: list[bytes], without: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """The same, every event parsed."""
    with without.context() as patch:
        patch.setattr(answer, "form_of", lambda payload, value: None)
        return said(payloads)


def check(texts: list[bytes]) -> None:
    payloads = [FIRST, *(BEFORE + text + AFTER for text in texts)]
    assert said(payloads) == parsed(payloads, pytest.MonkeyPatch())


def check_each(texts: tuple[bytes, ...]) -> None:
    for text in texts:
        check([text])


@given(st.lists(TEXTS, max_size=5))
def test_an_answer_is_the_same_with_every_event_parsed(texts: list[bytes]) -> None:
    check(texts)


@pytest.mark.parametrize("mutant", [bytes(range(256)), form.PLAIN + b'"', form.PLAIN + b"\\", form.PLAIN + b"\n"])
def test_mutants_that_take_more_for_plain(monkeypatch: pytest.MonkeyPatch, mutant: bytes) -> None:
    monkeypatch.setattr(form, "PLAIN", mutant)
    with pytest.raises(AssertionError):
        check_each((b'a"', b"a\\", b"\xff", b"a\nb"))


def test_the_form_is_of_the_text_and_nothing_else() -> None:
    """Where the text's bytes stand elsewhere first, or come twice, or are escaped, every event is parsed."""
    known = form_of(FIRST, orjson.loads(FIRST))
    assert known is not None
    assert known.holds(FIRST)
    assert not known.holds(BEFORE + AFTER)
    for other in (CHAT, FIRST.replace(b" word", b"\\u0020word"), FIRST.replace(b'"text"', b'"text":" word","text"'),
                  b'{"choices":[{"text":5}]}', b'{"choices":[{"delta":{"tool_calls":[1]}}]}'):
        assert form_of(other, orjson.loads(other)) is None


@given(st.integers(0, 5000))
@example(1 << 20)
def test_a_chunk_of_that_size_begins_so(inner_bytes: int) -> None:
    whole = b"%x\r\n%s\r\n" % (inner_bytes, b"x" * inner_bytes)
    assert whole.startswith(size_line(len(whole)))


def test_a_read_of_the_form_is_one_whole_event_in_one_whole_chunk() -> None:
    known = form_of(FIRST, orjson.loads(FIRST))
    assert known is not None
    body = b"data: " + BEFORE + b"longer words" + AFTER + b"\n\n"
    right = b"%x\r\n%s\r\n" % (len(body), body)
    assert known.frames(right)
    wrong = [right[:-1], right[1:], right + b"0", right * 2, b"0" + right, right.replace(b"longer", b"long"),
             right.replace(b"longer", b"lon\nge"), right.replace(b"data: ", b"data:  ")]
    assert not any(known.frames(item) for item in wrong)
