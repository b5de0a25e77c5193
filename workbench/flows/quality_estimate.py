"""How long a suite will take: from answers to the same task that were timed here, else from stated defaults."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean

from workbench.quality.items import Item
from workbench.quality.rows import Row

CALL_S = 0.002  # one request over HTTP, as the shipped model's were on 2 cores
FLOP_PER_S = 5e9  # of one thread; two for each parameter and token
CHARS_PER_TOK = 3.0
SANDBOX_S = 0.1  # of one program; a row's `took_ns` ends with the answer, before it is run
START_S = 10.0


def default_s(item: Item, params: int) -> float:
    """Of one item: tokens that are computed, requests that are made, and code that is run."""
    prompt_tok = len(item.prompt) / CHARS_PER_TOK
    answer_tok = sum(len(option) for option in item.options) / CHARS_PER_TOK
    calls = {"choice": answer_tok, "text": prompt_tok, "generate": 1.0, "code": 1.0}[item.form]
    tokens = prompt_tok + (answer_tok if item.options else 0.0 if item.form == "text" else item.sampling.max_tok / 2)
    return calls * CALL_S + tokens * 2 * params / FLOP_PER_S + (SANDBOX_S if item.form == "code" else 0.0)


def estimate_s(left: Sequence[Item], rows: Iterable[Row], params: int) -> tuple[float, str]:
    """Seconds for the items that are left, an engine's start included, and where the figure comes from."""
    took: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.took_ns is not None and row.outcome == "ok":
            took[row.task].append(row.took_ns / 1e9)
    known = {task: fmean(values) for task, values in took.items()}
    total = sum(default_s(item, params) if item.task not in known
                else known[item.task] + (SANDBOX_S if item.form == "code" else 0.0) for item in left)
    whole = all(item.task in known for item in left)
    return (total + START_S if left else 0.0), "measured" if whole and left else "default"
