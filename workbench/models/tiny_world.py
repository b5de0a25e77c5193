"""The world's tasks as files that ship: `datasets/tiny_world`, the same bytes on every machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workbench.files import write_text
from workbench.models import tasks
from workbench.models.world import World

CARD = """---
license: apache-2.0
language: en
task_categories: [multiple-choice, text-generation]
---
# tiny_world

Tasks about an invented little world (68 entities, 320 facts, 19 families of small Python functions), on sentences,
questions and parameters that the shipped model (`datasets/models/tiny`) never saw in training. They measure what a
quantisation or an engine does to a model that knows the answers; they say nothing about any other model.

| file | items | form | columns |
| --- | ---: | --- | --- |
{table}

- **cloze**: every fact in the one of its four sentences that was held out; the choices are all 12 to 24 values of the
  attribute, each with the space before it.
- **four_choice**: every fact's held-out question with four drawn options, in MMLU's columns. It is scored by the
  option's text. The letters A to D were never learnt as answers: a score by letter would be chance.
- **question**: the same questions, to be answered in words, for endpoints that give no log-probabilities.
- **code**: HumanEval's columns; every held-out parameter in every wording of its docstring.
- **text**: documents in held-out phrasings, for perplexity and KL divergence. Documents repeat facts, and each is
  scored on its own.

Made by `workbench quality tiny-world --out DIR` from `workbench/models/{{world,tasks,functions,documents}}.py`; a test
holds the files against the code. Licence: Apache-2.0. No third party's text and no person's data are in it.
"""
FORMS = {"text": "text", "cloze": "choice", "four_choice": "choice", "question": "generate", "code": "code"}


def rows() -> dict[str, list[dict[str, Any]]]:
    """Every file's rows, by its stem. Spaces are where the model saw them in training."""
    world = World()
    return {
        "text": [{"task_id": f"text/{number}", "text": text} for number, text in enumerate(tasks.held_out_text(world))],
        "cloze": [{"task_id": item.task_id, "subject": item.subject, "prompt": item.prompt,
                   "choices": item.choices, "answer": item.answer} for item in tasks.cloze(world)],
        "four_choice": [{"task_id": item.task_id, "subject": item.subject, "question": item.question,
                         "choices": item.choices, "answer": item.answer} for item in tasks.four_choice(world)],
        "question": [{"task_id": item.task_id, "subject": item.subject, "question": item.question,
                      "answer": item.answer} for item in tasks.questions(world)],
        "code": [{"task_id": item.task_id, "subject": item.family, "prompt": item.prompt,
                  "entry_point": item.entry_point, "canonical_solution": item.canonical_solution, "test": item.test}
                 for item in tasks.code()],
    }


def files() -> dict[str, str]:
    """Every file of the data set by its name, the card included."""
    found = rows()
    table = "\n".join(f"| `{name}.jsonl` | {len(items)} | {FORMS[name]} | {', '.join(items[0])} |"
                      for name, items in found.items())
    lines = {f"{name}.jsonl": _lines(items) for name, items in found.items()}
    return {**lines, "README.md": CARD.format(table=table)}


def _lines(items: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)


def make(folder: Path) -> list[Path]:
    """Write the data set into `folder`."""
    for name, text in files().items():
        write_text(folder / name, text)
    return [folder / name for name in files()]
