"""Speculative decoding: what is emitted, what it costs, and that a request's luck is its own."""

from collections import Counter
from random import Random
from statistics import mean
from typing import Any

import pytest

from sims.replica import Iteration, Replica, Request
from sims.replica.job import Job
from sims.rules import VllmRules
from tests.sims.timing import Linear, drain


def run(requests: list[Request], **rules: Any) -> list[Iteration]:
    replica = Replica(VllmRules(**({"kv_blocks": 10_000} | rules)), Linear())
    for request in requests:
        assert replica.submit(0, request) is None
    return drain(replica)


def gains(steps: list[Iteration], name: str) -> list[int]:
    """Tokens per iteration of one request."""
    return [step.tokens[step.emitted.index(name)] if step.tokens else 1 for step in steps if name in step.emitted]


def test_all_right_gives_one_and_the_draft_and_no_more_than_asked() -> None:
    """Prompt, then 1 + 3 tokens an iteration: 10 = 1 + 4 + 4 + 1."""
    steps = run([Request("a", 10, 10)], draft_tok=3, acceptance=1.0)
    assert gains(steps, "a") == [1, 4, 4, 1]
    assert [step.batch.draft_tok for step in steps] == [0, 3, 3, 3]
    assert [step.batch.decode_ctx_sum_tok for step in steps] == [0, 11, 15, 19]


def test_none_right_is_plain_decoding_that_computes_more() -> None:
    drafted, plain = (run([Request("a", 10, 5)], draft_tok=d) for d in (2, 0))
    assert gains(drafted, "a") == gains(plain, "a") == [1] * 5
    assert [step.batch.decode_ctx_sum_tok for step in drafted] == [step.batch.decode_ctx_sum_tok for step in plain]


def test_the_budget_and_the_models_length_cut_a_draft() -> None:
    """Budget 4: a takes 1 + 2, b's draft of 2 is cut to none. Model length 14: at token 12 only 1 more can follow."""
    steps = run([Request("a", 2, 9), Request("b", 2, 9)], draft_tok=2, max_num_batched_tokens=4)
    assert steps[1].batch.draft_tok == 2
    assert steps[1].batch.decode_n == 2
    steps = run([Request("a", 10, 4)], draft_tok=5, max_model_len_tok=14)
    assert [step.batch.draft_tok for step in steps] == [0, 2, 1, 0]


def test_luck_depends_on_the_request_and_the_seed_not_on_the_company() -> None:
    alone = gains(run([Request("a", 10, 200)], draft_tok=4, acceptance=0.6), "a")
    crowd = run([Request(name, 10, 200) for name in "cba"], draft_tok=4, acceptance=0.6)
    assert gains(crowd, "a") == alone
    assert gains(crowd, "b") != alone
    assert gains(run([Request("a", 10, 200)], draft_tok=4, acceptance=0.6, seed=1), "a") != alone


GEOMETRIC_SUM = sum(0.6**k for k in range(5))


def mean_gain() -> float:
    """Of some 17,000 draws at acceptance 0.6 and 4 drafted: the standard error is 0.011."""
    steps = run([Request(f"r{i}", 5, 400) for i in range(100)], draft_tok=4, acceptance=0.6)
    return mean(gain for step in steps[1:-40] for gain in (step.tokens or [1] * len(step.emitted)))


def test_the_mean_gain_is_the_geometric_sum() -> None:
    """1 + a + a^2 + ... + a^d = 2.3056."""
    assert abs(mean_gain() - GEOMETRIC_SUM) < 0.035


def test_mutant_tokens_kept_behind_a_wrong_one_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each judged alone, the mean gain is 1 + a d = 3.4."""
    def alone(job: Job, drafted: int, acceptance: float, seed: int) -> int:
        job.luck = job.luck or Random(f"{seed}/{job.request.request_id}")
        return sum(job.luck.random() < acceptance for _ in range(drafted))

    monkeypatch.setattr("sims.replica.drafts.accepted", alone)
    assert abs(mean_gain() - GEOMETRIC_SUM) > 0.5


def test_everybody_gets_what_was_asked() -> None:
    total = Counter[str]()
    for step in run([Request(f"r{i}", 5, 40 + i) for i in range(30)], draft_tok=4, acceptance=0.6):
        total.update(dict(zip(step.emitted, step.tokens or [1] * len(step.emitted), strict=True)))
    assert total == {f"r{i}": 40 + i for i in range(30)}


def test_drafts_need_room_and_never_dead_lock() -> None:
    """Room for 5 blocks of 2: 5 prompt + 4 output - 1 = 8 tokens and 2 drafted fit exactly; one more is refused."""
    rules = VllmRules(kv_blocks=5, block_tok=2, draft_tok=2)
    replica = Replica(rules, Linear())
    assert "6 KV blocks" in (replica.submit(0, Request("big", 5, 5)) or "")
    for name in "ab":
        assert replica.submit(0, Request(name, 5, 4)) is None
    assert sum(len(step.emitted) for step in drain(replica)) == 8
