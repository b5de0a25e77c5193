"""Shared prefixes: who shares what, in schedules, traces and real prompts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import validate
from workbench.errors import Failure, UsageError
from workbench.runlog.schema import Planned
from workbench.workload.draw import draw
from workbench.workload.prefix import SharedPrefix, ideal_hit_frac
from workbench.workload.prompts import Prompts
from workbench.workload.spec import WorkloadSpec
from workbench.workload.traces import read_jsonl


def workload(**prefix: object) -> WorkloadSpec:
    return validate(WorkloadSpec, {
        "requests": 400, "arrivals": {"kind": "poisson", "rate_per_s": 1.0}, "prefix": prefix or None,
        "prompt_tok": {"kind": "lognormal", "mean_tok": 300, "sigma": 1.0, "max_tok": 2000},
        "output_tok": {"kind": "fixed", "tok": 8},
    }, "test")


def test_a_share_of_the_requests_begins_with_a_group_and_nothing_else_moves() -> None:
    plain, shared = draw(workload(), 7), draw(workload(groups=4, tok=128, share_frac=0.75, skew=1.0), 7)
    for a, b in zip(plain, shared, strict=True):
        assert (a.intended_ns, a.asked_prompt_tok, a.asked_output_tok) == (
            b.intended_ns, b.asked_prompt_tok, b.asked_output_tok)
        assert b.shared_tok < b.asked_prompt_tok
    long = [item for item in shared if item.asked_prompt_tok > 128]
    sharing = [item for item in long if item.prefix_ids]
    assert 0.65 < len(sharing) / len(long) < 0.85
    assert all(item.shared_tok == 128 for item in sharing)
    groups = [item.prefix_ids[0] for item in sharing]
    counts = sorted((groups.count(g) for g in set(groups)), reverse=True)
    assert len(counts) == 4
    assert counts[0] > 1.5 * counts[1]  # Zipf: twice as many expected


@given(st.integers(1, 9), st.integers(16, 100), st.floats(0, 1), st.floats(0, 3), st.integers(1, 16))
def test_equal_ids_mean_equal_positions(groups: int, tok: int, share: float, skew: float, block: int) -> None:
    spec = SharedPrefix(groups=groups, tok=tok, share_frac=share, skew=skew, block_tok=block)
    prompt_tok = np.arange(1, 200)
    found = spec.ids(np.linspace(0, 1, 199, endpoint=False), prompt_tok)
    place: dict[int, int] = {}
    for own, n in zip(found, prompt_tok, strict=True):
        assert len(own) * block <= min(tok, n - 1)
        for at, number in enumerate(own):
            assert place.setdefault(number, at) == at
    assert sum(bool(own) for own in found) <= share * 199 + 1


def test_the_ideal_hit_rate_by_hand() -> None:
    assert ideal_hit_frac([(1, 2), (1, 3), (1, 2, 4), ()], 10, np.asarray([25, 25, 35, 15])) == (10 + 20) / 100


def test_mooncakes_ids_come_with_whole_blocks_only(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text('{"timestamp": 5, "input_length": 1100, "output_length": 6, "hash_ids": [1, 2, 3]}\n'
                    '{"timestamp": 0, "input_length": 512, "output_length": 6, "hash_ids": [1]}\n')
    trace = read_jsonl(path)
    assert trace.prefix_ids == ((1,), (1, 2))  # 1,100 tokens fill two blocks of 512
    assert trace.cut(600, None).prefix_ids == ((1,), (1,))
    assert trace.part(0.001).prefix_ids == ((1, 2),)
    path.write_text('{"timestamp": 5, "input_length": 1100, "output_length": 6, "hash_ids": [1, "x"]}\n')
    with pytest.raises(UsageError, match=r"trace.jsonl: line 1: hash_ids: .*no list of whole numbers"):
        read_jsonl(path)


def test_mooncakes_ideal_hit_rate(public_data: Path) -> None:
    trace = read_jsonl(public_data / "traces" / "mooncake_synthetic_trace.jsonl")
    found = ideal_hit_frac(list(trace.prefix_ids), trace.prefix_tok, trace.prompt_tok)
    assert found == pytest.approx(0.640, abs=0.02)  # the publisher counts partial blocks as well


class Codes:
    """One token a character."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def test_real_prompts_share_exactly_what_the_schedule_says() -> None:
    items = [Planned("a", 0, 40, 1, prefix_ids=(1, 2), prefix_tok=16), Planned("b", 0, 50, 1, prefix_ids=(1, 3),
             prefix_tok=16), Planned("c", 0, 32, 1, prefix_ids=(1, 2), prefix_tok=16), Planned("d", 0, 40, 1)]
    a, b, c, d = Prompts(Codes(), salt=3).for_schedule(items, "ids")
    assert [len(item) for item in (a, b, c, d)] == [40, 50, 32, 40]
    assert a[:32] == c
    assert a[:16] == b[:16]
    assert a[16:32] != b[16:32]
    assert a[:8] != d[:8]
    with pytest.raises(Failure, match="need token ids"):
        Prompts(Codes(), salt=3).for_schedule(items, "text")


def test_a_planned_request_survives_its_compact_form() -> None:
    for item in (Planned("a", 0, 40, 1, prefix_ids=(1, 2), prefix_tok=16), Planned("b", None, 3, 4), Planned(
            "c", 5, 3, 4, warmup=True, priority=2)):
        assert Planned.from_list(item.as_list()) == item


def test_a_prefix_shorter_than_a_block_is_refused() -> None:
    with pytest.raises(UsageError, match="less than one block"):
        workload(groups=2, tok=8)
