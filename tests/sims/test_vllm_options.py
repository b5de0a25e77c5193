"""vLLM's other ways to schedule, by hand: whole prompts only, by priority, one step ahead; and the old ways."""

from typing import Any

import pytest

from sims.replica import Iteration, Replica, Request
from sims.rules import LlamaCppRules, VllmRules, as_facts, from_facts
from tests.sims.timing import Linear, drain
from workbench.errors import UsageError


def engine(**rules: Any) -> Replica:
    return Replica(VllmRules(**({"kv_blocks": 1000} | rules)), Linear())


def run(replica: Replica, *requests: Request) -> list[Iteration]:
    for request in requests:
        assert replica.submit(0, request) is None, request
    return drain(replica)


def emitted(steps: list[Iteration]) -> list[tuple[str, ...]]:
    return [step.emitted for step in steps]


def test_without_chunks_a_prompt_waits_for_a_step_that_takes_it_whole() -> None:
    """Budget 100: a takes 60, b's 50 do not fit beside it; then 1 for a's decode and b's 50."""
    replica = engine(max_num_batched_tokens=100, chunked_prefill=False)
    steps = run(replica, Request("a", 60, 3), Request("b", 50, 1), Request("c", 40, 1))
    assert [step.batch.prefills for step in steps] == [((60, 0),), ((50, 0), (40, 0)), ()]
    assert "without chunked prefill" in (replica.submit(0, Request("long", 90, 12)) or "")


def test_a_long_prompt_is_admitted_when_all_of_it_fits_or_when_its_first_chunk_does() -> None:
    """6 blocks of 10, a holds 4. Of b (30 tokens) the budget leaves 5: they fit now, all of it does not. Admitted for
    its first chunk, b is preempted in the next step, and has to wait all the same."""
    requests = Request("a", 40, 4), Request("b", 30, 1)
    rules = {"kv_blocks": 6, "block_tok": 10, "max_num_batched_tokens": 45}
    whole, chunk = run(engine(**rules), *requests), run(engine(**rules, reserve_full_prompt=False), *requests)
    assert [step.batch.prefills for step in whole] == [((40, 0),), (), (), (), ((30, 0),)]
    assert [step.batch.prefills for step in chunk] == [((40, 0), (5, 0)), (), (), (), ((30, 0),)]
    assert [step.preempted for step in chunk] == [(), ("b",), (), (), ()]


def test_priority_orders_the_queue_and_whom_to_preempt() -> None:
    """One seat: c (0) before b (1) though it came later. Then blocks run short: the least urgent goes, not the tail."""
    steps = run(engine(max_num_seqs=1, order="priority"), Request("a", 5, 1, priority=5),
                Request("b", 5, 1, priority=1), Request("c", 5, 1))
    assert emitted(steps) == [("c",), ("b",), ("a",)]
    for order, lost in (("fcfs", ("b",)), ("priority", ("a",))):
        replica = engine(kv_blocks=4, block_tok=2, order=order)
        replica.submit(0, Request("a", 3, 3, priority=5))
        first = replica.step(0)
        assert first is not None
        replica.submit(first.end_ns, Request("b", 3, 3, priority=1))
        steps = drain(replica, first.end_ns)
        assert [step.preempted for step in steps if step.preempted] == [lost]
        assert sum(len(step.emitted) for step in (first, *steps)) == 6


def test_a_step_in_which_everybody_is_preempted_takes_no_time() -> None:
    """Priority: a finds no block, is the least urgent itself and stops the step; b is served in the next, at once."""
    replica = engine(kv_blocks=4, block_tok=2, order="priority")
    steps = run(replica, Request("b", 3, 3, priority=1))
    assert len(steps) == 3
    replica.submit(replica.busy_until_ns, Request("a", 3, 3, priority=5))
    first = replica.step(replica.busy_until_ns)
    assert first is not None
    replica.submit(first.end_ns, Request("c", 3, 3, priority=1))
    second = replica.step(first.end_ns)
    third = replica.step(replica.busy_until_ns)
    assert second is not None
    assert third is not None
    assert (third.preempted, third.emitted, third.start_ns) == (("a",), ("c",), second.end_ns)


def test_a_victim_that_was_scheduled_already_in_this_step_is_withdrawn() -> None:
    """5 blocks of 2, priority. a (urgency 5, first in the list) got a block for its 5th token; b then lacks one."""
    replica = engine(kv_blocks=5, block_tok=2, order="priority")
    steps = run(replica, Request("x", 1, 1), Request("a", 3, 3, priority=5), Request("b", 3, 3, priority=6))
    assert all(len(set(step.emitted)) == len(step.emitted) for step in steps)
    replica = engine(kv_blocks=5, block_tok=2, order="priority", max_num_seqs=2)
    replica.submit(0, Request("a", 3, 4, priority=5))
    first = replica.step(0)
    assert first is not None
    replica.submit(first.end_ns, Request("b", 4, 3, priority=1))  # 2 blocks; a holds 2, and takes the 5th at token 5
    steps = drain(replica, first.end_ns)
    at = next(i for i, step in enumerate(steps) if step.preempted)
    assert steps[at].preempted == ("a",)
    assert steps[at].emitted == ("b",)
    assert steps[at].batch.decode_n == 1


def test_static_batches_wait_for_their_longest_member() -> None:
    """Two seats: a and b start; b leaves after one token, but c is admitted only when a is done as well."""
    requests = Request("a", 10, 3), Request("b", 10, 1), Request("c", 10, 1)
    assert emitted(run(engine(max_num_seqs=2, batching="static"), *requests)) == [("a", "b"), ("a",), ("a",), ("c",)]
    assert emitted(run(engine(max_num_seqs=2), *requests)) == [("a", "b"), ("a", "c"), ("a",)]


def test_a_static_batch_is_not_limited_by_one_steps_tokens() -> None:
    """Budget 15: b's prompt is cut, and still belongs to the first batch; d comes too late for it."""
    replica = engine(max_num_seqs=3, batching="static", max_num_batched_tokens=15)
    steps = run(replica, Request("a", 10, 4), Request("b", 10, 1), Request("c", 3, 1))
    assert [step.batch.prefills for step in steps] == [((10, 0), (5, 0)), ((5, 5), (3, 0)), (), ()]


def test_contiguous_memory_is_taken_at_full_length() -> None:
    """10 blocks of 16 and 100 tokens at most: one request of 7 blocks at a time, though each needs only 2."""
    requests = Request("a", 20, 3), Request("b", 20, 3)
    tight = {"kv_blocks": 10, "block_tok": 16, "max_model_len_tok": 100}
    assert emitted(run(engine(**tight, kv_reserve="contiguous"), *requests)) == [("a",)] * 3 + [("b",)] * 3
    assert emitted(run(engine(**tight), *requests)) == [("a", "b")] * 3
    replica = engine(kv_blocks=10, block_tok=16, kv_reserve="contiguous")  # without a limit: what it will need
    assert emitted(run(replica, *requests)) == [("a", "b")] * 3


def test_one_step_ahead_an_arrival_misses_the_step_that_was_composed_already() -> None:
    """a decodes. b arrives during step 2: step 3 was composed when 2 began, so b's prompt is in step 4, not 3."""
    found = {}
    for ahead in (False, True):
        replica = engine(async_scheduling=ahead)
        replica.submit(0, Request("a", 10, 5))
        one = replica.step(0)
        assert one is not None
        two = replica.step(one.end_ns)
        assert two is not None
        replica.submit(two.start_ns + 1, Request("b", 10, 1))
        found[ahead] = emitted([one, two, *drain(replica, two.end_ns)])
    assert found[False] == [("a",), ("a",), ("a", "b"), ("a",), ("a",)]
    assert found[True] == [("a",), ("a",), ("a",), ("a", "b"), ("a",)]


def test_one_step_ahead_a_seat_is_free_a_step_later() -> None:
    """One seat. a's last token is in step 2; step 3 was composed when 2 began, with a still in its seat: it is empty,
    so that b is admitted by a step that begins when a has left. With two seats busy and three requests it shows."""
    requests = Request("a", 10, 2), Request("b", 10, 4), Request("c", 10, 1)
    assert emitted(run(engine(max_num_seqs=2), *requests)) == [("a", "b"), ("a", "b"), ("b", "c"), ("b",)]
    ahead = run(engine(max_num_seqs=2, async_scheduling=True), *requests)
    assert emitted(ahead) == [("a", "b"), ("a", "b"), ("b",), ("b", "c")]
    assert ahead[2].batch.decode_n == 1
    assert ahead[3].batch.decode_ctx_sum_tok == 13  # b: 10 prompt + 3 emitted


def test_one_step_ahead_a_cancelled_request_gets_no_more() -> None:
    replica = engine(async_scheduling=True)
    replica.submit(0, Request("a", 10, 5))
    replica.submit(0, Request("b", 10, 5))
    one = replica.step(0)
    assert one is not None
    assert replica.cancel("a")
    rest = emitted(drain(replica, one.end_ns))
    assert rest == [("b",)] * 4
    assert replica.idle


@pytest.mark.parametrize(("wrong", "told"), [
    ({"kv_blocks": 0}, "kv_blocks is 0"), ({"order": "lifo"}, "known: fcfs, priority"),
    ({"batching": "x"}, "known: continuous, static"), ({"kv_reserve": "x"}, "known: paged, contiguous"),
    ({"acceptance": 1.5}, "fraction of 0 to 1"), ({"draft_tok": -1}, "draft_tok is -1"), ({"ranks": 0}, "ranks is 0"),
    ({"prefix_caching": True, "kv_reserve": "contiguous"}, "prefix_caching needs"),
    ({"host_blocks": 5}, "host_blocks needs prefix_caching"),
])
def test_rules_that_make_no_sense(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        VllmRules(**({"kv_blocks": 10} | wrong))


def test_rules_are_facts_and_back() -> None:
    rules = VllmRules(kv_blocks=77, prefix_caching=True, order="priority", draft_tok=3, acceptance=0.7, ranks=4,
                      host_blocks=9, kv_block_bytes=2**20, host_bytes_per_s=25e9, max_model_len_tok=4096)
    assert from_facts(as_facts(rules)) == rules
    assert from_facts(as_facts(LlamaCppRules(used_slots=(1, 0)))) == LlamaCppRules(used_slots=(1, 0))
    with pytest.raises(UsageError, match=r"vllm: kv_blocks is not known; set rules\.kv_blocks"):
        from_facts({"engine": "vllm"})
