"""Prefix caching: by hand, and against a plain model with a numbered block for everything."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.replica import Iteration, Replica, Request
from sims.replica.job import Block, Job, Run
from sims.replica.prefix import PrefixBlocks, block_keys
from sims.replica.vllm import VllmBatcher
from sims.rules import VllmRules
from tests.sims.naive_blocks import NaiveBlocks
from tests.sims.timing import Linear, drain


def engine(**rules: Any) -> Replica:
    return Replica(VllmRules(**({"prefix_caching": True, "kv_blocks": 100, "block_tok": 4} | rules)), Linear())


def cache(replica: Replica) -> PrefixBlocks:
    assert isinstance(replica.batcher, VllmBatcher)
    assert isinstance(replica.batcher.kv, PrefixBlocks)
    return replica.batcher.kv


def ask(replica: Replica, name: str, prompt_tok: int, output_tok: int, ids: tuple[int, ...] = ()) -> list[Iteration]:
    assert replica.submit(replica.busy_until_ns, Request(name, prompt_tok, output_tok, ids, 4)) is None
    return drain(replica, replica.busy_until_ns)


def test_a_second_prompt_computes_only_what_differs() -> None:
    """Blocks of 4: a has 11 tokens, two shareable blocks; b has the same two and 3 more."""
    replica = engine()
    assert ask(replica, "a", 11, 2, (7, 8))[0].batch.prefills == ((11, 0),)
    steps = ask(replica, "b", 11, 2, (7, 8))
    assert steps[0].batch.prefills == ((3, 8),)
    assert (steps[0].started, steps[0].cached_tok) == (("b",), (8,))


def test_the_last_block_of_a_prompt_that_is_cached_whole_is_computed_again() -> None:
    """8 tokens, both blocks cached: the last token must be computed, so the last block is no hit."""
    replica = engine()
    ask(replica, "a", 8, 1, (7, 8))
    assert ask(replica, "b", 8, 1, (7, 8))[0].batch.prefills == ((4, 4),)


def test_two_in_one_step_share_at_once() -> None:
    """Blocks can be found from when they are scheduled: b hits what a computes in the same iteration."""
    replica = engine()
    replica.submit(0, Request("a", 9, 1, (7, 8), 4))
    replica.submit(0, Request("b", 9, 1, (7, 8), 4))
    step = replica.step(0)
    assert step is not None
    assert step.batch.prefills == ((9, 0), (1, 8))
    assert step.cached_tok == (0, 8)


def test_the_longest_unused_goes_first_and_of_a_prompt_its_tail() -> None:
    """5 blocks. a leaves 2 prefix blocks and 1 unfindable in the order 1 empty ones, tail, block 2, block 1.

    b (9 tokens, 3 blocks) takes the two that were never used and a's tail; c (13 tokens, 4 blocks) frees nothing but
    finds a's first block only where 3 more can be had: b's 3 blocks are older than none, a's block 2 goes first.
    """
    replica = engine(kv_blocks=5)
    ask(replica, "a", 9, 1, (7, 8))
    ask(replica, "b", 9, 1, (5, 6))
    assert list(cache(replica)._index) == [7, 8, 5, 6]
    ask(replica, "c", 5, 1, (4,))  # the head of the queue: a's second block, then its first
    assert list(cache(replica)._index) == [5, 6, 4]
    assert ask(replica, "d", 9, 1, (7, 8))[0].batch.prefills == ((9, 0),)


def test_a_hit_takes_a_free_block_out_of_the_queue_and_makes_it_the_youngest() -> None:
    """4 blocks: a leaves (7), b leaves (5); a again; then c needs two blocks and b's is the one that goes."""
    replica = engine(kv_blocks=4)
    ask(replica, "a", 5, 1, (7,))
    ask(replica, "b", 5, 1, (5,))
    ask(replica, "a2", 5, 1, (7,))
    ask(replica, "c", 9, 1, (3, 4))
    assert 7 in cache(replica)._index
    assert 5 not in cache(replica)._index


def test_a_copy_is_found_when_the_first_is_evicted() -> None:
    """a and b (8 tokens each, cached whole) leave two blocks with the content 8; the older copy goes first."""
    replica = engine(kv_blocks=4)
    ask(replica, "a", 8, 1, (7, 8))
    ask(replica, "b", 8, 1, (7, 8))  # computes block 8 again: a copy
    assert cache(replica).free == 4
    ask(replica, "c", 8, 1, (3, 4))  # takes the one never used and the older copy
    assert ask(replica, "d", 9, 1, (7, 8))[0].batch.prefills == ((1, 8),)


def test_a_preempted_request_finds_its_own_blocks_again() -> None:
    """6 blocks of 4: a and b hold 3 each (12 tokens). At token 13 a needs a fourth: b, the tail, loses its three.

    They are full and stay cached; a takes one of them, the last. When a has left, b (11 prompt + 2 emitted = 13
    tokens) finds its first 8 and computes 5.
    """
    replica = engine(kv_blocks=6)
    replica.submit(0, Request("a", 11, 4))
    replica.submit(0, Request("b", 11, 4))
    steps = drain(replica)
    assert [step.preempted for step in steps] == [(), (), ("b",), (), (), ()]
    assert steps[4].batch.prefills == ((5, 8),)
    assert steps[4].cached_tok == ()  # what it found when it was admitted first: nothing
    assert cache(replica).free == 6


def test_ids_on_another_grid() -> None:
    """Ids per 4 tokens, blocks of 8: every second id. Ids per 8, blocks of 4: two blocks an id."""
    assert block_keys(Request("a", 20, 1, (1, 2, 3, 4, 5), 4), 8) == [2, 4]
    first, second = (block_keys(Request("a", 20, 1, ids, 8), 4) for ids in ((1, 2), (1, 3)))
    assert first[:2] == second[:2]
    assert len({*first, *second}) == 6
    assert len(block_keys(Request("a", 20, 1, (1, 2), 10), 4)) == 5
    assert len(set(block_keys(Request("a", 20, 1, (1, 2), 10), 4))) == 5


@pytest.mark.parametrize("block_tok", [2, 4, 8])
def test_the_id_of_a_block_that_the_prompt_only_begins_shares_nothing(block_tok: int) -> None:
    """Traces that state such ids, one more than whole blocks, mean no more than those that do not."""
    begun = block_keys(Request("a", 18, 1, (1, 2, 3, 4, 5), 4), block_tok)
    assert begun == block_keys(Request("a", 18, 1, (1, 2, 3, 4), 4), block_tok)
    assert len(begun) == 16 // block_tok
    assert len(block_keys(Request("a", 20, 1, (1, 2, 3, 4, 5), 4), block_tok)) == 20 // block_tok


def test_host_memory_keeps_what_was_evicted_and_a_hit_costs_the_transfer() -> None:
    """3 blocks: a's two prefix blocks are evicted by b. a again loads 2 blocks of 1000 bytes at 1e9 bytes/s: 2 us.

    With room for one in host memory the one evicted last is there: the first block of the prompt.
    """
    offload = {"kv_blocks": 3, "kv_block_bytes": 1000, "host_bytes_per_s": 1e9}
    for host_blocks, prefills, extra_ns in ((2, ((1, 8),), 2_000), (1, ((5, 4),), 1_000), (0, ((9, 0),), 0)):
        replica = engine(host_blocks=host_blocks, **offload)
        ask(replica, "a", 9, 1, (7, 8))
        ask(replica, "b", 12, 1)
        step = ask(replica, "a2", 9, 1, (7, 8))[0]
        assert step.batch.prefills == prefills
        assert step.end_ns - step.start_ns == 1_000 + 10 * prefills[0][0] + extra_ns


TRAFFIC = st.lists(
    st.tuples(st.lists(st.integers(0, 1), max_size=6), st.integers(1, 9), st.integers(1, 12), st.integers(0, 4)),
    min_size=1, max_size=14,
)


def requests(traffic: list[tuple[list[int], int, int, int]], per_id_tok: int) -> list[tuple[int, Request]]:
    """Prompts that are paths in a binary tree and a tail of their own; (how many steps later it comes, request)."""
    found = []
    for i, (path, tail_tok, output_tok, later) in enumerate(traffic):
        ids = tuple(int("1" + "".join(map(str, path[:j + 1])), 2) for j in range(len(path)))
        found.append((later, Request(f"r{i}", len(ids) * per_id_tok + tail_tok, output_tok, ids, per_id_tok)))
    return found


def serve(replica: Replica, coming: list[tuple[int, Request]], check: Any = None) -> list[Iteration]:
    steps: list[Iteration] = []
    left = [(later, request) for later, request in coming if replica.refusal(request) is None]
    due = 0
    while True:
        while left and due >= left[0][0]:
            replica.submit(replica.busy_until_ns, left.pop(0)[1])
            due = 0
        step = replica.step(replica.busy_until_ns)
        due += 1
        if step is not None:
            steps.append(step)
            if check is not None:
                check(replica)
        elif not left:
            return steps


@given(TRAFFIC, st.sampled_from([(4, 4), (4, 8), (4, 2), (1, 1)]), st.integers(6, 30), st.integers(2, 30),
       st.integers(1, 5), st.integers(0, 2), st.booleans())
@settings(max_examples=120)
def test_the_same_as_with_a_numbered_block_for_everything(
    traffic: list[tuple[list[int], int, int, int]], sizes: tuple[int, int], kv_blocks: int, budget: int, seats: int,
    draft_tok: int, whole: bool,
) -> None:
    block_tok, per_id_tok = sizes
    rules = VllmRules(kv_blocks=kv_blocks, block_tok=block_tok, max_num_batched_tokens=budget, max_num_seqs=seats,
                      prefix_caching=True, reserve_full_prompt=whole, draft_tok=draft_tok, acceptance=0.5)
    coming = requests(traffic, per_id_tok)
    ours, plain = Replica(rules, Linear()), Replica(rules, Linear())
    assert isinstance(plain.batcher, VllmBatcher)
    plain.batcher.kv = NaiveBlocks(kv_blocks, block_tok)
    assert serve(ours, coming, conserved) == serve(plain, coming)
    assert cache(ours).free == kv_blocks


def conserved(replica: Replica) -> None:
    """Each block is free or held, once; and a block has as many references as holders."""
    pool, jobs = cache(replica), replica.batcher.running
    holders = Counter(id(block) for job in jobs for block in job.shared)
    held = sum(job.blocks - len(job.shared) for job in jobs) + len(holders)
    assert 0 <= pool.free == pool.capacity - held
    assert all(block.refs == holders[id(block)] for job in jobs for block in job.shared)
    stale, waiting = Counter[int](), 0
    for entry in pool._queue:
        if isinstance(entry, Block):
            stale[id(entry)] += 1
            waiting += stale[id(entry)] > entry.stale
            assert stale[id(entry)] <= entry.stale or not entry.refs
        else:
            waiting += entry.count if isinstance(entry, Run) else entry
    assert waiting == pool.free


@given(TRAFFIC, st.integers(6, 30), st.integers(2, 30), st.integers(1, 5), st.integers(0, 2),
       st.sampled_from(["fcfs", "priority"]), st.sampled_from(["continuous", "static"]), st.booleans(),
       st.integers(0, 9))
@settings(max_examples=80)
def test_blocks_and_tokens_are_conserved_under_every_option(
    traffic: list[tuple[list[int], int, int, int]], kv_blocks: int, budget: int, seats: int, draft_tok: int,
    order: Any, batching: Any, ahead: bool, host_blocks: int,
) -> None:
    rules = VllmRules(
        kv_blocks=kv_blocks, block_tok=4, max_num_batched_tokens=budget, max_num_seqs=seats, prefix_caching=True,
        draft_tok=draft_tok, acceptance=0.5, order=order, batching=batching, async_scheduling=ahead,
        host_blocks=host_blocks, kv_block_bytes=1, host_bytes_per_s=1e9)
    coming = [(later, replace(request, priority=request.prompt_tok % 3)) for later, request in requests(traffic, 4)]
    replica = Replica(rules, Linear())
    got: Counter[str] = Counter()
    for step in serve(replica, coming, conserved):
        got.update(dict(zip(step.emitted, step.tokens or [1] * len(step.emitted), strict=True)))
    assert got == {request.request_id: request.output_tok for _, request in coming if replica.refusal(request) is None}
    assert cache(replica).free == kv_blocks


SHARING = [([0, 1, 0], 3, 6, 0), ([0, 1, 1], 2, 6, 0), ([0, 1, 0], 5, 2, 3), ([1], 9, 9, 0), ([0, 1, 1], 1, 4, 2)]


def test_mutant_a_reference_that_is_not_given_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(self: PrefixBlocks, job: Job) -> None:
        self._give(job.blocks - len(job.shared))
        job.shared, job.blocks = [], 0

    conserved_until_the_end = serve(engine(kv_blocks=12), requests(SHARING, 4), conserved)
    assert conserved_until_the_end
    monkeypatch.setattr(PrefixBlocks, "release", forgets)
    with pytest.raises(AssertionError):
        serve(engine(kv_blocks=12), requests(SHARING, 4), conserved)


def test_mutant_eviction_from_the_beginning_of_a_prompt_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def backwards(self: PrefixBlocks, job: Job) -> None:
        job.shared.reverse()
        whole(self, job)

    whole = PrefixBlocks._unshare
    monkeypatch.setattr(PrefixBlocks, "_unshare", backwards)
    replica = engine(kv_blocks=5)
    ask(replica, "a", 9, 1, (7, 8))
    ask(replica, "b", 9, 1, (5, 6))
    ask(replica, "c", 1, 1)
    assert list(cache(replica)._index) != [7, 5, 6]


def test_the_queue_of_free_blocks_does_not_grow_without_end() -> None:
    """One hot prefix, hit 3,000 times: what the hits leave behind is cleaned up."""
    replica = engine(kv_blocks=40)
    for i in range(3_000):
        ask(replica, f"r{i}", 33, 1, tuple(range(8)))
    assert len(cache(replica)._queue) <= 2 * 40 + 1024 + 10
    conserved(replica)
