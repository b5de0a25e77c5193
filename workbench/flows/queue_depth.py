"""How many requests wait, over time: from each request's arrival to the start of its work in an engine."""

import numpy as np

from workbench.runlog.table import RunLog


def queue_depth(log: RunLog) -> dict[str, float]:
    """Mean (by Little's law: rate x mean wait), 95th and 99th percentile over time, and the most."""
    sent, start = log.floats("sent_ns"), log.floats("start_ns")
    end = np.nanmax(log.floats("end_ns"))
    known = ~np.isnan(sent)
    until = np.where(np.isnan(start), log.floats("end_ns"), start)[known]
    until = np.where(np.isnan(until), end, until)
    moments = np.concatenate((sent[known], until))
    change = np.concatenate((np.ones(known.sum()), -np.ones(known.sum())))
    order = np.lexsort((change, moments))  # who leaves the queue at the same instant goes first
    depth = np.cumsum(change[order])
    lasts = np.diff(np.append(moments[order], end))
    total = lasts.sum()
    ranked = np.argsort(depth, kind="stable")
    reached = np.cumsum(lasts[ranked]) / total if total else np.ones(len(ranked))
    at = {f"p{round(100 * q)}": float(depth[ranked[min(int(np.searchsorted(reached, q)), len(ranked) - 1)]])
          for q in (0.95, 0.99)}
    return {"mean": float((depth * lasts).sum() / total) if total else 0.0, **at, "max": float(depth.max(initial=0.0))}
