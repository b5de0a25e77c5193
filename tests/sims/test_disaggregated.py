"""Prefill and decode on separate engines: one request by hand, the link, and nothing lost."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.replica import Request
from sims.result import SimResult
from sims.rules import DisaggregatedRules, VllmRules, as_facts, from_facts
from sims.run import simulate
from sims.saturation import saturation_rps
from tests.sims.timing import Linear
from workbench.errors import UsageError
from workbench.runlog.schema import Planned, Row

ENGINE = VllmRules(kv_blocks=1000)


def pools(**more: Any) -> DisaggregatedRules:
    return DisaggregatedRules(**({"prefill": ENGINE, "decode": ENGINE, "kv_bytes_per_tok": 100,
                                  "link_bytes_per_s": 1e9, "link_latency_ns": 7} | more))


def run(rules: DisaggregatedRules, *jobs: tuple[int, int, int], **more: Any) -> SimResult:
    schedule = [Planned(f"r{i}", *job) for i, job in enumerate(jobs)]
    return simulate(schedule, Linear(), rules, **more)


def rows(*args: Any, **more: Any) -> list[Row]:
    return run(*args, **more).log.rows()


def test_one_request_by_hand() -> None:
    """Prompt 50: 1,000 + 10 x 50 = 1,500 ns, and the first token. 50 x 100 bytes at 1 byte/ns: 5,000 ns, and 7 ns.
    The decode engine computes the first token's keys as one prompt token (1,010 ns), then decodes (1,100 ns each)."""
    row, = rows(pools(), (0, 50, 4))
    first_ns = 1_500
    second_ns = first_ns + 5_000 + 7 + 1_010
    assert row.chunk_ns == (first_ns, second_ns, second_ns + 1_100, second_ns + 2_200)
    assert (row.start_ns, row.end_ns, row.outcome, row.output_tok) == (0, second_ns + 2_200, "ok", 4)


def test_one_token_never_travels() -> None:
    row, = rows(pools(link_bytes_per_s=1e-3), (0, 50, 1))
    assert (row.outcome, row.end_ns) == ("ok", 1_500)


def test_a_link_carries_one_prompt_after_the_other_and_each_prefill_engine_has_its_own() -> None:
    """Two prompts of 50 leave one engine together after 2,000 ns: the second waits 5,000 ns for the first. From two
    engines, after 1,500 ns each, they travel side by side."""
    jobs = (0, 50, 2), (0, 50, 2)
    one, two = rows(pools(decode_n=2), *jobs), rows(pools(prefill_n=2, decode_n=2), *jobs)
    assert [row.end_ns for row in one] == [2_000 + 5_000 + 7 + 1_010, 2_000 + 10_000 + 7 + 1_010]
    assert [row.end_ns for row in two] == [1_500 + 5_000 + 7 + 1_010] * 2


def test_what_does_not_fit_a_pool_is_refused_with_the_pools_name() -> None:
    small = replace(ENGINE, kv_blocks=2)
    prefill, decode = rows(pools(prefill=small), (0, 40, 2)), rows(pools(decode=small), (0, 30, 9), (0, 30, 2))
    assert "prefill pool: needs 3 KV blocks" in (prefill[0].error or "")
    assert "decode pool: needs 3 KV blocks" in (decode[0].error or "")
    assert decode[1].outcome == "ok"


def test_a_horizon_in_the_middle_keeps_the_first_token() -> None:
    result = run(pools(), (0, 50, 4), horizon_ns=3_000)
    row, = result.log.rows()
    assert (row.outcome, row.output_tok, row.first_token_ns) == ("unfinished", 1, 1_500)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 80), st.integers(1, 12)), min_size=1, max_size=20),
       st.integers(1, 2), st.integers(1, 3), st.integers(8, 20), st.booleans())
@settings(max_examples=50)
def test_nothing_is_lost_and_every_token_is_computed_once(
    jobs: list[tuple[int, int, int]], prefill_n: int, decode_n: int, kv_blocks: int, prefix_caching: bool,
) -> None:
    """Prompts and KV that is short in the decode pool: everybody ends, in order, with all tokens."""
    engine = VllmRules(kv_blocks=kv_blocks, block_tok=8, max_num_batched_tokens=64, prefix_caching=prefix_caching)
    rules = pools(prefill=engine, decode=engine, prefill_n=prefill_n, decode_n=decode_n)
    result = run(rules, *jobs, keep_iterations=True, overheads=None)
    for row, (_, prompt_tok, output_tok) in zip(result.log.rows(), jobs, strict=True):
        if row.outcome == "rejected":
            assert -(-(prompt_tok + output_tok - 1) // 8) > kv_blocks
            continue
        assert row.chunk_ns is not None
        assert (row.outcome, len(row.chunk_ns), list(row.chunk_ns)) == ("ok", output_tok, sorted(row.chunk_ns))
    served = [job for job, row in zip(jobs, result.log.rows(), strict=True) if row.outcome == "ok"]
    assert result.trace is not None
    computed = sum(step.batch.prefill_tok for number, step in result.trace if number < prefill_n)
    assert computed == sum(prompt_tok for _, prompt_tok, _ in served)


def test_mutant_a_prompt_computed_again_in_the_decode_pool_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sims.disaggregated.decode_request", lambda planned: Request(
        planned.request_id, planned.asked_prompt_tok + 1, planned.asked_output_tok - 1))
    row, = rows(pools(), (0, 50, 4))
    assert row.chunk_ns is not None
    assert row.chunk_ns[1] != 1_500 + 5_000 + 7 + 1_010


def test_saturation_is_that_of_the_slowest_part() -> None:
    """A link of 0.1 GB/s: a prompt of 50 takes 50,000 ns, 20,000 a second; two links twice that."""
    schedule = [Planned(f"r{i}", 0, 50, 4) for i in range(4)]
    slow = pools(link_bytes_per_s=1e8, decode_n=4)
    assert saturation_rps(schedule, Linear(), slow) == pytest.approx(20_000)
    assert saturation_rps(schedule, Linear(), replace(slow, prefill_n=2)) == pytest.approx(40_000)
    fast = saturation_rps(schedule, Linear(), pools(link_bytes_per_s=1e15))
    prefill_alone = saturation_rps([replace(item, asked_output_tok=1) for item in schedule], Linear(), ENGINE)
    assert fast == prefill_alone


def test_rules_are_facts_and_back_and_pools_share_what_they_do_not_override() -> None:
    rules = pools(prefill=replace(ENGINE, max_num_seqs=7), prefill_n=3)
    assert from_facts(as_facts(rules)) == rules
    short = from_facts({"engine": "vllm-disaggregated", "kv_blocks": 50, "prefill": {"max_num_seqs": 4},
                        "kv_bytes_per_tok": 9, "link_bytes_per_s": 1e9})
    assert isinstance(short, DisaggregatedRules)
    assert (short.prefill, short.decode) == (VllmRules(kv_blocks=50, max_num_seqs=4), VllmRules(kv_blocks=50))
    with pytest.raises(UsageError, match="link_bytes_per_s is 0"):
        pools(link_bytes_per_s=0)
    with pytest.raises(UsageError, match=r"set rules\.kv_bytes_per_tok"):
        from_facts({"engine": "vllm-disaggregated", "kv_blocks": 50, "link_bytes_per_s": 1e9})


def test_the_example_of_the_page_is_understood() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text("utf-8")
    example = tomllib.loads(page.split("```toml\n")[1].split("```")[0])
    rules = from_facts({"kv_blocks": 1000, **example["fleet"]["rules"]})
    assert isinstance(rules, DisaggregatedRules)
    assert (rules.decode_n, rules.decode.max_num_seqs, rules.prefill.max_num_seqs) == (2, 256, 128)
