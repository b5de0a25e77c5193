"""Prompt lengths on a server whose tokenizer is not known: learnt from its own usage, and the lengths obtained.

A prompt is made of units (words, or tokens of a tokenizer around which the server puts a template), and its length
is read off a curve of what such prompts were counted as.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.runlog.schema import Row

ROUNDS = 4
GOOD_ENOUGH_TOK = 1.0
Probe = Callable[[Sequence[int]], Sequence[int | None]]  # units of each prompt -> tokens that the server counted


@dataclass(frozen=True, slots=True)
class Curve:
    """Mean tokens at some numbers of units, rising; a straight line beyond them."""

    units: tuple[int, ...]
    tok: tuple[float, ...]

    @staticmethod
    def of(seen: Sequence[tuple[int, int]]) -> "Curve":
        units = sorted({unit for unit, _ in seen})
        means = [np.mean([tok for unit, tok in seen if unit == at]) for at in units]
        return Curve(tuple(units), tuple(float(value) for value in np.maximum.accumulate(means)))

    @property
    def tok_per_unit(self) -> float:
        """The slope from the first point to the last; 1 where that tells nothing."""
        rise, run = self.tok[-1] - self.tok[0], self.units[-1] - self.units[0]
        return rise / run if rise > 0 else 1.0

    @property
    def constant_tok(self) -> float:
        return self.tok[0] - self.tok_per_unit * self.units[0]

    def units_for(self, tok: float) -> int:
        """How many units come nearest to so many tokens; at least one."""
        at = float(np.interp(tok, self.tok, self.units))
        beyond = min(0.0, tok - self.tok[0]) + max(0.0, tok - self.tok[-1])
        return max(1, round(at + beyond / self.tok_per_unit))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curve found, the probes it took, and how far the last ones were off their targets (worst mean, tokens)."""

    curve: Curve
    probes: int
    miss_tok: float | None  # None: the last lengths were not tried

    def as_dict(self) -> dict[str, Any]:
        return {
            "tok_per_unit": round(self.curve.tok_per_unit, 4), "constant_tok": round(self.curve.constant_tok, 2),
            "probes": self.probes, "probe_miss_tok": self.miss_tok,
        }


def calibrate(probe: Probe, targets_tok: Sequence[int]) -> Calibration | None:
    """Probe until the shortest, middle and longest target are met within a token on average, or no better is found.

    None where the server reports no usage.
    """
    ranked = sorted(targets_tok)
    targets = sorted({ranked[0], ranked[len(ranked) // 2], ranked[-1]})
    units = [max(1, targets[0] // 4), max(2, targets[-1] // 2)]
    seen: list[tuple[int, int]] = []
    for _ in range(ROUNDS):
        found = [(unit, tok) for unit, tok in zip(units, probe(units), strict=True) if tok is not None]
        if not found:
            return None
        seen += found
        curve = Curve.of(seen)
        wanted = [curve.units_for(tok) for tok in targets]
        miss = max(_miss(seen, unit, tok) for unit, tok in zip(wanted, targets, strict=True))
        if miss <= GOOD_ENOUGH_TOK:
            break
        units = [unit for unit in wanted for _ in range(2)]
    return Calibration(curve, len(seen), miss if np.isfinite(miss) else None)


def _miss(seen: Sequence[tuple[int, int]], unit: int, target_tok: int) -> float:
    """How far prompts of so many units were off, on average; without limit where none was sent."""
    tok = [got for at, got in seen if at == unit]
    return abs(float(np.mean(tok)) - target_tok) if tok else float("inf")


def obtained(rows: Sequence[Row]) -> dict[str, Any]:
    """Asked and obtained lengths of the requests that ended ok, in tokens."""
    good = [row for row in rows if row.outcome == "ok"]
    return {
        "prompt_tok": _compare([(row.asked_prompt_tok, row.prompt_tok) for row in good]),
        "output_tok": _compare([(row.asked_output_tok, row.output_tok) for row in good]),
    }


def _compare(pairs: Sequence[tuple[int | None, int | None]]) -> dict[str, Any]:
    known = [(asked, got) for asked, got in pairs if asked is not None and got is not None]
    if not known:
        return {"n": 0} | dict.fromkeys(("asked_mean", "mean", "min", "max", "worst_miss", "exact_frac"))
    asked, got = np.array(known, dtype=np.int64).T
    return {
        "n": len(known), "asked_mean": float(asked.mean()), "mean": float(got.mean()), "min": int(got.min()),
        "max": int(got.max()), "worst_miss": int(np.abs(got - asked).max()), "exact_frac": float((got == asked).mean()),
    }
