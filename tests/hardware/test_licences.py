"""Licences of known models: every architecture has one, the longest name counts, and a wrong table is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import UsageError
from workbench.hardware import licences, models
from workbench.models.licence import licence_of
from workbench.paths import datasets

HEAD = "owner,models,family,licence,spdx,commercial,conditions,since,source\n"
ROW = "meta-llama,Llama-3.1,Llama 3.1,Llama 3.1 Community License,custom,conditions,use policy,2024-07,its text\n"


def test_every_model_whose_memory_is_known_has_a_licence() -> None:
    assert [name for name in models.names() if licences.find(name) is None] == []


@pytest.mark.parametrize(("name", "family"), [
    ("meta-llama/Llama-3.1-8B", "Llama 3.1"), ("Meta-Llama-3.1-70B", "Llama 3.1"), ("Llama-3.3-70B", "Llama 3.3"),
    ("Llama-3-8B", "Llama 3"), ("Qwen/Qwen3-32B-FP8", "Qwen3"), ("qwen3-coder-480b-a35b", "Qwen3"),
    ("Qwen2.5-3B", "Qwen2.5 3B"), ("Qwen2.5-32B", "Qwen2.5"), ("Qwen2.5-72B-Instruct", "Qwen2.5 72B"),
    ("DeepSeek-V3-0324", "DeepSeek V3 of March 2025"), ("DeepSeek-V3", "DeepSeek V3"),
    ("DeepSeek-R1-Distill-Llama-8B", "DeepSeek R1 in Llama"), ("google/gemma-3-27b-it", "Gemma 3"),
])
def test_the_longest_beginning_counts(name: str, family: str) -> None:
    found = licences.find(name)
    assert found is not None
    assert found.family == family


@pytest.mark.parametrize("name", ["Qwen3.5-4B", "Qwen/Llama-3.1-8B", "somebody/Llama-3.1-8B-merged", "tiny", "",
                                  "my-Qwen3-8B", "DeepSeek-V3.1", "Mistral-Large-3"])
def test_what_it_does_not_know_it_does_not_guess(name: str) -> None:
    assert licences.find(name) is None


@given(st.sampled_from([(one, begin) for one in licences.every() for begin in one.models]), st.booleans(),
       st.sampled_from(["", "-1B", "-Instruct", "_x"]))
def test_case_and_owner_do_not_matter_but_another_owner_does(
    known: tuple[licences.Licence, str], upper: bool, tail: str
) -> None:
    one, begin = known
    name = f"{one.owner}/{begin}{tail}"
    found = licences.find(name.upper() if upper else name)
    if tail == "_x":
        assert found is None or begin not in found.models
    elif not tail:
        assert found is one
    else:
        assert found is not None
    assert licences.find(f"else/{begin}{tail}") is None


def test_labels_say_what_is_not_free() -> None:
    said = {one.family: one.label for one in licences.every()}
    assert said["Qwen3"] == "Apache-2.0"
    assert said["Llama 3.1"] == "Llama 3.1 Community License (commercial use with conditions)"
    assert said["Command R"] == "CC-BY-NC-4.0 (no commercial use)"


def test_the_shipped_model_states_its_own() -> None:
    assert licences.find("tiny") is None
    assert licence_of(datasets() / "models" / "tiny").lower() == "apache-2.0"


@pytest.mark.parametrize(("text", "told"), [
    (ROW.replace("2024-07", "2024"), "licences.csv:2: since: '2024' must be a month"),
    (ROW.replace("its text", ""), "licences.csv:2: source: '' is empty"),
    (ROW.replace("conditions,use", "maybe,use"), "commercial: 'maybe' must be one of yes, conditions, no"),
    (ROW.replace("use policy", ""), "conditions: '' must be empty where"),
    (ROW.replace(",conditions,", ",yes,"), "conditions: 'use policy' must be empty where"),
    (ROW + ROW, "licences.csv:3: family: 'Llama 3.1' is there twice"),
    (ROW + ROW.replace(",Llama 3.1,", ",Other,"), "licences.csv:3: models: 'Llama-3.1' holds a name"),
])
def test_a_wrong_row_is_named(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "licences.csv"
    path.write_text(HEAD + text)
    with pytest.raises(UsageError) as refused:
        licences.read(path)
    assert told in str(refused.value)
