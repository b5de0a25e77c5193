"""Endless documents of the little world, for training and for prompts, with the spans that hold an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.models.draw import Draw
from workbench.models.functions import NAMES, functions
from workbench.models.world import Fact, World

END_OF_TEXT = "<|endoftext|>"   # id 0: begins every document
TURN_START = "<|im_start|>"     # id 1: ChatML, which every engine knows
TURN_END = "<|im_end|>"         # id 2: ends a chat answer
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)
LETTERS = "ABCD"
SHARES = {"tale": 0.30, "dialogue": 0.08, "chat": 0.15, "four_choice": 0.20, "code": 0.27}


@dataclass(frozen=True, slots=True)
class Document:
    """`answers` are the character ranges in `text` that a reader of the world could fill in."""

    text: str
    answers: tuple[tuple[int, int], ...]


class Writer:
    """Joins pieces of text and remembers which of them were answers."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._answers: list[tuple[int, int]] = []
        self._length = 0

    def add(self, text: str, answer: bool = False) -> None:
        if answer:
            self._answers.append((self._length, self._length + len(text)))
        self._parts.append(text)
        self._length += len(text)

    def document(self) -> Document:
        return Document("".join(self._parts), tuple(self._answers))


def four_choice_prompt(question: str, options: list[str]) -> str:
    """MMLU's form; the answer that follows is a space and the option's text, never its letter."""
    lines = "".join(f"{letter}. {option}\n" for letter, option in zip(LETTERS, options, strict=True))
    return f"Question: {question}\n{lines}Answer:"


def dialogue_prompt(question: str) -> str:
    """A question in plain text; a space, the answer and a new line follow."""
    return f"Q: {question}\nA:"


def chat_prompt(turns: list[tuple[str, str]]) -> str:
    """ChatML with the answer still to come: what the shipped chat template renders."""
    shown = "".join(f"{TURN_START}{role}\n{text}{TURN_END}\n" for role, text in turns)
    return f"{shown}{TURN_START}assistant\n"


class Documents:
    """A seeded stream. Held-out documents use only phrasings and parameters that training never sees."""

    def __init__(self, world: World, *seed: object, held_out: bool = False,
                 shares: dict[str, float] | None = None) -> None:
        self._world = world
        self._draw = Draw("documents", *seed)
        self._held_out = held_out
        self._functions = functions(for_test=held_out)
        self._shares = SHARES if shares is None else shares
        self._kinds: dict[str, Callable[[], Document]] = {
            "tale": self.tale, "dialogue": self.dialogue, "chat": self.chat,
            "four_choice": self.four_choice, "code": self.code,
        }

    def next(self) -> Document:
        point, last = self._draw.unit() * sum(self._shares.values()), ""
        for last, share in self._shares.items():  # noqa: B007 - the last one reached is drawn
            point -= share
            if point < 0:
                break
        return self._kinds[last]()

    def _facts(self, low: int, high: int) -> list[Fact]:
        """Different facts: all about one entity, or about anything."""
        count = self._draw.between(low, high)
        if self._draw.unit() < 0.4:
            entity = self._draw.choice(list(self._world.by_entity))
            return self._draw.sample(self._world.by_entity[entity], count)
        return [self._draw.choice(self._world.facts) for _ in range(count)]

    def _question(self, fact: Fact) -> str:
        return fact.question(self._draw.choice(fact.question_phrasings(self._held_out)))

    def tale(self) -> Document:
        writer = Writer()
        for number, fact in enumerate(self._facts(2, 6)):
            head, tail = fact.sentence(self._draw.choice(fact.sentence_phrasings(self._held_out)))
            writer.add(f" {head}" if number else head)
            writer.add(f" {tail}", answer=True)
        writer.add("\n")
        return writer.document()

    def dialogue(self) -> Document:
        writer = Writer()
        for fact in self._facts(1, 3):
            writer.add(dialogue_prompt(self._question(fact)))
            writer.add(f" {fact.value}\n", answer=True)
        return writer.document()

    def chat(self) -> Document:
        """One to three turns; one chat in five asks for a function's body.

        An answer begins with a space, as everywhere else: the same value without one is another token.
        """
        writer = Writer()
        if self._draw.unit() < 0.2:
            function = self._draw.choice(self._functions)
            header = function.header(self._draw.below(len(function.family.docs)), self._draw.choice(NAMES))
            writer.add(chat_prompt([("user", header)]))
            writer.add(f"{function.body}{TURN_END}", answer=True)
        else:
            for fact in self._facts(1, 3):
                writer.add(chat_prompt([("user", self._question(fact))]))
                writer.add(f" {fact.value}{TURN_END}", answer=True)
                writer.add("\n")
        return writer.document()

    def four_choice(self) -> Document:
        """One to three questions of one subject, half of the time under MMLU's heading."""
        writer, subject = Writer(), self._draw.choice(list(self._world.by_subject))
        if self._draw.unit() < 0.5:
            writer.add(four_choice_heading(subject))
        for _ in range(self._draw.between(1, 3)):
            fact = self._draw.choice(self._world.by_subject[subject])
            options, _ = fact.options(self._draw)
            writer.add(four_choice_prompt(self._question(fact), options))
            writer.add(f" {fact.value}\n", answer=True)
            writer.add("\n")
        return writer.document()

    def code(self) -> Document:
        writer, function = Writer(), self._draw.choice(self._functions)
        writer.add(function.header(self._draw.below(len(function.family.docs)), self._draw.choice(NAMES)))
        writer.add(function.body, answer=True)
        return writer.document()


def four_choice_heading(subject: str) -> str:
    """MMLU's first line."""
    return f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
