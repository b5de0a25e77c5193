"""From a JSONL file to items; whatever is wrong with a line is said with its number."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.quality.humaneval import Problem
from workbench.quality.items import Item, Reading
from workbench.quality.task_spec import TaskSpec
from workbench.quality.template import Template

MOST_BYTES = 1 << 30
DEFAULT_TEMPLATE = {"choice": "{{ prompt }}", "generate": "{{ prompt }}", "code": "{{ prompt }}", "text": "{{ text }}"}
Chat = Callable[[str, str], str]  # (system message, prompt) -> the whole text that the model is given


class Lines:
    """The items of one file, and the hash of its bytes."""

    def __init__(self, spec: TaskSpec) -> None:
        self.spec, path = spec, Path(spec.file)
        try:
            content = _content(path)
            self._text = content.decode("utf-8-sig")
        except FileNotFoundError:
            raise UsageError(f"task {spec.name}: file: {path}: no such file") from None
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise UsageError(f"task {spec.name}: file: {path.name}: cannot be read: {error}") from None
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._name = path.name

    def items(self, chat: Chat | None = None) -> list[Item]:
        """Every item, or the first `limit`. `chat` puts a prompt through the model's template."""
        found = list(self._items(chat))
        if not found:
            raise UsageError(f"task {self.spec.name}: {self._name}: holds no items")
        ids = [item.item for item in found]
        if len(set(ids)) < len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise UsageError(f"task {self.spec.name}: {self._name}: id {twice!r} is there twice")
        return found

    def _items(self, chat: Chat | None) -> Iterator[Item]:
        form = self.spec.form
        assert form is not None
        template = Template(self.spec.template or DEFAULT_TEMPLATE[form], "template")
        read = 0
        for number, line in enumerate(self._text.split("\n"), 1):  # splitlines() would also cut inside a text
            if not line.strip():
                continue
            if self.spec.limit is not None and read >= self.spec.limit:
                return
            where = f"task {self.spec.name}: {self._name}:{number}"
            row = _parsed(line, where)
            try:
                prompt = template.render(row)
            except Failure as error:
                raise UsageError(f"{where}: {error}; its columns are {', '.join(row)}") from None
            if chat is not None and self.spec.chat:
                prompt = chat(self.spec.system, prompt)
            yield self._item(row, prompt, number, where)
            read += 1

    def _item(self, row: Mapping[str, Any], prompt: str, number: int, where: str) -> Item:
        spec = self.spec
        base: dict[str, Any] = {
            "task": spec.name, "item": str(row.get("task_id", row.get("id", number))), "form": spec.form,
            "prompt": prompt, "subject": str(row.get("subject", "")), "sampling": spec.sampling,
            "repeats": spec.repeats, "reading": Reading(spec.answer, spec.strip_reasoning, spec.chat),
        }
        if spec.form == "choice":
            choices, right = _choices(row, where)
            options = tuple(text if text[:1].isspace() else spec.delimiter + text for text in choices)
            labels = tuple(text.strip() for text in choices)
            return Item(**base, options=options, labels=labels, right=right)
        if spec.form == "generate":
            return Item(**base, expected=_text(row, "answer", where).strip())
        if spec.form == "code":
            parts = {name: _text(row, name, where) for name in ("prompt", "entry_point", "test")}
            return Item(**base, problem=Problem(task_id=base["item"], canonical_solution="", **parts))
        return Item(**base)


def _content(path: Path) -> bytes:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as handle:
        content: bytes = handle.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise Failure(f"{path.name}: holds more than {MOST_BYTES >> 30} GiB")
    return content


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise UsageError(f"{where}: not a JSON object")
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{where}: holds half a character (an unpaired surrogate); take it out") from None
    return row


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise UsageError(f"{where}: column {name!r} is missing or no text")
    return str(value)


def _choices(row: Mapping[str, Any], where: str) -> tuple[list[str], int]:
    """The options and the index of the right one; `answer` is that index, or the option itself."""
    choices, answer = row.get("choices"), row.get("answer")
    if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, str) and c.strip() for c in choices):
        raise UsageError(f"{where}: column 'choices' must be a list of two texts or more, none of them empty")
    if len(set(choices)) < len(choices):
        raise UsageError(f"{where}: column 'choices' has one option twice")
    if isinstance(answer, str) and answer in choices:
        return choices, choices.index(answer)
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise UsageError(f"{where}: column 'answer' is {answer!r}; it must be the index of an option, or its text")
    return choices, answer
