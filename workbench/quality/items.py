"""One question, whoever asks it: what a model is given, and what is right."""

from dataclasses import dataclass
from typing import Literal

from workbench.quality.humaneval import Problem

Form = Literal["choice", "generate", "code", "text"]
FORMS: tuple[Form, ...] = ("choice", "generate", "code", "text")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How text is generated. Temperature 0 is greedy, and then there is nothing to seed."""

    max_tok: int = 64
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0

    @property
    def greedy(self) -> bool:
        return self.temperature == 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How an answer is found in the text: after reasoning, by a pattern's first group, else the first line."""

    pattern: str = ""
    strip_reasoning: bool = True
    chat: bool = False  # code stands in a block, and may repeat the signature


@dataclass(frozen=True, slots=True)
class HarnessKey:
    """How lm-eval knows an item again, and the hash of what it asks."""

    task: str
    doc_id: int
    asked: str


@dataclass(frozen=True, slots=True)
class Item:
    """`options` follow `prompt` as they are: a space between the two belongs to the option. `labels` name them.

    Where options follow different prompts (lm-eval has such tasks), `prompts` holds one for each of them.
    choice: the likeliest option is the answer, `options[right]` is the right one.
    generate: the answer is taken from the text; it must equal `expected`.
    code: what follows `prompt` is run with the tests of `problem`.
    text: `prompt` is the text, and its log-likelihood is all there is.
    """

    task: str
    item: str
    form: Form
    prompt: str
    subject: str = ""
    options: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    right: int | None = None
    expected: str | None = None
    problem: Problem | None = None
    sampling: Sampling = Sampling()
    reading: Reading = Reading()
    repeats: int = 1
    harness: HarnessKey | None = None  # lm-eval says what it is worth

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(prompt, option) of every likelihood that is asked."""
        return tuple(zip(self.prompts or (self.prompt,) * len(self.options), self.options, strict=True))

    @property
    def right_label(self) -> str | None:
        """What the right answer is called."""
        return self.expected if self.right is None else self.labels[self.right]
