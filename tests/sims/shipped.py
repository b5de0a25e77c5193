"""Shipped plane scenarios as tests use them: as they are, or with the lines changed that their comments name."""

import math
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from sims.plane.run import PlaneResult
from sims.plane.scenario import PlaneCase
from workbench import paths
from workbench.chapters import playing

FOLDER = paths.data("scenarios") / "plane"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def text_of(name: str) -> str:
    return (FOLDER / f"{name}.toml").read_text()


def changed(name: str, *edits: tuple[str, str]) -> str:
    """Its text with each edit made; the old text occurs exactly once."""
    return playing.changed(text_of(name), *edits)


def without(name: str, *tables: str) -> str:
    """Its text without these tables (`control.queue`) and all inside them."""
    return playing.without(text_of(name), *tables)


def case_of(text: str, folder: Path = FOLDER) -> PlaneCase:
    return PlaneCase.of(text, "scenario.toml", folder)


def play(text: str, seed: int = 1, **more: Any) -> PlaneResult:
    return case_of(text).run(seed, **more)


@cache
def as_shipped(name: str, seed: int = 1) -> PlaneResult:
    """Read only."""
    return play(text_of(name), seed)


def rows(found: PlaneResult, tenant: str | None = None) -> list[dict[str, Any]]:
    names = [name for name in ("request_id", "tenant", "tier", "outcome", "error", "replica", "model", "engine",
                               "intended_ns", "sent_ns", "admit_ns", "first_token_ns", "end_ns", "attempts",
                               "asked_prompt_tok", "asked_output_tok", "cached_tok", "output_tok", "price_pusd",
                               "cost_pusd") if name in found.log.table.column_names]
    every: list[dict[str, Any]] = found.log.table.select(names).to_pylist()
    return every if tenant is None else [row for row in every if row["tenant"] == tenant]


def outcomes(found: PlaneResult, tenant: str | None = None) -> Counter[str]:
    return Counter(row["outcome"] for row in rows(found, tenant))


def ttft_s(found: PlaneResult, tenant: str | None = None, q: float = 0.95) -> float:
    """A quantile over the answered (nearest rank)."""
    waits = sorted(row["first_token_ns"] - row["sent_ns"] for row in rows(found, tenant) if row["outcome"] == "ok")
    return float(waits[math.ceil(q * len(waits)) - 1]) / 1e9


def content(found: PlaneResult, since_s: float = 0, until_s: float = math.inf) -> int:
    """Answered requests that ended in that time."""
    return sum(row["outcome"] == "ok" and since_s <= row["end_ns"] / 1e9 < until_s for row in rows(found))
