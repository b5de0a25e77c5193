"""HumanEval's form: a signature with its docstring, a body to write, and tests that call it (arXiv 2107.03374).

The tasks are a file of the user's (openai/human-eval, `HumanEval.jsonl.gz`, MIT); the tiny world's code task has the
same form.
"""

import gzip
import json
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from workbench.errors import UsageError
from workbench.paths import public_data
from workbench.quality.sandbox.run import Job

MOST_BYTES = 64 << 20  # unpacked; HumanEval has 0.2 MB


class CodeProblem(Protocol):
    """What is needed to test an answer; `test` defines check(candidate)."""

    @property
    def prompt(self) -> str: ...
    @property
    def entry_point(self) -> str: ...
    @property
    def test(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Problem:
    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


def job(problem: CodeProblem, program: str) -> Job:
    """`program` is the whole one, prompt included (`extract.solution`)."""
    return Job(program, f"{problem.test}\n\ncheck({problem.entry_point})\n")


def public_file() -> Path:
    """The file in the folder of public data."""
    folder = public_data()
    if folder is None:
        raise UsageError("HumanEval: name its file, or set WORKBENCH_DATA to the folder of public data (docs/data.md)")
    return folder / "quality/HumanEval.jsonl.gz"


def load(path: Path) -> list[Problem]:
    """Every task of a JSONL file, gzipped or not; a line without a key is refused with its place."""
    problems = [_problem(text, f"{path.name}: line {number}")
                for number, text in enumerate(_text(path).split("\n"), start=1) if text.strip()]
    if not problems:
        raise UsageError(f"{path.name}: no task in it")
    return problems


def _text(path: Path) -> str:
    try:
        with (gzip.open if path.name.endswith(".gz") else open)(path, "rb") as handle:
            content = handle.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UsageError(f"{path.name}: more than {MOST_BYTES >> 20} MiB: no file of code tasks")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: cannot be read: {error}") from error


def _problem(text: str, place: str) -> Problem:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: not valid JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{place}: not an object; HumanEval's keys: {', '.join(_KEYS)}")
    for key in _KEYS:
        if not isinstance(row.get(key), str):
            raise UsageError(f"{place}: {key}: missing, or not a text; HumanEval's keys: {', '.join(_KEYS)}")
    if not row["entry_point"].isidentifier():
        raise UsageError(f"{place}: entry_point: {row['entry_point']!r} is not a name")
    return Problem(**{key: row[key] for key in _KEYS})


_KEYS = tuple(field.name for field in fields(Problem))
