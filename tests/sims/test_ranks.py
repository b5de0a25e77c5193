"""Lock-step data-parallel ranks: who goes where, and that everybody waits for the slowest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.replica import Replica, Request
from sims.replica.ranks import PUBLISH_NS, RankedBatcher
from sims.rules import VllmRules
from tests.sims.timing import Linear, drain
from workbench.profile.batch import Batch


@dataclass(frozen=True)
class Shared(Linear):
    """Experts are shared: a step costs what all ranks compute, and each rank takes part, idle or not."""

    def lockstep_ns(self, batches: Sequence[Batch]) -> int:
        return sum(self.iteration_ns(batch) for batch in batches)


def engine(timing: Linear, **rules: Any) -> Replica:
    return Replica(VllmRules(**({"kv_blocks": 100, "ranks": 2} | rules)), timing)


def test_an_iteration_is_as_long_as_the_slowest_rank() -> None:
    """Linear: 1,000 + 10 per prompt token. Ranks get 50 and 20 prompt tokens: 1,500 for both."""
    replica = engine(Linear())
    replica.submit(0, Request("a", 50, 1))
    replica.submit(0, Request("b", 20, 1))
    step = replica.step(0)
    assert step is not None
    assert step.end_ns == 1_500
    assert [batch.prefills for batch in step.batches] == [((50, 0),), ((20, 0),)]
    assert step.batch.prefills == ((50, 0), (20, 0))
    assert step.emitted == step.finished == ("a", "b")


def test_a_timing_that_knows_lock_step_is_asked_with_every_rank_idle_ones_too() -> None:
    replica = engine(Shared(), ranks=4)
    replica.submit(0, Request("a", 50, 1))
    step = replica.step(0)
    assert step is not None
    assert step.end_ns == 4 * 1_000 + 500
    assert step.batches[1:] == (Batch(),) * 3


def test_the_rank_is_chosen_by_the_counts_published_last_and_what_was_sent_since() -> None:
    """4 x waiting + running. Four requests go 0, 1, 0, 1 by what was sent; a's rank is free again, but that is
    published only 100 ms later: the fifth goes to 0 (a tie), the sixth, late enough to know, to the empty rank 1."""
    replica = engine(Linear(step_ns=1_000_000))
    assert isinstance(replica.batcher, RankedBatcher)
    for name, output_tok in (("a", 200), ("b", 1), ("c", 200), ("d", 1)):
        replica.submit(0, Request(name, 10, output_tok))
    assert [job.request.request_id for job in replica.batcher.ranks[0].waiting] == ["a", "c"]
    now_ns = 0
    while now_ns < PUBLISH_NS - 1_000_000:
        step = replica.step(now_ns)
        assert step is not None
        now_ns = step.end_ns
    replica.submit(now_ns, Request("e", 10, 1))
    assert len(replica.batcher.ranks[0].waiting) == 1
    replica.submit(now_ns + PUBLISH_NS, Request("f", 10, 1))
    assert len(replica.batcher.ranks[1].waiting) == 1


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 12)), min_size=1, max_size=20), st.integers(1, 4),
       st.integers(6, 30), st.integers(0, 2), st.booleans(), st.booleans())
def test_everybody_is_served_and_every_rank_keeps_its_blocks(
    requests: list[tuple[int, int]], ranks: int, kv_blocks: int, draft_tok: int, ahead: bool, prefix_caching: bool,
) -> None:
    rules = VllmRules(kv_blocks=kv_blocks, block_tok=4, ranks=ranks, max_num_batched_tokens=40, max_num_seqs=3,
                      draft_tok=draft_tok, acceptance=0.5, async_scheduling=ahead, prefix_caching=prefix_caching)
    replica = Replica(rules, Linear())
    wanted = {f"r{i}": output for i, (prompt, output) in enumerate(requests)
              if replica.submit(0, Request(f"r{i}", prompt, output)) is None}
    got = dict.fromkeys(wanted, 0)
    for step in drain(replica):
        for name, tok in zip(step.emitted, step.tokens or [1] * len(step.emitted), strict=True):
            got[name] += tok
    assert got == wanted
    assert replica.idle
    batchers = replica.batcher.ranks if isinstance(replica.batcher, RankedBatcher) else [replica.batcher]
    assert all(getattr(rank, "kv").free == kv_blocks for rank in batchers)  # noqa: B009  two classes have it


def test_mutant_a_step_as_long_as_the_fastest_rank_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sims.replica.replica.lockstep_ns", lambda timing, batches: min(
        timing.iteration_ns(batch) for batch in batches))
    with pytest.raises(AssertionError):
        test_an_iteration_is_as_long_as_the_slowest_rank()
