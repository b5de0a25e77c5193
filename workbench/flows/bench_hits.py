"""How much of the prompts an engine found in its prefix cache, beside what the workload had in common."""

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.workload.prefix import Ids, ideal_hit_frac

if TYPE_CHECKING:
    from workbench.runlog.table import RunLog


def hits(log: "RunLog") -> dict[str, Any]:
    """`hit_frac`: cached over prompt tokens, as the answers' usage tells them; null where the server tells none.

    `ideal_hit_frac`: of a cache that forgets nothing and takes requests one after another, in whole blocks of
    `block_tok`. Null where prompts share nothing on purpose: then a hit is an accident.
    """
    cached, prompt = log.ok.floats("cached_tok"), log.ok.floats("prompt_tok")
    known = ~np.isnan(cached) & ~np.isnan(prompt)
    asked = float(prompt[known].sum())
    return {"hit_frac": float(cached[known].sum()) / asked if asked else None, "n": int(known.sum()), **_ideal(log)}


def _ideal(log: "RunLog") -> dict[str, Any]:
    """Over the requests that ended ok, in the order in which they were sent."""
    sizes = np.unique(log.ints("prefix_tok"))
    sizes = sizes[sizes > 0]
    if len(sizes) != 1:
        return {"shared_on_purpose": bool(len(sizes)), "ideal_hit_frac": None, "block_tok": None}
    good = log.ok
    row, values = good.lists("prefix_ids")
    edges = np.searchsorted(row, np.arange(len(good) + 1))
    order = np.argsort(good.ints("sent_ns"), kind="stable")
    ids: list[Ids] = [tuple(values[edges[i] : edges[i + 1]].tolist()) for i in order.tolist()]
    asked = good.ints("asked_prompt_tok")[order]
    return {"shared_on_purpose": True, "ideal_hit_frac": ideal_hit_frac(ids, int(sizes[0]), asked),
            "block_tok": int(sizes[0])}
