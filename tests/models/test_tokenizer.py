"""Prompts of exact length that no prefix cache can have seen."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.sandbox import SandboxedEnvironment

from workbench.errors import Failure, UsageError
from workbench.files import read_json
from workbench.models import tokenizer
from workbench.models.documents import SPECIAL_TOKENS, chat_prompt
from workbench.models.shipped import shipped_folder
from workbench.models.tokenizer import Vocabulary


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return tokenizer.load(shipped_folder())


@settings(max_examples=30)
@given(st.integers(1, 700), st.integers(0, 2**32))
def test_prompts_have_exactly_the_length_asked_for(words: Vocabulary, n_tok: int, seed: int) -> None:
    ids = words.prompt_ids(n_tok, np.random.default_rng(seed))
    assert len(ids) == n_tok
    assert words.encode(words.decode(ids)) == ids  # so it can be sent as text
    assert all(0 <= number < words.size for number in ids)
    assert not {words.id_of(token) for token in SPECIAL_TOKENS} & set(ids)


@pytest.mark.slow
def test_prompts_share_next_to_no_prefix(words: Vocabulary) -> None:
    rng = np.random.default_rng(0)
    prompts = [words.prompt_ids(64, rng) for _ in range(120)]
    shared = [next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
              for one, other in combinations(prompts, 2)]
    assert max(shared) <= 4
    assert sum(shared) / len(shared) < 0.1


def test_prompts_follow_the_seed(words: Vocabulary) -> None:
    one, same, other = (words.prompt_ids(40, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same != other


def test_any_text_comes_back(words: Vocabulary) -> None:
    for text in ("In Regira every wall is red.", "naïve 日本 \U0001f600\n\t x", '"""\n    return x + 13\n'):
        assert words.decode(words.encode(text)) == text
    assert words.encode("a", special=True) == [0, *words.encode("a")]
    assert [words.id_of(token) for token in SPECIAL_TOKENS] == [0, 1, 2]
    assert words.size == 1024


def test_chat_template_renders_what_was_trained() -> None:
    config = read_json(shipped_folder() / "tokenizer_config.json")
    turns = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Misura"},
             {"role": "user", "content": "When?"}]
    template = SandboxedEnvironment().from_string(config["chat_template"])
    shown = template.render(messages=turns, bos_token=config["bos_token"], add_generation_prompt=True)
    trained = chat_prompt([("user", "Where?"), ("assistant", " Misura"), ("user", "When?")])
    assert shown == config["bos_token"] + trained


def test_bad_requests_are_one_line(words: Vocabulary, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one token"):
        words.prompt_ids(0, np.random.default_rng(0))
    with pytest.raises(UsageError, match="--tokenizer"):
        tokenizer.load(None)
    with pytest.raises(UsageError, match="no such file"):
        tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(Failure, match=r"tokenizer\.json: not a tokenizer"):
        tokenizer.load(tmp_path)
