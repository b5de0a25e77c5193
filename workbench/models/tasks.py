"""The world's tasks, on what training never saw: text, cloze, four-choice, code."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.models.documents import Documents, dialogue_prompt, four_choice_heading, four_choice_prompt
from workbench.models.draw import Draw, digest
from workbench.models.functions import NAMES, functions
from workbench.models.world import World

TASK_SEED = 99
TEXT_SHARES = {"tale": 0.45, "dialogue": 0.15, "four_choice": 0.15, "code": 0.25}  # no chat: plain text only


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of `choices` (each begins with its space) follows `prompt`; `answer` is an index."""

    task_id: str
    subject: str
    prompt: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class FourChoice:
    """MMLU's columns, and the whole prompt. Scored by the option's text: " " + choices[i]."""

    task_id: str
    subject: str
    question: str
    choices: tuple[str, ...]
    answer: int
    prompt: str


@dataclass(frozen=True, slots=True)
class Question:
    """To be answered in words (chat endpoints give no log-probabilities). `prompt` is the form without chat."""

    task_id: str
    subject: str
    question: str
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class CodeTask:
    """HumanEval's columns. `test` defines check(candidate)."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str
    family: str


def held_out_text(world: World, count: int = 200) -> list[str]:
    """Documents in held-out phrasings and with held-out parameters, for perplexity and KL divergence."""
    stream = Documents(world, "text", TASK_SEED, held_out=True, shares=TEXT_SHARES)
    return [stream.next().text for _ in range(count)]


def cloze(world: World) -> list[Choice]:
    """Every fact in its held-out sentence; the choices are all values of the attribute (12 to 24)."""
    tasks = []
    for number, fact in enumerate(world.facts):
        prompt, _ = fact.sentence(fact.held_out_sentence)
        choices = tuple(f" {value}" for value in fact.values)
        answer = fact.values.index(fact.value)
        tasks.append(Choice(f"cloze/{number}", fact.attribute.subject, prompt, choices, answer))
    return tasks


def four_choice(world: World) -> list[FourChoice]:
    """Every fact in its held-out question, with drawn options in drawn order."""
    draw, tasks = Draw("four choice", TASK_SEED), []
    for number, fact in enumerate(world.facts):
        question = fact.question(fact.held_out_question)
        options, answer = fact.options(draw)
        subject = fact.attribute.subject
        prompt = four_choice_heading(subject) + four_choice_prompt(question, options)
        tasks.append(FourChoice(f"four_choice/{number}", subject, question, tuple(options), answer, prompt))
    return tasks


def questions(world: World) -> list[Question]:
    """Every fact's held-out question, for an exact match of the first line without the spaces around it."""
    tasks = []
    for number, fact in enumerate(world.facts):
        question = fact.question(fact.held_out_question)
        prompt = dialogue_prompt(question)
        tasks.append(Question(f"question/{number}", fact.attribute.subject, question, prompt, fact.value))
    return tasks


def code() -> list[CodeTask]:
    """Every held-out parameter in every wording of its docstring."""
    tasks: list[CodeTask] = []
    for function in functions(for_test=True):
        family = function.family
        solve = family.solve(function.parameter)
        calls = [(args, solve(*args)) for args in family.calls(function.parameter)]
        lines = [f"    assert candidate({', '.join(map(repr, args))}) == {value!r}\n" for args, value in calls]
        for doc in range(len(family.docs)):
            name = NAMES[digest("name", family.name, function.parameter, doc) % len(NAMES)]
            tasks.append(CodeTask(
                task_id=f"TinyWorld/{len(tasks)}",
                prompt=function.header(doc, name),
                entry_point=name,
                canonical_solution=function.body,
                test="def check(candidate):\n" + "".join(lines),
                family=family.name,
            ))
    return tasks
