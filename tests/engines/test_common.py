"""The common options: each engine takes each one or says why not, and nothing is dropped in silence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engines
from engines.common import COMMON, NEUTRAL, Refuses, Speculative, Takes, translate
from engines.launch import facts_of
from workbench.config import validate
from workbench.errors import ConfigError

PLAUSIBLE: dict[str, Any] = {
    "tp": 2, "pp": 2, "dp": 2, "nodes": 2, "quant": "bnb-8bit", "kv_type": "fp8", "prefix_caching": True,
    "chunked_prefill": False, "max_seqs": 8, "max_batch_tok": 512, "ctx_tok": 1024, "gpu_layers": 3,
    "speculative": {"method": "ngram", "tokens": 3}, "attention": "TRTLLM", "threads": 2,
}


@pytest.mark.parametrize("name", engines.NAMES)
def test_every_engine_answers_every_common_option(name: str) -> None:
    record = engines.find(name)
    assert set(record.common) == set(COMMON)
    for option, answer in record.common.items():
        if isinstance(answer, Takes):
            assert answer.own in record.options.model_fields, option
        else:
            assert answer.why
            assert "\n" not in answer.why


@pytest.mark.parametrize("name", engines.NAMES)
@pytest.mark.parametrize("option", COMMON)
def test_what_is_refused_is_one_line_with_the_reason(name: str, option: str) -> None:
    record = engines.find(name)
    answer = record.common[option]
    if isinstance(answer, Takes):
        own, neutral = translate(name, record.common, {option: PLAUSIBLE[option]})
        assert own == {answer.own: PLAUSIBLE[option]}
        assert neutral == {}
        return
    with pytest.raises(ConfigError) as caught:
        translate(name, record.common, {option: PLAUSIBLE[option] if PLAUSIBLE[option] not in answer.also else "x"})
    assert f"options of {name}: {option}: " in str(caught.value)
    assert answer.why in str(caught.value)


@given(st.dictionaries(st.sampled_from(sorted(COMMON)), st.sampled_from([1, 0, None, "auto", True, 2, "x"])))
def test_every_asked_option_is_taken_kept_as_neutral_or_refused(asked: dict[str, Any]) -> None:
    record = engines.find("vllm-cpu")
    refused = {
        name for name, value in asked.items()
        if isinstance(answer := record.common[name], Refuses) and value is not None
        and not any(value is item or (type(value) is type(item) and value == item)
                    for item in (*NEUTRAL.get(name, ()), *answer.also))
    }
    if refused:
        with pytest.raises(ConfigError):
            translate("vllm-cpu", record.common, asked)
        return
    own, neutral = translate("vllm-cpu", record.common, asked)
    assert len(own) + len(neutral) == len(asked)  # a mutant that drops one fails here


def test_one_gpu_is_no_request() -> None:
    record = engines.find("llama.cpp")
    assert translate("llama.cpp", record.common, {"tp": 1, "max_seqs": 2}) == ({"slots": 2}, {"tp": 1})
    with pytest.raises(ConfigError, match=r"tp: True: llama\.cpp refuses it"):
        translate("llama.cpp", record.common, {"tp": True})
    with pytest.raises(ConfigError, match=r"slots: is the same as|max_seqs: is the same as 'slots'"):
        translate("llama.cpp", record.common, {"slots": 4, "max_seqs": 2})


def test_what_an_engine_takes_its_options_accept() -> None:
    values = {
        "vllm": PLAUSIBLE | {"quant": "fp8"}, "sglang": PLAUSIBLE | {"kv_type": "fp8_e5m2", "quant": "fp8"},
        "tensorrt-llm": PLAUSIBLE, "tpu": PLAUSIBLE,
    }
    for name, asked in values.items():
        record = engines.find(name)
        taken = {option: asked[option] for option, answer in record.common.items() if isinstance(answer, Takes)}
        own, _ = translate(name, record.common, taken)
        validate(record.options, own, name)


def test_a_draft_model_and_its_method_belong_together() -> None:
    for wrong in ({"method": "draft"}, {"method": "ngram", "model": "m"}, {"method": "luck"}):
        with pytest.raises(ConfigError):
            validate(Speculative, wrong, "speculative")
    assert validate(Speculative, {"method": "draft", "model": "m"}, "s").model == Path("m")


def test_no_path_of_this_machine_is_kept(tmp_path: Path) -> None:
    record = engines.find("llama.cpp")
    asked = {"speculative": {"method": "draft", "model": tmp_path / "draft.gguf", "tokens": 2}}
    running = engines.Running("llama.cpp", "http://127.0.0.1:9", "m", None, record)
    assert facts_of(asked, replace(record, see=lambda _look: {}), running)["speculative"].asked == {
        "method": "draft", "model": "draft.gguf", "tokens": 2}


def test_neutral_and_seen_are_kept_apart(tmp_path: Path) -> None:
    with engines.launch("fake", None, {"tp": 1, "max_seqs": 2}, log_dir=tmp_path) as running:
        assert running.facts["tp"] == engines.Fact(1, None, None)
        assert running.facts["slots"] == engines.Fact(2, 2, "/props")
