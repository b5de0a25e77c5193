"""What a task is: [[task]] of a suite, and the tasks that ship under a name."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from workbench.config import Settings
from workbench.errors import UsageError
from workbench.paths import datasets
from workbench.quality.extract import STOPS
from workbench.quality.items import Form, Sampling

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MMLU_FORM = (
    "The following are multiple choice questions (with answers) about {{ subject | replace('_', ' ') }}.\n\n"
    "Question: {{ question }}\n"
    "{% for choice in choices %}{{ 'ABCDEFGHIJ'[loop.index0] }}. {{ choice }}\n{% endfor %}"
    "Answer:"
)
OURS = ("form", "template", "delimiter", "answer", "repeats")  # lm-eval's tasks say these themselves
LM_EVALS = ("include", "data", "shots", "metric")
CODE_STOPS = (*STOPS, "\n@")  # and decorators


class TaskSpec(Settings):
    """A task: a JSONL file of a form, or a task of lm-eval. Everything but the name has a default that is said here."""

    name: str
    file: str = Field("", description="JSONL, one item a line; beside the suite, or an absolute path")
    form: Form | None = Field(None, description="choice, generate, code or text")
    template: str = Field("", description="Jinja over an item's columns; default: its `prompt` (`text` for text)")
    system: str = Field("", description="a system message, where chat is true")
    chat: bool = Field(False, description="put the prompt through the model's chat template")
    delimiter: str = Field(" ", description="between prompt and option, where the option does not begin with a space")
    answer: str = Field("", description="regular expression whose first group is the answer; default: the first line")
    strip_reasoning: bool = Field(True, description="leave out <think>...</think> before an answer is judged")
    max_tok: int = Field(64, ge=1, le=32_768, description="most tokens that are generated")
    stop: tuple[str, ...] | None = Field(None, description="what ends an answer; default: by the form, none in chat")
    temperature: float = Field(0.0, ge=0, le=10, description="0: greedy")
    top_p: float = Field(1.0, gt=0, le=1, description="of sampled decoding")
    repeats: int = Field(1, ge=1, le=1000, description="answers asked of each item, each with its own seed")
    limit: int | None = Field(None, ge=1, description="only the first so many items")
    lm_eval: str = Field("", description="task of lm-eval, in place of file and form")
    include: str = Field("", description="folder with lm-eval YAML of your own")
    data: dict[str, str] = Field(default_factory=dict, description="lm-eval: local JSON files by split")
    shots: int | None = Field(None, ge=0, le=100, description="lm-eval: worked examples before each item")
    metric: str = Field("", description="lm-eval: what decides; default: the task's first")

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("letters, digits, dot, dash and underscore only, at most 64")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.file) == bool(self.lm_eval):
            raise ValueError("give either file with form, or lm_eval")
        if self.file and self.form is None:
            raise ValueError("file needs form: choice, generate, code or text")
        for name in LM_EVALS if self.file else OURS:
            if name in self.model_fields_set:
                raise ValueError(f"{name}: means nothing beside {'file' if self.file else 'lm_eval'}; leave it out")
        if self.repeats > 1 and self.temperature == 0:
            raise ValueError("repeats: greedy answers are all the same; give a temperature above 0, or 1 repeat")
        if self.form in ("choice", "text") and (self.temperature or self.repeats > 1):
            raise ValueError("temperature: nothing is generated where likelihoods are compared")
        if self.form == "text" and self.chat:
            raise ValueError("chat: a text is scored as it is")
        try:
            re.compile(self.answer)
        except re.error as error:
            raise ValueError(f"answer: not a regular expression: {error}") from None
        return self

    @property
    def sampling(self) -> Sampling:
        """What ends a base model's answer would cut a chat's after its first line, or before its function."""
        stops = {} if self.chat else {"generate": ("\n",), "code": CODE_STOPS}
        stop = stops.get(self.form or "", ()) if self.stop is None else self.stop
        return Sampling(self.max_tok, stop, self.temperature, self.top_p)


def _tiny(name: str, form: Form, **more: object) -> TaskSpec:
    file = str(datasets() / "tiny_world" / f"{name}.jsonl")
    return TaskSpec.model_validate({"name": f"tiny_{name}", "file": file, "form": form, **more})


def shipped() -> dict[str, TaskSpec]:
    """The tasks that need no file of the user's."""
    found = [
        _tiny("cloze", "choice"),
        _tiny("four_choice", "choice", template=MMLU_FORM),
        _tiny("question", "generate", template="Q: {{ question }}\nA:", max_tok=12),
        _tiny("code", "code", max_tok=64),
        _tiny("text", "text"),
    ]
    folder = str(datasets() / "tiny_world")
    found += [
        TaskSpec.model_validate({"name": f"lm_eval_tiny_{name}", "lm_eval": f"tiny_{name}",
                                 "data": {"test": f"{folder}/{name}.jsonl"}})
        for name in ("cloze", "four_choice", "code", "text")
    ]
    return {spec.name: spec for spec in found}


def find_task(name: str) -> TaskSpec:
    """A shipped task by name. Raises UsageError with a suggestion."""
    known = shipped()
    if name not in known:
        raise UsageError(f"no task {name!r}; {suggestion(name, known)}")
    return known[name]


def suggestion(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def resolved(spec: TaskSpec, base: Path) -> TaskSpec:
    """With file names that hold wherever the suite is run from."""
    found = {"file": str(base / spec.file) if spec.file else "", "include": str(base / spec.include) if spec.include
             else "", "data": {split: str(base / name) for split, name in spec.data.items()}}
    return spec.model_copy(update=found)
