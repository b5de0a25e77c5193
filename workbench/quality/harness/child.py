"""`PYTHON -P child.py CONFIG.json`: the items of lm-eval's tasks, or what the answers to them are worth.

Lines of JSON go to the file that CONFIG names; the last one ends it. Nothing here talks to a model.
"""

import difflib
import json
import math
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

OURS = Path(__file__).resolve().parent / "tasks"
SEED, NUMPY_SEED = 0, 1234  # lm-eval's own defaults: scores that people quote were made with them
BOOTSTRAP = 1000  # 0 would make every standard error "N/A"


class Wrong(Exception):
    """What the user asked for cannot be had; the text says why."""


def load(asked: dict[str, Any]) -> tuple[Any, list[Any]]:
    """(lm-eval's manager, the tasks or groups as it makes them, on local files where some are given)."""
    from lm_eval.tasks import TaskManager

    folders = [str(OURS), *([asked["include"]] if asked["include"] else [])]
    manager = TaskManager(include_path=folders, include_defaults=False)
    name = asked["lm_eval"]
    if name not in manager.task_index:
        manager = TaskManager(include_path=folders)
    if name not in manager.task_index:
        near = difflib.get_close_matches(name, manager.task_index, n=1)
        raise Wrong(f"lm-eval has no task {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    files = {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": asked["data"]}}
    _seed()
    # `load` merges nothing into a task that it knows: what is changed goes to the factory
    made = manager._factory.build(manager.task_index[name], overrides=files if asked["data"] else None,
                                  registry=manager.task_index)
    return manager, made if isinstance(made, list) else [made]


def _seed() -> None:
    import numpy as np

    random.seed(SEED)
    np.random.seed(NUMPY_SEED)


def items(asked: dict[str, Any], chat: Any) -> Iterator[dict[str, Any]]:
    """One line for each document: what is to be asked, and how lm-eval knows it again."""
    from lm_eval.evaluator_utils import get_sample_size

    manager, made = load(asked)
    for name, task in manager.load(made)["tasks"].items():
        if asked["shots"] is not None and task.get_config("num_fewshot") != 0:
            task.set_config(key="num_fewshot", value=asked["shots"])
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=NUMPY_SEED)
        task.build_all_requests(
            limit=get_sample_size(task, asked["limit"]), apply_chat_template=chat is not None, chat_template=chat,
            fewshot_as_multiturn=True, tokenizer_name="", system_instruction=asked["system"] or None,
        )
        by_doc = defaultdict(list)
        for instance in task.instances:
            by_doc[instance.doc_id].append(instance)
        for doc_id, instances in by_doc.items():
            yield _item(asked["name"], name, task, doc_id, sorted(instances, key=lambda one: one.idx))
        yield {"task": asked["name"], "config": _described(name, task)}


def _item(suite_name: str, name: str, task: Any, doc_id: int, instances: list[Any]) -> dict[str, Any]:
    from workbench.quality.harness.lm import digest

    doc, first = instances[0].doc, instances[0]
    pairs = [list(instance.args) for instance in instances]
    found = {"task": suite_name, "lm_task": name, "doc_id": doc_id, "kind": first.request_type,
             "asked": digest(pairs), "repeats": first.repeats or 1,
             "item": str(doc.get("task_id", f"{name}/{doc_id}")), "subject": str(doc.get("subject", name))}
    if first.request_type == "generate_until":
        return {**found, "prompt": pairs[0][0], "sampling": pairs[0][1]}
    if first.request_type == "loglikelihood_rolling":
        return {**found, "prompt": pairs[0][0]}
    choices = task.doc_to_choice(doc) if task.OUTPUT_TYPE == "multiple_choice" else [pairs[0][1]]
    right = task.doc_to_target(doc)
    return {**found, "pairs": pairs, "labels": [str(choice).strip() for choice in choices],
            "right": right if isinstance(right, int) and 0 <= right < len(choices) else None}


def _described(name: str, task: Any) -> dict[str, Any]:
    """What of a task decides its scores, as text."""
    config = task.dump_config()
    kept = ("output_type", "doc_to_text", "doc_to_target", "doc_to_choice", "target_delimiter", "fewshot_delimiter",
            "description", "num_fewshot", "generation_kwargs", "metric_list", "repeats")
    version = (config.get("metadata") or {}).get("version")
    return {"lm_task": name, "version": version, **{key: config[key] for key in kept if key in config}}


def score(asked: dict[str, Any], chat: Any, answers: dict[Any, list[Any]],
          digests: dict[Any, str]) -> Iterator[dict[str, Any]]:
    """One line for each document and filter with its metrics, and lm-eval's own totals."""
    import lm_eval

    from workbench.quality.harness.lm import AnsweredLM, digest

    manager, made = load(asked)
    done = lm_eval.simple_evaluate(
        model=AnsweredLM(answers, chat), tasks=made, task_manager=manager, num_fewshot=asked["shots"],
        limit=asked["limit"], apply_chat_template=chat is not None, fewshot_as_multiturn=True,
        system_instruction=asked["system"] or None, bootstrap_iters=BOOTSTRAP, log_samples=True,
        confirm_run_unsafe_code=True, random_seed=SEED, numpy_random_seed=NUMPY_SEED, fewshot_random_seed=NUMPY_SEED,
    )
    for name, samples in done["samples"].items():
        for sample in samples:
            key = (name, sample["doc_id"])
            if digest(sample["arguments"]) != digests[key]:
                raise Wrong(f"{name}, document {sample['doc_id']}: lm-eval asks something else than before")
            yield {"task": asked["name"], "lm_task": name, "doc_id": sample["doc_id"], "filter": sample["filter"],
                   "metrics": {metric: sample[metric] for metric in sample["metrics"]},
                   "answer": sample["filtered_resps"][0], "target": sample["target"]}
    yield {"task": asked["name"], "results": done["results"], "versions": done.get("versions", {}),
           "n-shot": done.get("n-shot", {})}


def _chat(config: dict[str, Any]) -> Any:
    """The model's chat template, in the sandbox; a system message and worked examples are turns of their own."""
    if not config["chat_template"]:
        return None
    from workbench.quality.template import Template

    template = Template(config["chat_template"], "chat template", strict=False)

    def render(history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return template.render({"messages": history, "add_generation_prompt": add_generation_prompt,
                                **config["special"]})

    return render


def _answers(path: str) -> tuple[dict[Any, list[Any]], dict[Any, str]]:
    answers, digests = defaultdict(list), {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            found = json.loads(line)
            key = (found["lm_task"], found["doc_id"])
            answers[key].append(found["answer"])
            digests[key] = found["asked"]
    return answers, digests


def run(config: dict[str, Any], out: IO[str]) -> None:
    for asked in config["tasks"]:
        chat = _chat(config) if asked["chat"] else None
        found = score(asked, chat, *_answers(asked["answers"])) if "answers" in asked else items(asked, chat)
        for line in found:
            out.write(json.dumps(_plain(line), default=str) + "\n")


def _plain(value: Any) -> Any:
    """JSON has neither NaN nor infinity, nor numpy's numbers."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(path: Path) -> int:
    from importlib import metadata

    config = json.loads(path.read_text(encoding="utf-8"))
    with open(config["out"], "w", encoding="utf-8") as out:
        try:
            run(config, out)
            end = {"end": True, "version": metadata.version("lm_eval")}
        except Wrong as wrong:
            end = {"end": True, "wrong": str(wrong)}
        out.write(json.dumps(end) + "\n")
    return 0


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[3]))  # ours, after everything that is installed there
    raise SystemExit(main(Path(sys.argv[1])))
