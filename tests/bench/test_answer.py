"""What counts as a token, how many a chunk holds, and what is refused."""

import json
from typing import Any

import pytest

from workbench.bench.answer import Answer, BadEvent, carries_tokens, error_text


def answered(*events: Any) -> Answer:
    found = Answer()
    for i, event in enumerate(events):
        found.event(event if isinstance(event, bytes) else json.dumps(event).encode(), i)
    return found


def chunk(text: str = "x", **more: Any) -> dict[str, Any]:
    return {"choices": [{"text": text, **more}]}


@pytest.mark.parametrize(
    "choice",
    [
        {"text": "a"}, {"delta": {"content": "a"}}, {"delta": {"role": "assistant", "content": "a"}},
        {"delta": {"reasoning": "a"}}, {"delta": {"tool_calls": [{"index": 0}]}}, {"delta": {"refusal": "no"}},
        {"text": "", "token_ids": [5]},
    ],
)
def test_generated(choice: dict[str, Any]) -> None:
    assert carries_tokens(choice)


@pytest.mark.parametrize(
    "choice",
    [
        {}, {"text": ""}, {"delta": {}}, {"delta": None}, {"delta": {"role": "assistant"}}, {"finish_reason": "stop"},
        {"delta": {"role": "assistant", "content": ""}}, {"delta": {"content": None, "tool_calls": []}},
    ],
)
def test_not_generated(choice: dict[str, Any]) -> None:
    assert not carries_tokens(choice)


USAGE_3 = {"choices": [], "usage": {"completion_tokens": 3, "prompt_tokens": 9,
                                    "prompt_tokens_details": {"cached_tokens": 4}}}


def test_usage_settles_one_token_a_chunk() -> None:
    found = answered(chunk(), chunk(), chunk(), USAGE_3, b"[DONE]")
    assert found.chunk_tok() == (1, 1, 1)
    assert (found.prompt_tok, found.cached_tok, found.output_tok, found.done) == (9, 4, 3, True)


@pytest.mark.parametrize(
    ("events", "sizes"),
    [
        ((chunk(), chunk(), USAGE_3), None),  # one of the two held two: nobody says which
        ((chunk(), USAGE_3), (3,)),
        ((chunk(), chunk()), None),  # no usage: a chunk may be anything
        ((chunk(logprobs={"tokens": ["a", "b"]}), chunk(logprobs={"tokens": ["c"]}), USAGE_3), (2, 1)),
        ((chunk(token_ids=[1]), chunk(token_ids=[2, 3])), (1, 2)),
        ((chunk() | {"timings": {"predicted_n": 2}}, chunk() | {"timings": {"predicted_n": 3}}, USAGE_3), (2, 1)),
        ((chunk() | {"timings": {"predicted_n": 2}}, chunk(), USAGE_3), None),  # one chunk does not say
        ((chunk(token_ids=[1, 2]), chunk(token_ids=[3, 4]), USAGE_3), None),  # contradicts the usage
        ((USAGE_3,), None),
    ],
)
def test_chunk_sizes_only_where_the_server_settles_them(events: tuple[Any, ...], sizes: tuple[int, ...] | None) -> None:
    assert answered(*events).chunk_tok() == sizes


def test_output_without_usage_is_what_the_chunks_list_or_unknown() -> None:
    assert answered(chunk(token_ids=[1]), chunk(token_ids=[2, 3])).output_tok == 3
    assert answered(chunk(), chunk()).output_tok is None


@pytest.mark.parametrize("bad", [-1, 1.5, True, "3", None, 1 << 40])
def test_counts_that_are_none_are_left_out(bad: Any) -> None:
    assert answered({"choices": [], "usage": {"completion_tokens": bad, "prompt_tokens": bad}}).usage_tok is None


@pytest.mark.parametrize("payload", [b"{", b"[1]", b"null", b"", b"[" * 5000, b'{"error": {"message": "x"}}', b"\xff"])
def test_refused(payload: bytes) -> None:
    with pytest.raises(BadEvent) as caught:
        answered(payload)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("odd", [{"choices": None}, {"choices": [3]}, {"choices": {}}, {"usage": 4}, {}])
def test_odd_objects_are_no_chunks(odd: Any) -> None:
    assert len(answered(odd).at_ns) == 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [({"error": {"message": "m"}}, "m"), ({"error": "m"}, "m"), ({"detail": "m"}, "m"), (["m"], '["m"]')],
)
def test_error_text(value: Any, shown: str) -> None:
    assert error_text(value) == shown
