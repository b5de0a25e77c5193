"""Our own run logs as traces: a run, measured or simulated, finished or cut off, is asked again."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.errors import UsageError
from workbench.workload.prefix import Ids
from workbench.workload.traces import Trace, whole_blocks


def read_runlog(path: Path) -> Trace:
    """Every request that has a time: the intended one, else when it was sent (closed loops).

    Lengths are those asked for; the answer's is what came where the request ended ok. Requests of a closed loop that
    were never sent have no time and are left out. Raises UsageError; Failure for what is no run log.
    """
    from workbench.runlog.table import read  # loads pandas, and few workloads need it

    log = read(path)
    intended, sent = log.ints("intended_ns"), log.ints("sent_ns")
    times = np.where(intended >= 0, intended, sent)
    prompts = _first(log.ints("asked_prompt_tok"), log.ints("prompt_tok"))
    answered = np.where(log.is_ok, log.ints("output_tok"), -1)
    outputs = _first(answered, log.ints("asked_output_tok"), log.ints("output_tok"))
    kept = np.flatnonzero((times >= 0) & (prompts >= 1) & (outputs >= 1))
    if not len(kept):
        raise UsageError(f"{path.name}: no request in it has a time and lengths: nothing to ask again")
    order = kept[np.argsort(times[kept], kind="stable")]
    prefix_tok, ids = _prefixes(path.name, log.ints("prefix_tok"), *log.lists("prefix_ids"))
    shared = whole_blocks([ids[i] for i in order.tolist()] if ids else (), prefix_tok or 1, prompts[order])
    who = list(zip(log.text("tenant").tolist(), log.text("tier").tolist(), strict=True))
    return Trace(times[order] - times[order[0]], prompts[order], outputs[order], shared, prefix_tok,
                 tuple(who[i] for i in order.tolist()))


def _first(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row by row the first that is known."""
    found = columns[0]
    for column in columns[1:]:
        found = np.where(found >= 1, found, column)
    return found


def _prefixes(name: str, tok: NDArray[np.int64], row: NDArray[np.int64],
              values: NDArray[np.int64]) -> tuple[int, Sequence[Ids]]:
    """(tokens that an id stands for, each row's ids); (0, ()) where no prompt has any."""
    sizes = np.unique(tok[tok >= 1])
    if not len(sizes):
        return 0, ()
    if len(sizes) > 1:
        raise UsageError(f"{name}: prefix ids stand for {sizes.tolist()} tokens: logs of different workloads in one")
    edges = np.searchsorted(row, np.arange(len(tok) + 1))
    return int(sizes[0]), [tuple(values[a:b].tolist()) for a, b in pairwise(edges.tolist())]
