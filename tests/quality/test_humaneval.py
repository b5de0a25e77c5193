"""HumanEval: every canonical solution passes in the sandbox, every emptied one fails; a bad file is one line."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from workbench.errors import UsageError
from workbench.models import tasks
from workbench.quality import humaneval
from workbench.quality.sandbox import run_jobs

GOOD = {"task_id": "a/0", "prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": "    return x\n",
        "test": "def check(candidate):\n    assert candidate(1) == 1\n"}
EMPTY = "    pass\n"


def outcomes(problems: list[humaneval.Problem], solved: bool) -> Counter[str]:
    jobs = [humaneval.job(problem, problem.prompt + (problem.canonical_solution if solved else EMPTY))
            for problem in problems]
    return Counter(verdict.outcome for verdict in run_jobs(jobs, slots=2))


def test_some_of_humaneval(public_data: Path) -> None:
    problems = humaneval.load(public_data / "quality/HumanEval.jsonl.gz")
    assert len(problems) == 164
    assert outcomes(problems[::28], solved=True) == {"passed": 6}
    assert outcomes(problems[::82], solved=False) == {"failed": 2}


@pytest.mark.slow
def test_all_of_humaneval(public_data: Path) -> None:
    problems = humaneval.load(public_data / "quality/HumanEval.jsonl.gz")
    assert outcomes(problems, solved=True) == {"passed": 164}
    assert outcomes(problems, solved=False) == {"failed": 164}


def test_the_worlds_code_task_has_the_same_form() -> None:
    chosen = tasks.code()[::40]
    jobs = [humaneval.job(task, task.prompt + text) for task in chosen for text in (task.canonical_solution, EMPTY)]
    assert [verdict.outcome for verdict in run_jobs(jobs, slots=2)] == ["passed", "failed"] * len(chosen)


def test_a_file_is_read_gzipped_or_not(tmp_path: Path) -> None:
    text = json.dumps(GOOD | {"more": 1}) + "\n\n" + json.dumps(GOOD | {"prompt": "\u2028"}, ensure_ascii=False)
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    found = humaneval.load(tmp_path / "a.jsonl")
    assert found == humaneval.load(tmp_path / "a.jsonl.gz")
    assert [problem.prompt for problem in found] == [GOOD["prompt"], "\u2028"]


@pytest.mark.parametrize(("content", "said"), [
    (b"", "tasks.jsonl: no task in it"), (b"{", "line 1: not valid JSON"), (b"[]", "line 1: not an object"),
    (json.dumps(GOOD).encode() + b'\n{"task_id": "a"}', "line 2: prompt: missing"), (b"\xff", "cannot be read"),
    (json.dumps(GOOD | {"test": 1}).encode(), "test: missing, or not a text"),
    (json.dumps(GOOD | {"entry_point": "os.system('x')"}).encode(), "is not a name"),
])
def test_a_bad_file_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        humaneval.load(path)


def test_a_file_that_is_not_there_cut_short_or_endless_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="no such file"):
        humaneval.load(tmp_path / "none.jsonl.gz")
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(GOOD).encode() * 100)[:-20])
    with pytest.raises(UsageError, match=r"cut.jsonl.gz: cannot be read"):
        humaneval.load(cut)
    monkeypatch.setattr(humaneval, "MOST_BYTES", 1 << 20)
    cut.write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(UsageError, match="more than 1 MiB"):
        humaneval.load(cut)


def test_the_public_file_needs_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    assert humaneval.public_file() == tmp_path / "quality/HumanEval.jsonl.gz"
    monkeypatch.delenv("WORKBENCH_DATA")
    with pytest.raises(UsageError, match="set WORKBENCH_DATA"):
        humaneval.public_file()
