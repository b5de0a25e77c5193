"""A suite on a real engine: resumable after a kill, failures as rows, and what is wrong with it said in one line."""

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from answering import answering
from click.testing import CliRunner

from workbench.cli.quality import group
from workbench.config import parse
from workbench.errors import Failure, UsageError
from workbench.flows import quality_show
from workbench.flows.quality import Suite
from workbench.flows.quality_spec import SuiteSpec
from workbench.paths import data
from workbench.quality.distance.text import read_text
from workbench.quality.rows import Row
from workbench.quality.store import PART, ROWS, QualityLog, read, write
from workbench.quality.task_spec import TaskSpec
from workbench.quality.tasks import Lines
from workbench.runlog.provenance import Provenance

TINY = """
name = "t"
tasks = ["tiny_four_choice", "tiny_question"]
limit = 4
[[engine]]
name = "llama.cpp"
model = ["tiny"]
quant = ["Q4_0"]
"""


def suite(text: str, out: Path, **more: Any) -> Suite:
    return Suite(parse(SuiteSpec, text, "suite.toml"), out, out.parent, config_text=text, **more)


def rows_of(out: Path) -> tuple[Row, ...]:
    (log,) = quality_show.cells(out).values()
    return log.rows


def test_a_suite_asks_every_item_once_and_only_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = suite(TINY, out).run()
    assert found["failed"] == []
    (cell,) = found["cells"]
    assert (cell["engine"], cell["quant"], cell["kv_type"]) == ("llama.cpp", "Q4_0", "f16")
    assert cell["tasks"]["tiny_four_choice"]["score"]["n"] == 4
    first = rows_of(out)
    log = next(iter(quality_show.cells(out).values()))
    assert log.tasks["tiny_four_choice"]["template"].startswith("The following are multiple choice")
    assert log.provenance.workload["words"] == {
        "adds_prefix": True, "prefix_id": 0, "space_is_a_token": False, "from": "the server",
        "boundary": "spaces at the prompt's end go to the option; both are encoded together (lm-eval)"}
    assert len(log.provenance.weights_id) == 64

    assert suite(TINY, out).plan()[0]["finished"]
    more = TINY.replace("limit = 4", "limit = 6")
    plan = suite(more, out).plan()
    assert (plan[0]["left"], plan[0]["basis"]) == (4, "measured")
    larger = more.replace('model = ["tiny"]', 'model = ["tiny", "tiny-5m"]')
    assert [cell["basis"] for cell in suite(larger, out).plan()] == ["measured", "default"]
    suite(more, out).run()
    assert set(first) < set(rows_of(out))
    assert len({row.key for row in rows_of(out)}) == len(rows_of(out)) == 12
    # other weights under the same name are not mixed in
    (folder,) = (path.parent for path in out.glob(f"*/{ROWS}"))
    other = Provenance("real", "x", engine="llama.cpp", model="tiny", weights_id="ff" * 32)
    write(QualityLog(other, first), folder / ROWS)
    failed = suite(TINY.replace("limit = 4", "limit = 9"), out)
    with pytest.raises(UsageError, match="its rows were made with another weights_id"):
        failed.run()


def test_a_cell_that_is_wrong_is_named_and_the_others_are_asked(tmp_path: Path) -> None:
    """A folder in the way of one, whose rows were made with other weights."""
    two, out = TINY.replace('quant = ["Q4_0"]', 'quant = ["Q4_0", "Q8_0"]').replace("limit = 4", "limit = 2"), tmp_path
    other = Provenance("real", "x", engine="llama.cpp", model="tiny", weights_id="ff" * 32)
    asked = suite(two, out)
    write(QualityLog(other, ()), asked.cells[0].folder / ROWS)
    found = asked.run()
    assert [cell["quant"] for cell in found["cells"] if cell["tasks"]] == ["Q8_0"]
    assert [one["cell"] for one in found["failed"]] == [asked.cells[0].setting.label]
    assert "its rows were made with another weights_id" in found["failed"][0]["why"]


def test_after_a_kill_no_item_is_lost_or_counted_twice(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(TINY.replace("limit = 4", "limit = 20"))
    words = [sys.executable, "-m", "workbench", "quality", "run", "suite.toml", "--out", "out"]
    child = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline, part = time.monotonic() + 60, list[Path]()
    while time.monotonic() < deadline and not (part and part[0].read_bytes().count(b"\n") > 5):
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended by itself: {child.wait(timeout=0.02)}")
        part = list((tmp_path / "out").glob(f"*/{PART}"))
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    kept = read(part[0]).rows
    assert 4 <= len(kept) < 40
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert f"{40 - len(kept)} of 40 answers to get" in done.stderr
    rows = rows_of(tmp_path / "out")
    assert len({row.key for row in rows}) == len(rows) == 40
    assert rows[:len(kept)] == kept


def test_a_server_that_fails_in_the_middle_costs_the_items_it_failed(tmp_path: Path) -> None:
    """Item 2 of 3 is answered by HTTP 500: a row with its reason, asked again when that is wanted."""
    (tmp_path / "mine.jsonl").write_text("".join(
        json.dumps({"prompt": f"Q{number}:", "answer": "yes"}) + "\n" for number in range(3)))
    broken = True

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/models":
            return 200, {"data": [{"id": "m"}]}
        if path != "/v1/completions":
            return 404, {}
        if body["prompt"] == "Q1:" and broken:
            return 500, {"error": {"message": "out of memory"}}
        return 200, {"choices": [{"text": " yes\nmore"}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}

    with answering(answer) as url:
        text = (f'name = "t"\n[[task]]\nname = "mine"\nfile = "mine.jsonl"\nform = "generate"\n'
                f'[[engine]]\nname = "openai"\noptions = [{{ url = "{url}" }}]\n')
        out = tmp_path / "out"
        told = suite(text, out).run()["cells"][0]["tasks"]["mine"]
        assert (told["ok"], told["failed"], told["score"]["mean"], told["score"]["n"]) == (2, 1, 1.0, 2)
        assert [(row.outcome, row.correct, row.error) for row in rows_of(out)] == [
            ("ok", True, None), ("failed", None, "/v1/completions: HTTP 500: out of memory"), ("ok", True, None)]
        broken = False
        suite(text, out).run()
        assert [row.outcome for row in rows_of(out)].count("failed") == 1
        suite(text, out, retry_failed=True).run()
        assert all(row.correct for row in rows_of(out))
        assert len(rows_of(out)) == 3

        likelihoods = text.replace('form = "generate"', 'form = "choice"').replace("mine", "other")
        (tmp_path / "other.jsonl").write_text('{"prompt": "a", "choices": ["b", "c"], "answer": 0}\n')
        refused = suite(likelihoods, tmp_path / "out2").run()
        assert "name a tokenizer.json or the folder that holds it" in refused["failed"][0]["why"]


def test_a_sampled_chat_is_asked_with_seeds_of_its_own_and_read_after_its_reasoning(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"prompt": "Sure?", "answer": "yes"}\n')
    asked: list[dict[str, Any]] = []

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/models":
            return 200, {"data": [{"id": "m"}]}
        if path != "/v1/completions":
            return 404, {}
        asked.append(body)
        said = ("yes", "no", "yes")[len(asked) % 3]
        return 200, {"choices": [{"text": f"<think>\nno, or yes?\n</think>\n\n{said}\nSure."}]}

    with answering(answer) as url:
        text = (f'name = "t"\ntokenizer = "{data("datasets") / "models" / "tiny"}"\n[[task]]\nname = "mine"\n'
                'file = "mine.jsonl"\nform = "generate"\nchat = true\ntemperature = 1.0\nrepeats = 3\n'
                f'[[engine]]\nname = "openai"\noptions = [{{ url = "{url}" }}]\n')
        task = suite(text, tmp_path / "a").run()["cells"][0]["tasks"]["mine"]
        suite(text, tmp_path / "b").run()
        suite(f"seed = 1\n{text}", tmp_path / "c").run()
    assert [body["stop"] for body in asked] == [[]] * 9, "a line's end would end the reasoning"
    seeds = [tuple(body["seed"] for body in asked[at:at + 3]) for at in (0, 3, 6)]
    assert len(set(seeds[0])) == 3
    assert seeds[0] == seeds[1] != seeds[2]
    assert (task["items"], task["score"]["n"], task["score"]["mean"]) == (1, 3, pytest.approx(2 / 3))


def test_a_word_that_an_engine_does_not_know_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    text = TINY + 'options = [{}, { kv_typ = "q8_0" }]\n'
    with pytest.raises(UsageError, match=r"options of llama.cpp: kv_typ: unknown key; did you mean 'kv_type'"):
        suite(text, tmp_path / "out").plan()


@pytest.mark.parametrize(("old", "new", "said"), [
    ("tiny_question", "tiny_questoin", "no task 'tiny_questoin'; did you mean 'tiny_question'"),
    ('tasks = ["tiny_four_choice", "tiny_question"]', "", "nothing is asked"),
    ("limit = 4", "limit = 0", "limit"),
    ("limit = 4", "limits = 4", "did you mean 'limit'"),
    ('name = "t"', 'name = "../t"', "name"),
    ("limit = 4", '[[task]]\nname = "x"\nfile = "x.jsonl"', "file needs form"),
    ("limit = 4", '[[task]]\nname = "x"\nform = "choice"', "give either file with form, or lm_eval"),
    ("limit = 4", '[[task]]\nname = "x"\nfile = "no.jsonl"\nform = "text"', "no such file"),
    ("limit = 4", '[[task]]\nname = "x"\nfile = "x"\nform = "text"\nrepeats = 2', "greedy answers are all the same"),
    ("limit = 4", '[[task]]\nname = "x"\nfile = "x"\nform = "generate"\nanswer = "("', "not a regular expression"),
    ("limit = 4", '[[task]]\nname = "x"\nlm_eval = "x"\nrepeats = 2\ntemperature = 1.0', "repeats: means nothing"),
    ("limit = 4", '[[task]]\nname = "x"\nfile = "x"\nform = "text"\nshots = 2', "shots: means nothing beside file"),
    ('quant = ["Q4_0"]', 'quant = ["Q4_O"]', "Q4_O"),
])
def test_what_is_wrong_with_a_suite_is_one_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")) as raised:
        suite(TINY.replace(old, new), tmp_path / "out").run()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("form", "line", "said"), [
    ("choice", "{", "x.jsonl:2: not JSON"),
    ("choice", "[]", "x.jsonl:2: not a JSON object"),
    ("generate", r'{"prompt": "\ud83d", "answer": "a"}', "x.jsonl:2: holds half a character"),
    ("choice", '{"prompt": "a", "answer": 0}', "x.jsonl:2: column 'choices'"),
    ("choice", '{"prompt": "a", "choices": ["b", "c"], "answer": 2}', "x.jsonl:2: column 'answer' is 2"),
    ("choice", '{"prompt": "a", "choices": ["b", "b"], "answer": 0}', "one option twice"),
    ("choice", '{"choices": ["b", "c"], "answer": 0}', "'prompt' is undefined; its columns are choices, answer"),
    ("choice", '{"task_id": "1", "prompt": "a", "choices": ["b", "c"], "answer": "c"}', "id '1' is there twice"),
    ("generate", '{"prompt": "a"}', "column 'answer' is missing"),
    ("code", '{"prompt": "a", "test": "b"}', "column 'entry_point' is missing"),
])
def test_what_is_wrong_with_an_item_is_said_with_its_line(form: str, line: str, said: str, tmp_path: Path) -> None:
    good = {"task_id": "1", "prompt": "a", "choices": ["b", "c"], "answer": 1, "test": "t", "entry_point": "f"}
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(good)}\n{line}\n")
    spec = TaskSpec.model_validate({"name": "x", "file": str(tmp_path / "x.jsonl"), "form": form})
    with pytest.raises(UsageError, match=said):
        Lines(spec).items()


@pytest.mark.parametrize(("content", "said"), [
    (b'{"prompt": "caf\xe9"}', "x.jsonl: cannot be read: 'utf-8' codec"),
    (b"[" * 100_000, "x.jsonl:1: not JSON"),
])
def test_a_file_that_is_no_text_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        Lines(TaskSpec.model_validate({"name": "x", "file": str(tmp_path / "x.jsonl"), "form": "text"})).items()


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"text": "a b c d e f g"}\n' * 99)
    (tmp_path / "x.jsonl.gz").write_bytes(whole[:20] + bytes(9) + whole[29:])
    with pytest.raises(UsageError, match=r"x\.jsonl\.gz: cannot be read"):
        Lines(TaskSpec.model_validate({"name": "x", "file": str(tmp_path / "x.jsonl.gz"), "form": "text"}))


def test_a_line_ends_where_its_json_does(tmp_path: Path) -> None:
    """U+2028 and U+0085 are characters of a text; a byte-order mark and a carriage return are none."""
    (tmp_path / "x.jsonl").write_bytes('\ufeff{"text": "a\u2028b"}\r\n\r\n{"text": "c\x85d"}'.encode())
    items = Lines(TaskSpec.model_validate({"name": "x", "file": str(tmp_path / "x.jsonl"), "form": "text"})).items()
    assert [(item.item, item.prompt) for item in items] == [("1", "a\u2028b"), ("3", "c\x85d")]
    assert len(read_text(tmp_path / "x.jsonl", lambda text: list(map(ord, text))).rows) == 2


def test_a_choice_may_name_its_answer_and_options_begin_with_a_space(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"prompt": "The sky is", "choices": ["red", " blue"], "answer": " blue"}\n')
    (item,) = Lines(TaskSpec.model_validate({"name": "x", "file": str(tmp_path / "x.jsonl"), "form": "choice"})).items()
    assert (item.options, item.labels, item.right, item.right_label, item.item) == (
        (" red", " blue"), ("red", "blue"), 1, "blue", "1")


def test_the_example_loads_with_its_tasks_and_cells(tmp_path: Path) -> None:
    text = (data("examples") / "quality.toml").read_text()
    spec = parse(SuiteSpec, text, "quality.toml")
    assert [setting.quant for setting in spec.settings()] == ["F16", "Q8_0", "Q4_0", "TQ2_0"]
    assert {one.form for one in spec.specs(tmp_path)} == {"choice", "code", "text"}
    plain = text.replace("# [[", "[[").replace("# name", "name").replace("# file", "file").replace("# form", "form")
    whole = parse(SuiteSpec, plain.replace("# lm_eval", "lm_eval").replace("# data", "data"), "quality.toml")
    assert [one.name for one in whole.task] == ["mine", "mmlu"]


def two_cells(tmp_path: Path, second: list[Row]) -> Path:
    first = [Row("t", str(number), "s", outcome="ok", answer="a", expected="a", correct=True, score=1.0,
                 loglik=(-1.0, -2.0), margin_nats=1.0) for number in range(4)]
    for name, rows in (("F16", first), ("Q4_0", second)):
        where = Provenance("real", "x", engine="llama.cpp", model="tiny", quant=name, kv_type="f16")
        write(QualityLog(where, tuple(rows), tasks={"t": {"sha256": "x"}}), tmp_path / f"llama.cpp-tiny-{name}" / ROWS)
    return tmp_path


def test_flips_are_the_items_whose_score_changed_either_way(tmp_path: Path) -> None:
    turned = Row("t", "1", "s", outcome="ok", answer="b", expected="a", correct=False, score=0.0, margin_nats=0.5)
    same = [Row("t", str(number), "s", outcome="ok", answer="a", correct=True, score=1.0) for number in (0, 2)]
    out = two_cells(tmp_path, [*same, turned, Row("t", "3", "s", outcome="failed", error="HTTP 500")])
    found = quality_show.flips(out, "F16", "q4_0")["tasks"]["t"]
    assert (found["n"], found["failed"], found["only_first"], found["only_second"]) == (3, 1, 1, 0)
    assert [(item["item"], item["first"], item["second"]) for item in found["changed"]] == [("1", "a", "b")]
    assert "not distinguishable from F16 on 3 items" in found["words"]

    def said(*words: str) -> str:
        return CliRunner().invoke(group, ["show", str(out), *words], catch_exceptions=False).stdout

    line = " ".join(said("--flips", "F16", "q4_0", "--task", "t").split())
    assert "t: 1 of 3 scored items changed; q4_0: not distinguishable" in line
    assert "1 failed in one of the two and do not count" in line
    assert said("--task", "t").count(" t ") == 2
    for wrong in (["--task", "tt"], ["--flips", "F16", "q4_0", "--task", "tt"]):
        with pytest.raises(UsageError, match="no task 'tt' there; did you mean 't'"):
            said(*wrong)
    with pytest.raises(UsageError, match="of which cell"):
        said("--failed")


@pytest.mark.parametrize(("margin_nats", "holds"), [(0.04, True), (0.06, False)])
def test_engines_must_agree_where_an_option_is_ahead_in_either(tmp_path: Path, margin_nats: float, holds: bool) -> None:
    rows = [Row("t", str(number), outcome="ok", answer="a", loglik=(-1.0, -2.5), margin_nats=1.5)
            for number in (0, 2, 3)]
    rows.append(Row("t", "1", outcome="ok", answer="b", loglik=(-1.5, -1.5 + margin_nats), margin_nats=margin_nats))
    out = two_cells(tmp_path, rows)
    log = read(out / "llama.cpp-tiny-F16")
    near = [Row(**{**row.as_dict(), "margin_nats": 0.01 if row.item == "1" else 1.0}) for row in log.rows]
    write(QualityLog(log.provenance, tuple(near), tasks=log.tasks), out / "llama.cpp-tiny-F16" / ROWS)
    found = quality_show.crosscheck(out, "F16", "Q4_0")
    (task,) = found["tasks"]
    assert (found["holds"], task["holds"], task["equal"], task["n"]) == (holds, holds, 3, 4)
    assert [item["item"] for item in task["disagreements"]] == ["1"]
    assert task["largest_nats"] == pytest.approx(0.5 + margin_nats)
    assert [item["near_tie"] for item in task["disagreements"]] == [holds]


def test_written_texts_that_differ_are_listed_and_decide_nothing(tmp_path: Path) -> None:
    out = two_cells(tmp_path, [Row("t", "0", outcome="ok", answer="b", output="b")])
    log = read(out / "llama.cpp-tiny-F16")
    write(QualityLog(log.provenance, (Row("t", "0", outcome="ok", answer="a", output="a"),), tasks=log.tasks),
          out / "llama.cpp-tiny-F16" / ROWS)
    (task,) = quality_show.crosscheck(out, "F16", "Q4_0")["tasks"]
    assert (task["holds"], task["decisive"], task["equal"]) == (True, 0, 0)
    assert [item["near_tie"] for item in task["disagreements"]] == [None]
    shown = CliRunner().invoke(group, ["crosscheck", str(out), "F16", "Q4_0"], catch_exceptions=False).stdout
    assert "not known" in shown


def test_a_cell_is_found_by_what_no_other_has(tmp_path: Path) -> None:
    out = two_cells(tmp_path, [Row("t", "0", outcome="ok")])
    assert quality_show.one_of(quality_show.cells(out), "llama.cpp q4_0").provenance.quant == "Q4_0"
    with pytest.raises(UsageError, match=r"may be llama\.cpp-tiny-F16 or llama\.cpp-tiny-Q4_0"):
        quality_show.one_of(quality_show.cells(out), "llama.cpp")
    with pytest.raises(UsageError, match="no cell 'Q8'"):
        quality_show.flips(out, "F16", "Q8")
    with pytest.raises(UsageError, match="no quality rows there"):
        quality_show.show(tmp_path / "nothing")


def test_yaml_of_the_users_that_names_functions_is_refused_unasked(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "t.yaml").write_text("task: t\nprocess_docs: !function utils.f\n")
    text = TINY.replace("limit = 4", '[[task]]\nname = "t"\nlm_eval = "t"\ninclude = "mine"')
    with pytest.raises(UsageError, match=r"t\.yaml names a !function"):
        suite(text, tmp_path / "out")
    suite(text, tmp_path / "out", allow_code=True)


def test_without_lm_eval_its_tasks_are_refused_naming_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_ENGINES", str(tmp_path / "none"))
    with pytest.raises(Failure, match="workbench quality install"):
        suite(TINY.replace("tiny_question", "lm_eval_tiny_cloze"), tmp_path / "out").plan()
