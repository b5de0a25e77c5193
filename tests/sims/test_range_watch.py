"""Iterations outside a profile's range: counted as run, not as asked, and the same whatever implementation ran."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.rules import VllmRules
from sims.run import simulate
from tests.sims.test_macro import CASES, Case, planned
from workbench.profile.batch import Batch
from workbench.profile.model import Linear
from workbench.profile.profile import Profile
from workbench.profile.ranges import ProfileRangeError, Range, Ranges, RangeWatch

MODEL = Linear(coefficients_fs={
    "step": 900_123_457, "prefill_tok": 9_000_001, "decode_n": 71_000_333, "decode_ctx_sum_tok": 1_234_567})


def ranged(regions: Sequence[str] = ("prefill", "decode", "mixed"), **bounds: tuple[int, int]) -> Profile:
    """Nearly everything is inside, but for what `bounds` says."""
    names = ("prefill_tok", "prefill_n", "prefill_past_max_tok", "decode_n", "decode_ctx_sum_tok", "ubatch_n")
    wide = dict.fromkeys(names, (1, 10**6)) | bounds
    return Profile(source="measured", model=MODEL, ranges=Ranges(
        regions=dict.fromkeys(regions, 1),  # type: ignore[arg-type]
        bounds={name: Range(low=low, high=high) for name, (low, high) in wide.items()}))


PROFILES = (
    ranged(), ranged(decode_ctx_sum_tok=(60, 140)), ranged(decode_ctx_sum_tok=(1, 90), decode_n=(2, 3)),
    ranged(("prefill", "decode")), ranged(("prefill", "mixed")), ranged(prefill_tok=(20, 60), prefill_n=(1, 1)),
    ranged(prefill_past_max_tok=(10, 20)), ranged(ubatch_n=(2, 2)), Profile(source="roofline", model=MODEL),
)


def reported(case: Case, profile: Profile, mode: str) -> tuple[dict[str, Any], int]:
    """(what the watch says, iterations that ended)."""
    watch = RangeWatch(profile)
    done = replace(case, timing=watch).run(mode)
    return watch.report(), sum(done.iterations)


@given(CASES, st.sampled_from(PROFILES))
@settings(max_examples=100)
def test_every_implementation_counts_the_same_iterations(case: Case, profile: Profile) -> None:
    found, iterations = reported(case, profile, "oracle")
    assert found["iterations"] == iterations
    assert reported(case, profile, "macro") == (found, iterations)
    assert reported(case, profile, "iteration") == (found, iterations)


JOBS = [(i * 2_900, 30 + 13 * i % 90, 20 + 17 * i % 60, i % 3) for i in range(24)]
CASE = Case(JOBS, VllmRules(kv_blocks=60, block_tok=4, max_num_seqs=5, max_num_batched_tokens=40,
                            reserve_full_prompt=False), MODEL, replicas=2)  # type: ignore[arg-type]


def naive(profile: Profile) -> Mapping[str, Any]:
    """From every iteration that the oracle kept, by the definition."""
    done = simulate(planned(JOBS), profile, CASE.rules, replicas=2, keep_iterations=True)
    assert done.trace is not None
    found = [profile.ranges.outside(item.batch) for _, item in done.trace]
    names = [f"region {item[1]}" if isinstance(item[1], str) else item[0] for item in found if item is not None]
    return {name: names.count(name) for name in sorted(set(names))}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("mode", ["macro", "iteration", "oracle"])
def test_the_counts_are_those_of_the_iterations_one_by_one(profile: Profile, mode: str) -> None:
    assert reported(CASE, profile, mode)[0]["fields"] == naive(profile)


def test_mutants_of_the_count_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = ranged(decode_ctx_sum_tok=(60, 140))
    truth = naive(profile)

    def first_only(self: RangeWatch, n: int, ctx_sum_tok: int, k: int) -> None:
        self.asked += k
        self._count(self.profile.ranges.outside(Batch((), n, ctx_sum_tok)), k)

    with monkeypatch.context() as patch:
        patch.setattr(RangeWatch, "decoded", first_only)
        assert reported(CASE, profile, "macro")[0]["fields"] != truth
    with monkeypatch.context() as patch:
        patch.setattr(RangeWatch, "computed", lambda *_: None)
        assert reported(CASE, profile, "macro")[0]["fields"] != truth


@pytest.mark.parametrize("mode", ["macro", "iteration", "oracle"])
def test_strict_refuses_in_every_mode_what_runs_outside_in_the_middle_of_a_jump(mode: str) -> None:
    inside = Case([(0, 10, 50, 0)], VllmRules(kv_blocks=100), RangeWatch(ranged(decode_ctx_sum_tok=(1, 59)),
                                                                        strict=True))
    assert inside.run(mode).iterations == (50,)
    timing = RangeWatch(ranged(decode_ctx_sum_tok=(1, 58)), strict=True)
    with pytest.raises(ProfileRangeError, match=r"decode_ctx_sum_tok 59 is outside the measured range \(1 to 58\)"):
        replace(inside, timing=timing).run(mode)


@given(n=st.integers(1, 9), ctx=st.integers(1, 200), k=st.integers(1, 90), low=st.integers(1, 150),
       width=st.integers(0, 200))
def test_a_jump_counts_as_its_iterations_do(n: int, ctx: int, k: int, low: int, width: int) -> None:
    profile = ranged(decode_ctx_sum_tok=(low, low + width), decode_n=(1, 7))
    one, many = RangeWatch(profile), RangeWatch(profile)
    for i in range(k):
        one.iteration_ns(Batch((), n, ctx + i * n))
    many.decoded(n, ctx, k)
    assert many.report() == one.report()


def test_ranks_in_lock_step_are_one_iteration() -> None:
    watch = RangeWatch(ranged(decode_n=(1, 4)))
    assert watch.lockstep_ns((Batch((), 3, 30, 10, 10), Batch((), 5, 50, 10, 10), Batch())) == \
        watch.profile.iteration_ns(Batch((), 5, 50, 10, 10))
    assert watch.report() == {"iterations": 1, "outside": 1, "outside_frac": 1.0, "fields": {"decode_n": 1},
                              "furthest": {"decode_n": 5}}
