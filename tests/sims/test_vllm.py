"""vLLM v1's schedule by examples worked by hand, and block conservation on any traffic."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.replica import Iteration, Replica, Request
from sims.replica.kv import CountedBlocks, KvCache
from sims.replica.vllm import VllmBatcher
from sims.rules import VllmRules
from tests.sims.timing import Linear, drain


def engine(**rules: Any) -> Replica:
    return Replica(VllmRules(**({"kv_blocks": 1000} | rules)), Linear())


def submit(replica: Replica, *requests: tuple[str, int, int]) -> None:
    for name, prompt_tok, output_tok in requests:
        assert replica.submit(0, Request(name, prompt_tok, output_tok)) is None


def blocks(replica: Replica) -> KvCache:
    assert isinstance(replica.batcher, VllmBatcher)
    return replica.batcher.kv


def test_prompts_share_the_budget_and_a_long_one_is_cut() -> None:
    """Budget 100: 60 + 40 of b, then a decodes (1) and b gets 99 of its 110 that are left, then 11."""
    replica = engine(max_num_batched_tokens=100)
    submit(replica, ("a", 60, 3), ("b", 150, 1))
    steps = drain(replica)
    assert [step.batch.prefills for step in steps] == [((60, 0), (40, 0)), ((99, 40),), ((11, 139),)]
    assert [step.emitted for step in steps] == [("a",), ("a",), ("a", "b")]


def test_seats_and_head_of_line() -> None:
    """Two seats; and with 4 blocks of 16 the second of three waits although the third would fit."""
    replica = engine(max_num_seqs=2)
    submit(replica, ("a", 10, 2), ("b", 10, 1), ("c", 10, 1))
    assert [step.emitted for step in drain(replica)] == [("a", "b"), ("a", "c")]
    replica = engine(kv_blocks=4, block_tok=16)
    submit(replica, ("a", 32, 3), ("b", 48, 1), ("c", 16, 1))
    assert [step.emitted for step in drain(replica)] == [("a",), ("a",), ("a",), ("b", "c")]


def test_preemption_of_the_tail_and_recompute() -> None:
    """4 blocks of 2. a (3 prompt, 3 output) and b (3, 3) hold two each; tokens 4 fit, token 5 does not.

    step 1: both prompts, one token each. step 2: both decode (4 tokens each, 2 blocks each: full).
    step 3: a needs a third block: b, the tail, loses both. a gets its last token; nobody is admitted.
    step 4: b computes prompt + its 2 tokens again = 5, and that emits its third and last token.
    """
    replica = engine(kv_blocks=4, block_tok=2)
    submit(replica, ("a", 3, 3), ("b", 3, 3))
    steps = drain(replica)
    assert [step.emitted for step in steps] == [("a", "b"), ("a", "b"), ("a",), ("b",)]
    assert [step.preempted for step in steps] == [(), (), ("b",), ()]
    assert steps[3].batch.prefills == ((5, 0),)
    assert steps[3].started == ("b",)
    assert replica.preemptions == 1
    assert blocks(replica).free == 4


def test_the_tail_preempts_itself_when_nobody_is_behind_it() -> None:
    """5 blocks of 2: a takes the third at token 5, b (the tail) finds none for its own and gives up its two."""
    replica = engine(kv_blocks=5, block_tok=2)
    submit(replica, ("a", 3, 3), ("b", 3, 3))
    steps = drain(replica)
    assert [step.emitted for step in steps] == [("a", "b"), ("a", "b"), ("a",), ("b",)]
    assert steps[2].preempted == ("b",)


def test_what_never_fits_is_refused() -> None:
    replica = Replica(VllmRules(kv_blocks=4, block_tok=16, max_model_len_tok=100), Linear())
    assert replica.submit(0, Request("fits", 60, 5)) is None
    assert "KV blocks" in (replica.submit(0, Request("blocks", 60, 6)) or "")
    assert "the model takes 100" in (replica.submit(0, Request("length", 60, 41)) or "")


def test_cancel_gives_the_blocks_back() -> None:
    replica = engine(kv_blocks=4, block_tok=16)
    submit(replica, ("a", 60, 5), ("b", 10, 1))
    first = replica.step(0)
    assert first is not None
    assert replica.cancel("a")
    assert not replica.cancel("a")
    assert blocks(replica).free == 4
    assert [step.emitted for step in drain(replica, first.end_ns)] == [("b",)]


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 20)), min_size=1, max_size=15),
    st.integers(1, 8), st.integers(4, 30), st.integers(1, 80), st.integers(1, 5),
)
def test_blocks_tokens_and_budget_are_conserved(
    requests: list[tuple[int, int]], block_tok: int, kv_blocks: int, budget: int, seats: int
) -> None:
    replica = engine(max_num_seqs=seats, max_num_batched_tokens=budget, block_tok=block_tok, kv_blocks=kv_blocks)
    wanted = {f"r{i}": output for i, (prompt, output) in enumerate(requests)
              if replica.submit(0, Request(f"r{i}", prompt, output)) is None}
    got: dict[str, int] = {}
    now_ns, pool = 0, blocks(replica)
    while (step := replica.step(now_ns)) is not None:
        now_ns = step.end_ns
        _check_step(step, replica, budget, seats)
        assert pool.free >= 0
        assert pool.free + sum(job.blocks for job in replica.batcher.running) == kv_blocks
        for job in replica.batcher.running:
            assert job.blocks * block_tok >= job.kv_tok
        for name in step.emitted:
            got[name] = got.get(name, 0) + 1
    assert got == wanted
    assert pool.free == kv_blocks


def _check_step(step: Iteration, replica: Replica, budget: int, seats: int) -> None:
    assert 0 < step.batch.prefill_tok + step.batch.decode_n <= budget
    assert step.batch.decode_n + len(step.batch.prefills) <= seats
    assert replica.running_n <= seats


def test_mutant_an_off_by_one_in_the_budget_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = VllmBatcher._admit

    def generous(self: VllmBatcher, step: Any) -> int:
        step.budget += 1
        return whole(self, step)

    monkeypatch.setattr(VllmBatcher, "_admit", generous)
    replica = engine(max_num_batched_tokens=100)
    submit(replica, ("a", 60, 3), ("b", 150, 1))
    step = replica.step(0)
    assert step is not None
    with pytest.raises(AssertionError):
        _check_step(step, replica, 100, 128)


def test_mutant_leaked_blocks_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountedBlocks, "release", lambda self, job: None)
    replica = engine(kv_blocks=4, block_tok=16)
    submit(replica, ("a", 60, 2))
    drain(replica)
    assert blocks(replica).free != 4
