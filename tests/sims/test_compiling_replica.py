"""A replica that compiles its shapes as they come: the same in every implementation, once a shape and replica."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.plane.failures import Failure
from sims.plane.run import simulate_plane
from sims.rules import VllmRules
from sims.run import simulate
from workbench import paths
from workbench.profile.batch import Batch
from workbench.profile.buckets import Bucketed, padded
from workbench.profile.profile import Profile, read
from workbench.profile.ranges import RangeWatch
from workbench.runlog.schema import Planned

TABLES: dict[str, Any] = {
    "tokens": (1, 1000), "rest_ns": (1_000, 400_000), "step_n": (1, 100), "step_ns": (900, 50_000),
    "decode_n": (1, 100), "ctx_tok": (1, 1001), "decode_attention_ns": ((1, 1001), (100, 100_100)),
    "new_tok": (1, 512), "past_tok": (0, 1000), "prompt_attention_ns": ((10, 1010), (5_000, 10_000)),
}
COMPILE_NS = 7_000_003
TOKENS = (4, 16, 64)
MODELS = [
    Profile(source="roofline", model=Bucketed(**TABLES, **more)) for more in (  # type: ignore[arg-type]
        {"token_buckets": TOKENS}, {"token_buckets": TOKENS, "compile_ns": COMPILE_NS},
        {"batch_buckets": (2, 4), "length_buckets": (32, 128), "compile_ns": COMPILE_NS})]
COLUMNS = ["request_id", "outcome", "admit_ns", "start_ns", "first_token_ns", "end_ns", "output_tok"]
JOBS = st.lists(st.tuples(st.integers(0, 40_000) | st.sampled_from([0, 8_000_000]), st.integers(1, 150),
                          st.integers(1, 60)), min_size=1, max_size=20)


def planned(jobs: list[tuple[int, int, int]]) -> list[Planned]:
    return [Planned(f"r{i:02d}", *job) for i, job in enumerate(jobs)]


@given(JOBS, st.sampled_from(MODELS), st.integers(100, 600), st.integers(1, 5), st.integers(10, 200), st.booleans(),
       st.integers(1, 2), st.booleans())
def test_jumps_change_no_nanosecond(
    jobs: list[tuple[int, int, int]], profile: Profile, kv_tok: int, seqs: int, budget: int, caching: bool,
    replicas: int, watched: bool
) -> None:
    rules = VllmRules(kv_blocks=kv_tok // 4, block_tok=4, max_num_seqs=seqs, max_num_batched_tokens=budget,
                      prefix_caching=caching)
    seen = []
    for mode in ("oracle", "iteration", "macro"):
        timing: Any = RangeWatch(profile) if watched else profile
        found = simulate(planned(jobs), timing, rules, replicas=replicas, mode=mode)  # type: ignore[arg-type]
        counts = timing.report() if watched else None
        seen.append((found.log.table.select(COLUMNS).to_pydict(), found.iterations, found.busy_ns, counts))
    assert seen[0] == seen[1] == seen[2]


def test_the_first_request_of_a_shape_pays_and_nobody_after_it() -> None:
    """Two alike, one after another: the second has compiled shapes; by hand, prompt 50 -> 64 tokens, decodes -> 4."""
    profile = MODELS[1]
    rules = VllmRules(kv_blocks=100, max_num_seqs=4, max_num_batched_tokens=64)
    log = simulate(planned([(0, 50, 3), (10**9, 50, 3)]), profile, rules).log
    times = log.table.select(["intended_ns", "first_token_ns", "last_token_ns"]).to_pylist()
    (cold_first, cold_rest), (warm_first, warm_rest) = [
        (row["first_token_ns"] - row["intended_ns"], row["last_token_ns"] - row["first_token_ns"]) for row in times]
    assert warm_first == profile.iteration_ns(Batch(((50, 0),)))
    assert cold_first - warm_first == cold_rest - warm_rest == COMPILE_NS


@pytest.mark.parametrize("dies", [False, True])
def test_under_the_plane_a_replica_that_comes_back_compiles_again(dies: bool) -> None:
    rules = VllmRules(kv_blocks=100, max_num_seqs=4, max_num_batched_tokens=64)
    failures = [Failure(2 * 10**9, 0, 10**6)] if dies else []
    found = simulate_plane(planned([(i * 10**9, 50, 3) for i in range(5)]), MODELS[1], rules, {},
                           failures=failures, checked=True)
    waits = [row["first_token_ns"] - row["intended_ns"] for row in found.log.table.to_pylist()
             if row["first_token_ns"] is not None]
    cold = [wait for wait in waits if wait > COMPILE_NS]
    assert len(cold) == (2 if dies else 1)


def test_what_ships_runs_and_padding_shows() -> None:
    """On the lazy TPU 10 requests wait for 20 s each shape; warmed up, none does."""
    plans = [Planned(f"r{i}", i * 10**8, 200 + 37 * i, 30) for i in range(10)]
    longest = {}
    for name in ("llama-3.1-8b-tpu-v5e-tp4-bf16-lazy", "llama-3.1-8b-tpu-v6e-tp1-bf16"):
        profile = read(paths.datasets() / "profiles" / "edge" / f"{name}.json")
        rules = VllmRules(kv_blocks=profile.kv_blocks or 1, max_num_seqs=64, max_num_batched_tokens=2048)
        log = simulate(plans, profile, rules).log
        rows = log.table.select(["intended_ns", "first_token_ns"]).to_pylist()
        longest[name] = max(row["first_token_ns"] - row["intended_ns"] for row in rows)
        assert isinstance(profile.model, Bucketed)
        assert padded(profile.model.token_buckets, 300) in (384, 512)
    lazy, warm = longest.values()
    assert warm < 10**9 < 20 * 10**9 < lazy
