"""`vllm bench serve` as a profile source, against an engine whose times are a formula."""

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import UsageError
from workbench.profile.batch import Batch
from workbench.profile.vllm_bench import load

PROMPT_S, STEP_S = (0.004, 0.0001), (0.010, 0.0005, 2e-7)  # of a call, a token; of a call, a sequence, a context


def prompt_s(tok: int) -> float:
    return PROMPT_S[0] + PROMPT_S[1] * tok


def step_s(n: int, context_sum_tok: int) -> float:
    return STEP_S[0] + STEP_S[1] * n + STEP_S[2] * context_sum_tok


def result(prompts: list[int], output_tok: int, together: int, **more: Any) -> dict[str, Any]:
    """`together` requests start at once, their prompts one after the other; then all decode in step; then the next."""
    start, ttfts, starts, itls = 100.0, [], [], []
    for at in range(0, len(prompts), together):
        group = prompts[at : at + together]
        now, firsts = start, []
        for tok in group:
            now += prompt_s(tok)
            firsts.append(now)
        steps = [step_s(len(group), sum(tok + k + 1 for tok in group)) for k in range(output_tok - 1)]
        for first in firsts:  # nobody decodes until the last prompt is done
            ttfts.append(first - start)
            starts.append(start)
            itls.append([now - first + steps[0], *steps[1:]])
        start = now + sum(steps) + 0.05
    return {
        "model_id": "m", "backend": "vllm", "tokenizer_id": "m", "max_concurrency": together, "mean_ttft_ms": 1.0,
        "input_lens": prompts, "output_lens": [output_tok] * len(prompts), "ttfts": ttfts, "itls": itls,
        "start_times": starts, "errors": [""] * len(prompts), **more,
    }


def files(folder: Path, *found: dict[str, Any]) -> list[Path]:
    paths = []
    for i, item in enumerate(found):
        paths.append(folder / f"r{i}.json")
        paths[-1].write_text(json.dumps(item))
    return paths


def test_the_formula_comes_back(tmp_path: Path) -> None:
    runs = [result([64, 256, 1024] * 2, 40, 1), result([128] * 32, 60, 4), result([128] * 32, 60, 16)]
    profile = load(files(tmp_path, *runs), kv_tok=4096)
    assert profile.source == "imported"
    assert profile.kv_blocks == 256
    for tok in (64, 256, 1024):
        assert profile.iteration_ns(Batch(((tok, 0),))) == pytest.approx(prompt_s(tok) * 1e9, rel=0.01)
    for n in (4, 16):
        found = profile.iteration_ns(Batch((), n, n * 160, 160, 160))
        assert found == pytest.approx(step_s(n, n * 160) * 1e9, rel=0.01)


def test_gaps_with_a_prompt_in_them_are_no_iterations(tmp_path: Path) -> None:
    """Somebody's prompt stretches the first gap of the others tenfold; the decodes do not see it."""
    paths = files(tmp_path, result([64, 256], 40, 1), result([2000] * 8, 4, 8), result([128] * 32, 60, 8))
    profile = load(paths, kv_tok=4096)
    found = profile.iteration_ns(Batch((), 8, 8 * 160, 160, 160))
    assert found == pytest.approx(step_s(8, 8 * 160) * 1e9, rel=0.02)


def test_a_result_without_its_requests_is_of_use_when_they_were_alone(tmp_path: Path) -> None:
    means = {"model_id": "m", "mean_ttft_ms": 20.0, "mean_tpot_ms": 12.0, "completed": 10, "max_concurrency": 1,
             "total_input_tokens": 1280, "total_output_tokens": 640}
    profile = load(files(tmp_path, means), kv_tok=4096)
    assert profile.iteration_ns(Batch(((128, 0),))) == pytest.approx(20e6, rel=0.01)
    assert profile.iteration_ns(Batch((), 1, 160, 160, 160)) == pytest.approx(12e6, rel=0.01)
    with pytest.raises(UsageError, match="met each other"):
        load(files(tmp_path, means | {"max_concurrency": 8}), kv_tok=4096)


@pytest.mark.parametrize(("change", "match"), [
    ({"ttfts": [0.1]}, "differ in length"), ({"start_times": [1.0, None]}, "request 1: start_times: None"),
    ({"itls": [[0.1], [float("inf")]]}, "no time in seconds"), ({"errors": ["x", "y"]}, "no request is of use"),
    ({"mean_ttft_ms": None, "itls": 3, "max_concurrency": 2}, "met each other"),
    ({"input_lens": [True, 0]}, "input_lens|no number"),
])
def test_what_is_wrong_is_named(change: dict[str, Any], match: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=match):
        load(files(tmp_path, result([8, 9], 2, 1) | change), kv_tok=64)


def test_two_servers_are_not_mixed_and_strangers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model_id is m \| n"):
        load(files(tmp_path, result([8, 9], 2, 1), result([8, 9], 2, 1, model_id="n")), kv_tok=64)
    with pytest.raises(UsageError, match="mean_ttft_ms is missing"):
        load(files(tmp_path, {"a": 1}), kv_tok=64)
    with pytest.raises(UsageError, match="alone in the server"):
        load(files(tmp_path, result([64] * 8, 40, 8)), kv_tok=64)
