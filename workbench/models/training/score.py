"""The world's tasks on a set of weights, in plain numpy: `python -m workbench.models.training.score DIR`.

Also the distance between two sets of weights: KL divergence, perplexity and top-1 agreement on held-out text.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from workbench.models import tasks, tokenizer
from workbench.models.documents import chat_prompt
from workbench.models.folder import open_folder
from workbench.models.forward import Llama, continuation_logprobs, log_softmax
from workbench.models.tensors import Floats
from workbench.models.tokenizer import Vocabulary
from workbench.models.training.run_code import passes
from workbench.models.world import World

BEGIN, TURN_END = 0, 2
MOST_CODE_TOK = 64
MOST_ANSWER_TOK = 12


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares right, with the number of items each."""

    cloze: float
    cloze_n: int
    four_choice: float
    four_choice_n: int
    question: float
    question_n: int
    chat: float
    chat_n: int
    pass_at_1: float
    pass_at_1_n: int


def chosen(model: Llama, words: Vocabulary, items: Sequence[tuple[str, Sequence[str]]]) -> list[int]:
    """The index of the likeliest continuation of each prompt."""
    pairs = [
        ([BEGIN, *words.encode(prompt)], words.encode(choice)) for prompt, choices in items for choice in choices
    ]
    scores, out = iter(continuation_logprobs(model, pairs)), []
    for _, choices in items:
        of_item = [next(scores) for _ in choices]
        out.append(max(range(len(of_item)), key=of_item.__getitem__))
    return out


def share_right(answers: Sequence[int], found: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(answers, found, strict=True)) / len(answers)


def cloze_score(model: Llama, words: Vocabulary, items: Sequence[tasks.Choice]) -> float:
    return share_right([item.answer for item in items],
                       chosen(model, words, [(item.prompt, item.choices) for item in items]))


def four_choice_score(model: Llama, words: Vocabulary, items: Sequence[tasks.FourChoice]) -> float:
    asked = [(item.prompt, [f" {choice}" for choice in item.choices]) for item in items]
    return share_right([item.answer for item in items], chosen(model, words, asked))


def answer_score(model: Llama, words: Vocabulary, items: Sequence[tasks.Question], prompts: Sequence[str]) -> float:
    """Exact match of the first line written."""
    written = model.greedy([[BEGIN, *words.encode(prompt)] for prompt in prompts], (BEGIN, TURN_END), MOST_ANSWER_TOK)
    found = [words.decode(ids).split("\n")[0].strip() for ids in written]
    return sum(item.answer == text for item, text in zip(items, found, strict=True)) / len(items)


def code_score(model: Llama, words: Vocabulary, items: Sequence[tasks.CodeTask]) -> float:
    prompts = [[BEGIN, *words.encode(item.prompt)] for item in items]
    written = model.greedy(prompts, (BEGIN, TURN_END), MOST_CODE_TOK)
    good = [passes(item, words.decode(ids)) for item, ids in zip(items, written, strict=True)]
    return sum(good) / len(good)


def score(model: Llama, words: Vocabulary, world: World) -> Scores:
    cloze, four, asked, code = tasks.cloze(world), tasks.four_choice(world), tasks.questions(world), tasks.code()
    chats = [chat_prompt([("user", item.question)]) for item in asked]
    return Scores(
        cloze=cloze_score(model, words, cloze), cloze_n=len(cloze),
        four_choice=four_choice_score(model, words, four), four_choice_n=len(four),
        question=answer_score(model, words, asked, [item.prompt for item in asked]), question_n=len(asked),
        chat=answer_score(model, words, asked, chats), chat_n=len(asked),
        pass_at_1=code_score(model, words, code), pass_at_1_n=len(code),
    )


@dataclass(frozen=True, slots=True)
class TextScores:
    """On `n` predicted tokens of held-out text; KL in nats against the reference logits."""

    perplexity: float
    kl_mean: float
    kl_p99: float
    top_1_frac: float
    n: int


def text_rows(words: Vocabulary, world: World, count: int) -> list[list[int]]:
    return [[BEGIN, *words.encode(text)] for text in tasks.held_out_text(world, count)]


def text_logprobs(model: Llama, rows: Sequence[list[int]]) -> list[Floats]:
    """[tokens - 1, vocabulary] of each row: what was expected at each next token."""
    return [log_softmax(model.logits(np.array([row])))[0, :-1] for row in rows]


def text_scores(rows: Sequence[list[int]], reference: Sequence[Floats], found: Sequence[Floats]) -> TextScores:
    ideal, got = np.concatenate(reference).astype(np.float64), np.concatenate(found).astype(np.float64)
    target = np.concatenate([np.array(row[1:]) for row in rows])
    divergence = np.maximum((np.exp(ideal) * (ideal - got)).sum(-1), 0.0)  # below 0 by rounding alone
    return TextScores(
        perplexity=math.exp(-float(got[np.arange(len(target)), target].mean())),
        kl_mean=float(divergence.mean()), kl_p99=float(np.quantile(divergence, 0.99)),
        top_1_frac=float((ideal.argmax(-1) == got.argmax(-1)).mean()), n=len(target),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    folder = open_folder(arguments.folder)
    model, words = Llama(folder.arch, folder.tensors), tokenizer.load(folder.path)
    print(json.dumps(asdict(score(model, words, World())), indent=1))


if __name__ == "__main__":
    main()
