"""Our side of lm-eval's child: what it says to ask becomes items, what was answered goes back and becomes scores."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import write_json
from workbench.quality.chat import ChatTemplate
from workbench.quality.extract import without_reasoning
from workbench.quality.items import HarnessKey, Item, Reading, Sampling
from workbench.quality.rows import Row
from workbench.quality.task_spec import TaskSpec
from workbench.redact import redact
from workbench.text import one_line

CHILD = Path(__file__).resolve().parent / "child.py"
FORMS = {"loglikelihood": "choice", "loglikelihood_rolling": "text", "generate_until": "generate"}
WITHIN_S = 3600.0
UNSAFE_VARIABLE = "WORKBENCH_UNSAFE"  # read by tasks/code.py
RIGHT_OR_WRONG = frozenset({"acc", "exact_match", "acc_norm", "pass_at_1"})


@dataclass(frozen=True, slots=True)
class Harness:
    """lm-eval under `python`, in `env`: an environment without keys, offline unless data sets may be fetched."""

    python: Path
    env: Mapping[str, str]
    template: ChatTemplate | None = None

    def items(self, specs: Sequence[TaskSpec]) -> tuple[list[Item], dict[str, Any]]:
        """The items of these tasks, and what lm-eval says of each task."""
        lines, version = self._run([_asked(spec) for spec in specs])
        by_name, found, told = {spec.name: spec for spec in specs}, [], dict[str, Any]()
        for line in lines:
            if "config" in line:
                told.setdefault(line["task"], {"lm_eval": version, "configs": []})["configs"].append(line["config"])
            else:
                found.append(_item(line, by_name[line["task"]]))
        return found, told

    def score(
        self, specs: Sequence[TaskSpec], items: Iterable[Item], rows: Iterable[Row]
    ) -> tuple[list[Row], dict[str, Any]]:
        """The rows as lm-eval judges them, and its own totals by task. Failed rows stay as they are."""
        by_item = {(item.task, item.item): item for item in items if item.harness is not None}
        of_spec: dict[str, list[Row]] = {spec.name: [] for spec in specs}
        for row in rows:
            of_spec[row.task].append(row)
        with tempfile.TemporaryDirectory(prefix="workbench-harness-") as folder:
            asked = []
            for spec in specs:
                path = Path(folder) / f"{spec.name}.answers"
                path.write_text("".join(_answer(row, by_item[row.task, row.item]) for row in of_spec[spec.name]))
                asked.append({**_asked(spec), "answers": str(path)})
            lines, _ = self._run(asked)
        metrics = {spec.name: spec.metric for spec in specs}
        scores = {(line["task"], line["lm_task"], line["doc_id"]): line for line in reversed(lines)
                  if "metrics" in line}  # of several filters the first
        failed = {name: sum(row.outcome != "ok" for row in found) for name, found in of_spec.items()}
        totals = {line["task"]: {key: line[key] for key in ("results", "versions", "n-shot")} for line in lines
                  if "results" in line}
        for name, told in totals.items():
            told["failed"] = failed[name]  # above 0, the rest is not what lm-eval would quote
        judged = []
        for spec in specs:
            for row in of_spec[spec.name]:
                key = by_item[row.task, row.item].harness
                assert key is not None
                judged.append(_judged(row, scores[row.task, key.task, key.doc_id], metrics[row.task]))
        return judged, totals

    def _run(self, asked: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
        with tempfile.TemporaryDirectory(prefix="workbench-harness-") as folder:
            config, out = Path(folder) / "config.json", Path(folder) / "lines.jsonl"
            template = self.template
            write_json(config, {"out": str(out), "tasks": asked, "chat_template": template.text if template else "",
                                "special": dict(template.special) if template else {}})
            try:
                done = subprocess.run([str(self.python), "-P", "-B", str(CHILD), str(config)], env=dict(self.env),
                                      cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=WITHIN_S)
            except subprocess.TimeoutExpired:
                raise Failure(f"lm-eval: not ready within {WITHIN_S:g} s") from None
            lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        if lines and "wrong" in lines[-1]:
            raise UsageError(lines[-1]["wrong"])
        if done.returncode or not lines or "end" not in lines[-1]:
            raise Failure(f"lm-eval: {_last_words(done.stderr)}")
        return lines[:-1], lines[-1]["version"]


def _asked(spec: TaskSpec) -> dict[str, Any]:
    return {"name": spec.name, "lm_eval": spec.lm_eval, "include": spec.include, "data": spec.data,
            "shots": spec.shots, "limit": spec.limit, "chat": spec.chat, "system": spec.system}


def _item(line: dict[str, Any], spec: TaskSpec) -> Item:
    form = FORMS[line["kind"]]
    item = Item(
        task=line["task"], item=line["item"], form=form, prompt=line.get("prompt", ""),  # type: ignore[arg-type]
        subject=line["subject"], repeats=line["repeats"],
        reading=Reading(strip_reasoning=spec.chat and spec.strip_reasoning),
        harness=HarnessKey(line["lm_task"], line["doc_id"], line["asked"]),
    )
    if form == "choice":
        prompts, options = zip(*line["pairs"], strict=True)
        labels = tuple(line["labels"])
        return replace(item, prompt=prompts[0], prompts=() if len(set(prompts)) == 1 else prompts, options=options,
                       labels=labels, right=line["right"])
    return replace(item, sampling=_sampling(line["sampling"], spec)) if form == "generate" else item


def _sampling(given: dict[str, Any], spec: TaskSpec) -> Sampling:
    """lm-eval's generation_kwargs; what the suite says goes first."""
    stops = given.get("until") or []
    stops = [stops] if isinstance(stops, str) else stops
    most = spec.max_tok if "max_tok" in spec.model_fields_set else int(given.get("max_gen_toks", 256))
    heat = spec.temperature or (float(given.get("temperature", 0.0)) if given.get("do_sample") else 0.0)
    top_p = spec.top_p if "top_p" in spec.model_fields_set else float(given.get("top_p", 1.0))
    return Sampling(most, tuple(stops) if spec.stop is None else spec.stop, heat, top_p)


def _answer(row: Row, item: Item) -> str:
    key = item.harness
    assert key is not None
    ok = row.outcome == "ok"
    text = without_reasoning(row.output or "") if item.reading.strip_reasoning else row.output
    given = {"output": text} if row.loglik is None else {"loglik": row.loglik, "greedy": row.greedy}
    return json.dumps({"lm_task": key.task, "doc_id": key.doc_id, "asked": key.asked,
                       "answer": given if ok else None}) + "\n"


def _judged(row: Row, said: dict[str, Any], wanted: str) -> Row:
    """With the metric that decides: the one asked for, or the task's first. A text has a likelihood and no verdict."""
    if row.outcome != "ok":
        return row
    metrics = said["metrics"]
    if wanted and wanted not in metrics:
        raise UsageError(f"task {row.task}: metric: {wanted!r}; it has {', '.join(metrics)}")
    name = wanted or next(iter(metrics))
    value = metrics[name]
    if not isinstance(value, bool | int | float):
        return row
    right = bool(value) if value in (0, 1) and (name in RIGHT_OR_WRONG or wanted) else None
    if row.output is not None and isinstance(said["answer"], str):  # a list of programs is nothing to show
        row = replace(row, answer=said["answer"], expected=str(said["target"]))
    return replace(row, score=float(value), correct=right)


def _last_words(stderr: bytes) -> str:
    lines = [line.strip() for line in re.split(r"[\r\n]", stderr.decode("utf-8", "replace")) if line.strip()]
    return one_line(redact(lines[-1]))[:300] if lines else "it wrote nothing"
