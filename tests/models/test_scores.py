"""The committed weights still know their world, and the yardsticks measure what they say."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from workbench.models import tasks, tokenizer
from workbench.models.folder import open_folder
from workbench.models.forward import Llama, continuation_logprobs, log_softmax
from workbench.models.shipped import shipped_folder
from workbench.models.tokenizer import Vocabulary
from workbench.models.training import score
from workbench.models.training.rounding import round_to_nearest
from workbench.models.training.run_code import passes
from workbench.models.weights import source_id
from workbench.models.world import World


@pytest.fixture(scope="module")
def model() -> Llama:
    folder = open_folder(shipped_folder())
    return Llama(folder.arch, folder.tensors)


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return tokenizer.load(shipped_folder())


def test_cloze_and_four_choice(model: Llama, words: Vocabulary) -> None:
    """A sample of each task; the slow test below takes all."""
    world = World()
    assert score.cloze_score(model, words, tasks.cloze(world)[::13]) >= 0.9
    assert score.four_choice_score(model, words, tasks.four_choice(world)[::13]) >= 0.9


def test_answers_in_words_and_in_chat(model: Llama, words: Vocabulary) -> None:
    asked = tasks.questions(World())[::8]
    assert score.answer_score(model, words, asked, [item.prompt for item in asked]) >= 0.9


@pytest.mark.slow
def test_code_on_unseen_parameters(model: Llama, words: Vocabulary) -> None:
    assert score.code_score(model, words, tasks.code()[::23]) >= 0.9


@pytest.mark.slow
def test_all_scores_are_those_on_the_card(model: Llama, words: Vocabulary) -> None:
    card = json.loads((shipped_folder() / "train.json").read_text())["scores_f16"]
    found = score.score(model, words, World())
    for name in ("cloze", "four_choice", "question", "chat", "pass_at_1"):
        items = card[f"{name}_n"]
        assert getattr(found, f"{name}_n") == items
        assert abs(getattr(found, name) - card[name]) <= 2 / items  # another BLAS may tip a near tie
        assert card[name] >= 0.9


def test_card_belongs_to_the_weights() -> None:
    folder = shipped_folder()
    card = json.loads((folder / "train.json").read_text())
    assert card["source_id"] == source_id(open_folder(folder).tensors)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 5_000_000
    texts = [path.read_text() for path in folder.iterdir() if path.suffix != ".safetensors"]
    assert not [text for text in texts if re.search(r'["\s](/(work|home|tmp|root|usr)/|[A-Z]:\\)', text)]


def test_curve_is_ordered_by_kl_and_covers_two_bits() -> None:
    rows = json.loads((shipped_folder() / "curve.json").read_text())
    divergences = [row["kl_mean"] for row in rows]
    assert divergences == sorted(divergences)
    assert [row["bits_per_weight"] for row in rows] == sorted((row["bits_per_weight"] for row in rows), reverse=True)
    by_name = {row["name"]: row for row in rows}
    assert divergences[0] == 0.0
    for kept in ("cloze", "four_choice", "pass_at_1"):
        assert by_name["F16"][kept] >= 0.9
        assert by_name["Q8_0"][kept] >= by_name["F16"][kept] - 0.01
        assert by_name["TQ2_0"][kept] < by_name["F16"][kept] - 0.3


def test_page_and_card_show_the_committed_figures() -> None:
    rows = json.loads((shipped_folder() / "curve.json").read_text())
    card = json.loads((shipped_folder() / "train.json").read_text())["scores_f16"]
    page, readme = Path("docs/model.md"), shipped_folder() / "README.md"
    text = (Path(__file__).parents[2] / page).read_text()
    for row in rows:
        assert f"| {row['name']} | {row['bits_per_weight']:.2f} | {row['kl_mean']:.6f} |" in text
        shares = " | ".join(f"{row[key]:.3f}" for key in ("cloze", "four_choice", "question", "chat", "pass_at_1"))
        assert f"| {shares} |" in text
    for name in ("cloze", "four_choice", "question", "chat", "pass_at_1"):
        shown = f"| {card[name]:.3f} | {card[f'{name}_n']} |"
        assert shown in text
        assert shown in readme.read_text()


def test_kl_of_two_tokens_by_hand() -> None:
    """p = (3/4, 1/4), q = (1/2, 1/2): KL = 3/4 ln(3/2) + 1/4 ln(1/2); perplexity of token 1 under q is 2."""
    ideal, got = np.log(np.array([[0.75, 0.25]])), np.log(np.array([[0.5, 0.5]]))
    found = score.text_scores([[0, 1]], [ideal], [got])
    assert math.isclose(found.kl_mean, 0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert math.isclose(found.perplexity, 2.0)
    same = score.text_scores([[0, 1]], [ideal], [ideal])
    assert (same.kl_mean, same.top_1_frac, same.n) == (0.0, 1.0, 1)


def test_cached_and_padded_passes_equal_the_plain_one(model: Llama) -> None:
    ids = (np.arange(30) * 31 % 1024)[None, :]
    whole, cache = model.logits(ids), []  # type: ignore[var-annotated]
    parts = [model.logits(ids[:, start:start + 10], cache) for start in (0, 10, 20)]
    assert np.allclose(np.concatenate(parts, axis=1), whole, atol=1e-4)
    context, tail = ids[0, :20].tolist(), ids[0, 20:].tolist()
    alone = continuation_logprobs(model, [(context, tail)])[0]
    beside = continuation_logprobs(model, [(context, tail), (ids[0].tolist() * 2, tail)])[0]
    plain = log_softmax(whole)[0, np.arange(19, 29), tail].sum()
    assert math.isclose(alone, beside, abs_tol=1e-3)
    assert math.isclose(alone, float(plain), abs_tol=1e-3)


@pytest.mark.parametrize(("completion", "good"), [
    (None, True), ("    return None\n", False), ("    while True:\n        pass\n", False),
    ("    import os; os._exit(0)\n", False), ("    return [0] * (1 << 30)\n", False), ("    syntax error\n", False),
    ("    open('x', 'w').write('y')\n", False),
])
def test_code_is_judged_in_a_child(completion: str | None, good: bool) -> None:
    task = tasks.code()[0]
    assert passes(task, task.canonical_solution if completion is None else completion) is good


@pytest.mark.parametrize(("bits", "levels"), [(2, 4), (3, 8)])
def test_round_to_nearest_has_as_many_levels_as_bits_give(bits: int, levels: int) -> None:
    values = np.linspace(-1, 1, 256, dtype=np.float32).reshape(8, 32)
    rounded = round_to_nearest(np.sort(values.reshape(32, 8).T).copy(), bits, 256)
    assert len(np.unique(rounded)) == levels
    assert np.abs(rounded - np.sort(values.reshape(32, 8).T)).max() <= 0.5 / (levels / 2 - 0.5) + 1e-3
