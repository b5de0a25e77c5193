"""One cell's rows as figures a person reads: a share right with its interval, or a perplexity, and what went wrong."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.quality.pass_at_k import pass_at_k
from workbench.quality.rows import Row
from workbench.quality.store import QualityLog
from workbench.runlog.provenance import Provenance
from workbench.stats.accuracy import accuracy


def summary(log: QualityLog) -> dict[str, Any]:
    """What the cell is, and each task's figures."""
    found = log.provenance
    names = list(dict.fromkeys(row.task for row in log.rows))
    version = found.engine_facts.get("version", {}).get("seen")
    return {
        "engine": found.engine, "version": version, "model": found.model, "quant": found.quant,
        "kv_type": found.kv_type, "gpus": gpus_of(found), "weights_id": found.weights_id, "partial": log.partial,
        "sandbox": found.workload.get("sandbox"),
        "tasks": {name: of_task([row for row in log.rows if row.task == name]) for name in names},
    }


def gpus_of(provenance: Provenance) -> int | None:
    """How many share each layer, as the engine was asked; None where it takes no such thing."""
    fact = provenance.engine_facts.get("tp")
    asked = fact.get("asked") if isinstance(fact, dict) else None
    return asked if isinstance(asked, int) else None


def of_task(rows: Sequence[Row]) -> dict[str, Any]:
    """Failed items are counted beside the score, never in it."""
    good = [row for row in rows if row.outcome == "ok"]
    found: dict[str, Any] = {
        "items": len({row.item for row in rows}), "rows": len(rows), "ok": len(good), "failed": len(rows) - len(good),
        "truncated": sum(row.truncated for row in rows),
        "seconds": round(sum(row.took_ns or 0 for row in rows) / 1e9, 2),
    }
    scored = [row for row in good if row.score is not None]
    if scored:
        values = np.array([row.score for row in scored], dtype=np.float64)
        if values.min() >= 0 and values.max() <= 1:
            # answers to one item hang together, and so do items of one subject
            clusters = [row.subject or row.item for row in scored]
            found["score"] = _interval(values, clusters)
        else:
            found["mean"] = float(values.mean())
    if drawn := _pass_at([row for row in scored if row.verdict is not None]):
        found["pass_at"] = drawn
    texts = [row for row in good if row.loglik is not None and row.text_bytes]
    if texts:
        nats, tokens = -sum(sum(row.loglik or ()) for row in texts), sum(row.output_tok or 0 for row in texts)
        found["perplexity"] = math.exp(nats / tokens)
        found["bits_per_byte"] = nats / math.log(2) / sum(row.text_bytes or 0 for row in texts)
        found["tokens"] = tokens
    return found


def _pass_at(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """pass@k of code that was drawn several times, for each k that the item with the fewest answers allows; pass@1 is
    the score."""
    by_item: dict[str, list[Row]] = {}
    for row in rows:
        by_item.setdefault(row.item, []).append(row)
    fewest = min(map(len, by_item.values()), default=0)
    passed = [(len(drawn), sum(row.verdict == "passed" for row in drawn)) for drawn in by_item.values()]
    subjects = [drawn[0].subject or drawn[0].item for drawn in by_item.values()]
    return {str(k): _interval(np.array([float(pass_at_k(n, good, k)) for n, good in passed]), subjects)
            for k in sorted({10, 100, fewest}) if 1 < k <= fewest}


def _interval(values: np.ndarray[Any, np.dtype[np.float64]], clusters: Sequence[str]) -> dict[str, float]:
    repeated = len(set(clusters)) < len(values)
    found = accuracy(values, clusters if repeated else None)
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": found.n}
