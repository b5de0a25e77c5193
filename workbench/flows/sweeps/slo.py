"""How much of a run met its SLO, and how sure that is from one run: batch means, for requests of one queue depend."""

from typing import Any

import numpy as np

from workbench.metrics import Slo, meets
from workbench.runlog.table import RunLog
from workbench.stats.intervals import batch_means

BATCHES, LEAST_BATCHES, PER_BATCH = 10, 2, 3


def attained(log: RunLog, slo: Slo) -> dict[str, Any]:
    """Share of the counted requests that met the SLO, in the order they were sent; an interval where enough."""
    counted = log.counted
    order = np.argsort(counted.floats("sent_ns"), kind="stable")  # those never sent come last, and did not meet
    met = meets(counted, slo)[order].astype(np.float64)
    frac = float(met.mean()) if len(met) else 0.0
    batches = min(BATCHES, len(met) // PER_BATCH)
    if batches < LEAST_BATCHES:
        return {"attainment_frac": frac, "low": None, "high": None, "n": len(met)}
    found = batch_means(met, batches)
    return {"attainment_frac": frac, "low": max(0.0, found.low), "high": min(1.0, found.high), "n": len(met)}
