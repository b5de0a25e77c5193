"""Tables of `workbench quality`: plans, scores, items that changed, engines that agree."""

from typing import Any

from workbench.cli.common import escape, plain

_NEAR = {True: "yes", False: "no", None: "not known"}


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def estimate(plan: list[dict[str, Any]]) -> str:
    left, seconds = sum(item["left"] for item in plan), sum(item["seconds"] for item in plan)
    measured = all(item["basis"] == "measured" for item in plan if item["left"])
    basis = "as measured here" if measured else "a rough default"
    cells, items = f"{len(plan)} cell{'' if len(plan) == 1 else 's'}", sum(item["items"] for item in plan)
    return f"{cells}, {left} of {items} answers to get: about {duration(seconds)} ({basis})"


def plan_table(plan: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("cell", "items", "left", "about", "folder", box=None)
    for item in plan:
        table.add_row(escape(item["cell"]), str(item["items"]), str(item["left"]), duration(item["seconds"]),
                      escape(item["folder"]))
    return table


def scores(cells: list[dict[str, Any]], where: str) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table("engine", "model", "quant", "KV", "GPUs", "task", "score (95 %)", "n", "failed", "truncated", "time",
                  box=None)
    for cell in cells:
        for name, task in cell["tasks"].items():
            table.add_row(*(escape(str(cell[key] or "")) for key in ("engine", "model", "quant", "kv_type", "gpus")),
                          escape(name), _score(task), str(task["ok"]), str(task["failed"] or ""),
                          str(task["truncated"] or ""), duration(task["seconds"]))
    return Group(table, f"rows: {plain(where)}")


def _score(task: dict[str, Any]) -> str:
    if "score" in task:
        return "; ".join([_share(task["score"]),
                          *(f"pass@{k} {_share(found)}" for k, found in task.get("pass_at", {}).items())])
    if "perplexity" in task:
        return f"perplexity {task['perplexity']:.4f}"
    return f"mean {task['mean']:.4f}" if "mean" in task else "none"


def _share(found: dict[str, float]) -> str:
    return f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def flips(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table, lines = Table("item", "expected", found["first"], found["second"], "margins (nats)", box=None), []
    for name, task in found["tasks"].items():
        failed = f"; {task['failed']} failed in one of the two and do not count" if task["failed"] else ""
        words = f"; {task['words']}" if task["n"] else ""  # a text has a likelihood, and no score that could flip
        lines.append(f"{name}: {len(task['changed'])} of {task['n']} scored items changed{words}{failed}")
        for item in task["changed"]:
            margins = [item[f"{side}_margin_nats"] for side in ("first", "second")]
            told = " / ".join(f"{margin:.2f}" for margin in margins if margin is not None)
            table.add_row(escape(f"{name} {item['item']}"), *(escape(_cut(item[key])) for key in
                          ("expected", "first", "second")), told)
    return Group(*(escape(line) for line in lines), "", table)


def agreement(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table("task", "items", "equal", "ahead by more", "of them equal", "largest difference (nats)", box=None)
    apart = Table("item", "expected", found["first"], found["second"], "near tie", box=None)
    for task in found["tasks"]:
        largest = f"{task['largest_nats']:.4f}" if task["largest_nats"] is not None else ""
        table.add_row(escape(task["task"]), str(task["n"]), str(task["equal"]), str(task["decisive"]),
                      str(task["decisive_equal"]), largest)
        for item in task["disagreements"]:
            apart.add_row(escape(f"{task['task']} {item['item']}"), *(escape(_cut(item[key])) for key in
                          ("expected", "first", "second")), _NEAR[item["near_tie"]])
    head = "the same weights" if found["same_weights"] else "not the same weights_id: formats differ, or weights do"
    return Group(head, table, "", apart) if apart.row_count else Group(head, table)


def rows(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("task", "item", "right", "answer", "expected", "margin", "reason", box=None)
    for row in rows:
        margin = row.get("margin_nats")
        right = "" if row.get("correct") is None else "yes" if row["correct"] else "no"
        said = _cut(row.get("verdict") or row.get("answer") or row.get("output"))
        table.add_row(escape(row["task"]), escape(row["item"]), right, escape(said), escape(_cut(row.get("expected"))),
                      "" if margin is None else f"{margin:.2f}", escape(row.get("error", "")))
    return table


def _cut(text: str | None) -> str:
    """Model text in a table cell: one line, not for ever."""
    line = " ".join((text or "").split())
    return line if len(line) <= 60 else line[:57] + "..."
