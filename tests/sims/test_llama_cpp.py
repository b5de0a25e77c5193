"""llama.cpp's batching rules, by examples worked by hand (docs/simulator.md has the sources)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.replica import Replica, Request
from sims.replica.llama_cpp import LlamaCppBatcher
from sims.replica.ubatch import passes
from sims.rules import LlamaCppRules, as_facts, from_facts
from tests.sims.timing import Linear, drain
from workbench.errors import UsageError


def server(slots: int = 4, n_batch: int = 512, **more: int) -> Replica:
    return Replica(LlamaCppRules(slots=slots, n_batch=n_batch, **more), Linear())


def slots_of(replica: Replica) -> dict[str, int]:
    assert isinstance(replica.batcher, LlamaCppBatcher)
    found = {job.request.request_id: replica.batcher.slot_of(job.request.request_id) for job in replica.batcher.running}
    return {name: slot for name, slot in found.items() if slot is not None}


def test_one_request_token_by_token() -> None:
    replica = server()
    assert replica.submit(5, Request("a", 100, 3)) is None
    first, second, third = drain(replica, 5)
    assert first.batch.prefills == ((100, 0),)
    assert (first.start_ns, first.end_ns, first.emitted, first.started) == (5, 5 + 1_000 + 1_000, ("a",), ("a",))
    assert (second.batch.decode_n, second.batch.decode_ctx_sum_tok) == (1, 101)
    assert (third.batch.decode_ctx_max_tok, third.finished) == (102, ("a",))


@pytest.mark.parametrize(("n_batch", "stalls"), [(512, 3), (2048, 1)])
def test_decoders_stall_for_every_piece_of_a_long_prompt(n_batch: int, stalls: int) -> None:
    """1,400 tokens beside two decoders: three stalls at n_batch 512, one at 2,048."""
    replica = server(n_batch=n_batch)
    for name in ("a", "b"):
        replica.submit(0, Request(name, 10, 50))
    now_ns = 0
    for _ in range(3):
        step = replica.step(now_ns)
        assert step is not None
        now_ns = step.end_ns
    replica.submit(now_ns, Request("long", 1_400, 2))
    mixed = [step for step in drain(replica, now_ns) if step.batch.prefills]
    assert len(mixed) == stalls
    assert all(step.batch.decode_n == 2 and {"a", "b"} <= set(step.emitted) for step in mixed)
    assert [step.batch.prefill_tok for step in mixed] == ([510, 510, 380] if stalls == 3 else [1_400])
    assert ["long" in step.emitted for step in mixed] == [False] * (stalls - 1) + [True]


def test_unused_slots_go_highest_first_then_least_recently_used() -> None:
    replica = server(slots=3)
    for name, output_tok in (("a", 4), ("b", 2), ("c", 3)):
        replica.submit(0, Request(name, 1, output_tok))
    first = replica.step(0)
    assert slots_of(replica) == {"a": 2, "b": 1, "c": 0}
    assert first is not None
    drain(replica, first.end_ns)  # b ends first, then c, then a
    for name in ("d", "e", "f"):
        replica.submit(replica.busy_until_ns, Request(name, 1, 2))
    replica.step(replica.busy_until_ns)
    assert slots_of(replica) == {"d": 1, "e": 0, "f": 2}


def test_slots_used_before_the_run_come_last() -> None:
    replica = Replica(LlamaCppRules(slots=3, used_slots=(2,)), Linear())
    for name in ("a", "b", "c"):
        replica.submit(0, Request(name, 1, 2))
    replica.step(0)
    assert slots_of(replica) == {"a": 1, "b": 0, "c": 2}


def test_prompts_are_filled_by_slot_id_not_by_arrival() -> None:
    """Two prompts of 400 in n_batch 512: the later arrival sits in the lower slot and goes first."""
    replica = server(slots=2)
    replica.submit(0, Request("early", 400, 1))
    replica.submit(0, Request("late", 400, 1))
    steps = drain(replica)
    assert slots_of(server(slots=2)) == {}
    assert [step.batch.prefills for step in steps] == [((400, 0), (112, 0)), ((288, 112),)]
    assert [step.emitted for step in steps] == [("late",), ("early",)]


def test_admission_waits_for_the_iteration_and_for_a_slot() -> None:
    replica = server(slots=1)
    for name in ("a", "b", "c"):
        replica.submit(0, Request(name, 10, 2))
    assert [step.emitted for step in drain(replica)] == [("a",), ("a",), ("b",), ("b",), ("c",), ("c",)]


def test_a_step_inside_an_iteration_is_refused() -> None:
    replica = server()
    replica.submit(0, Request("a", 10, 2))
    step = replica.step(0)
    assert step is not None
    with pytest.raises(ValueError, match="the iteration in progress ends"):
        replica.step(step.end_ns - 1)
    with pytest.raises(ValueError, match="begins at 0"):
        replica.submit(-1, Request("b", 10, 2))


@pytest.mark.parametrize("request_", [Request("a", 4_000, 97), Request("a", 0, 5), Request("a", 5, 0)])
def test_what_can_never_be_served_is_refused_with_a_reason(request_: Request) -> None:
    replica = server()
    reason = replica.submit(0, request_)
    assert reason is not None
    assert replica.idle
    assert replica.step(0) is None


def test_cancel_frees_the_slot_or_the_place_in_the_queue() -> None:
    replica = server(slots=1)
    for name in ("a", "b", "c"):
        replica.submit(0, Request(name, 10, 5))
    step = replica.step(0)
    assert step is not None
    assert replica.cancel("a")
    assert replica.cancel("b")
    assert not replica.cancel("a")
    assert {name for step in drain(replica, step.end_ns) for name in step.emitted} == {"c"}


@pytest.mark.parametrize(
    ("slots", "unified", "expected"),
    [((0, 1, 2, 3), False, 1), ((0, 2, 4, 6), False, 4), ((0, 1, 3), False, 2), ((0, 2, 4, 6), True, 1)],
)
def test_decodes_share_a_pass_only_over_consecutive_slots(
    slots: tuple[int, ...], unified: bool, expected: int
) -> None:
    assert passes([(slot, 1) for slot in slots], 512, unified) == expected


def test_unequal_prompts_take_a_pass_for_what_they_share_and_one_for_the_rest() -> None:
    assert passes([(0, 100), (1, 60)], 512, False) == 2
    assert passes([(0, 1), (1, 100)], 512, False) == 2
    assert passes([(0, 1_300)], 512, False) == 3
    assert passes([(0, 300), (1, 300)], 512, False) == 2  # 256 of each, then 44 of each


@given(st.lists(st.integers(1, 700), min_size=1, max_size=6), st.integers(1, 512))
def test_passes_cover_every_token(lengths: list[int], n_ubatch: int) -> None:
    found = passes(list(enumerate(lengths)), n_ubatch, False)
    assert found * max(n_ubatch, len(lengths)) >= sum(lengths)
    assert found <= sum(lengths)


def test_rules_from_facts_take_what_was_seen() -> None:
    facts = {"slots": {"asked": 4, "seen": 2, "seen_via": "/props"}, "n_batch": 256, "threads": 1, "kv_unified": None}
    assert from_facts(facts) == LlamaCppRules(slots=2, n_batch=256)
    assert from_facts(as_facts(LlamaCppRules(slots=2, used_slots=(1,)))) == LlamaCppRules(slots=2, used_slots=(1,))


@pytest.mark.parametrize(
    ("facts", "told"),
    [({"slots": 0}, "slots is 0"), ({"slots": 8, "n_batch": 4}, "n_batch 4"), ({"engine": "x"}, "no batching rules"),
     ({"used_slots": [9]}, "used_slots"), ({"slots": True}, "slots is True")],
)
def test_impossible_rules_are_refused(facts: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        from_facts(facts)
