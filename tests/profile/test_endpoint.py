"""Profiles of an endpoint: what a client's log tells of prompts and waves, exactly where the truth is simulated, and
within the machine's noise where the fake engine answers over HTTP."""

from dataclasses import replace
from pathlib import Path

import pytest

import engines
from sims.rules import VllmRules
from sims.run import simulate
from workbench.cli.main import main
from workbench.cli.profile_measure import numbers
from workbench.errors import Failure, UsageError
from workbench.flows.bench_spec import TargetSpec
from workbench.flows.profile_measure import Design, fitted
from workbench.profile.batch import Batch
from workbench.profile.endpoint import middle, prompt_points, wave
from workbench.profile.model import Linear
from workbench.profile.points import DecodePoint
from workbench.profile.profile import Profile, read, write
from workbench.runlog.provenance import collect
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog

TRUTH = Profile(
    source="measured", rules={"engine": "vllm", "max_num_seqs": 4, "kv_blocks": 5000},
    model=Linear(coefficients_fs={"step": 10**13, "prefill_tok": 10**11, "decode_n": 5 * 10**12,
                                  "decode_ctx_sum_tok": 10**10}),
)
TARGET = TargetSpec(url="http://127.0.0.1:1", model="m")


def seen(schedule: tuple[Planned, ...], slots: int = 4) -> RunLog:
    rules = VllmRules(max_num_seqs=slots, kv_blocks=5000, max_num_batched_tokens=4096)
    return simulate(schedule, TRUTH, rules, concurrency=len(schedule)).log


def alone(design: Design) -> RunLog:
    rules = VllmRules(max_num_seqs=4, kv_blocks=5000, max_num_batched_tokens=4096)
    return simulate(design.alone(), TRUTH, rules, concurrency=1).log


def test_prompts_alone_are_the_truth() -> None:
    design = Design(prompts_tok=(16, 128, 512), repeats=2)
    points = prompt_points(alone(design))
    assert [(p.new_tok, p.n) for p in points] == [(16, 2), (128, 2), (512, 2)]
    assert [p.ns for p in points] == [TRUTH.iteration_ns(p.batch) for p in points]


@pytest.mark.parametrize("together", [1, 3, 4])
def test_a_wave_is_a_step_of_all_at_the_middle_of_its_contexts(together: int) -> None:
    found = wave(seen(tuple(Planned(f"w{i}", None, 100, 21) for i in range(together))))
    assert found.together == together
    assert found.point is not None
    assert found.point.ns == pytest.approx(TRUTH.iteration_ns(found.point.batch), rel=2e-3)


def test_a_wave_that_never_ran_together_is_no_point() -> None:
    found = wave(seen(tuple(Planned(f"w{i}", None, 100, 21) for i in range(4)), slots=2))
    assert found.point is None
    assert found.together < 4


def test_what_was_seen_becomes_a_profile_that_says_what_it_is() -> None:
    design = Design(prompts_tok=(16, 512), concurrency=(1, 2, 4, 8), contexts_tok=(32, 512), repeats=1)
    waves = [wave(seen(part)) for _, part in design.waves()]
    provenance = replace(collect("real"), engine="openai")
    profile = fitted(TARGET, alone(design), waves, provenance, {"method": "exact"})
    for n, ctx in ((1, 64), (2, 300), (4, 500)):
        batch = Batch((), n, n * ctx, ctx, ctx)
        assert profile.iteration_ns(batch) == pytest.approx(TRUTH.iteration_ns(batch), rel=0.01)
    assert profile.iteration_ns(Batch(((256, 0),))) == pytest.approx(TRUTH.iteration_ns(Batch(((256, 0),))), rel=0.01)
    assert profile.thin[0].startswith("end-to-end: engine and network together")
    assert any("8 sent together never decoded together" in text for text in profile.thin)
    with pytest.raises(Failure, match="must stream"):
        fitted(TARGET, alone(design), [], provenance, {})


def test_the_middle_of_repeats() -> None:
    assert middle([DecodePoint(2, 10, 20, ns) for ns in (5.0, 90.0, 7.0)]) == DecodePoint(2, 10, 20, 7.0, 3)


@pytest.mark.parametrize("changes", [
    {"prompts_tok": (64,)}, {"concurrency": (0, 1)}, {"contexts_tok": ()}, {"output_tok": 1}, {"repeats": 0},
])
def test_a_design_that_cannot_work_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Design(**changes)  # type: ignore[arg-type]


def test_numbers_of_an_option() -> None:
    assert numbers("concurrency", "1,2, 4") == (1, 2, 4)
    with pytest.raises(UsageError, match="--prompts-tok: 'many'"):
        numbers("prompts_tok", "many")


@pytest.mark.slow
def test_the_fake_engine_over_http_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = write(TRUTH, tmp_path / "truth.json")
    with engines.launch("fake", None, {"profile": str(truth)}, log_dir=tmp_path / "logs") as running:
        monkeypatch.setenv("ENDPOINT_KEY", running.api_key or "")
        main(["profile", "measure", "--url", running.url, "--model", "m", "--api-key-env", "ENDPOINT_KEY",
              "--concurrency", "1,4", "--prompts-tok", "16,512", "--repeats", "2", "--output-tok", "24",
              "--out", str(tmp_path / "found")])
    profile = read(tmp_path / "found" / "profile.json")
    for n in (1, 4):
        batch = Batch((), n, n * 300, 300, 300)
        assert profile.iteration_ns(batch) == pytest.approx(TRUTH.iteration_ns(batch), rel=0.15)
    prompt = Batch(((512, 0),))
    assert profile.iteration_ns(prompt) == pytest.approx(TRUTH.iteration_ns(prompt), rel=0.25)
