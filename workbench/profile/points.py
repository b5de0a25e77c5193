"""A profile's grid from measured points of somebody else's benchmark: prompts of a size, decodes at a context.

Benchmarks time whole phases, so each time is a level for how many tokens (or sequences) there are plus a line in how
much is attended to. Points of equal level at different contexts give the line's slope; the rest is the level.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from workbench.errors import UsageError
from workbench.profile.batch import Batch
from workbench.profile.grid import Grid
from workbench.profile.ranges import Ranges

FS_PER_NS = 1_000_000
# where the attention tables end; they are straight lines, so they go on the same way beyond
FAR_NEW_TOK, FAR_TOK, MANY = 8192, 65_536, 256


@dataclass(frozen=True, slots=True)
class PromptPoint:
    """`pieces` prompts of `new_tok` each on top of `past_tok` cached ones, computed in `ns`; seen `n` times."""

    pieces: int
    new_tok: int
    past_tok: int
    ns: float
    n: int = 1

    @property
    def batch(self) -> Batch:
        return Batch(((self.new_tok, self.past_tok),) * self.pieces)


@dataclass(frozen=True, slots=True)
class DecodePoint:
    """One iteration of `decodes` sequences took `ns` on average while their contexts grew from `low_tok` each to
    `high_tok` each; seen `n` times."""

    decodes: int
    low_tok: int
    high_tok: int
    ns: float
    n: int = 1

    @property
    def batch(self) -> Batch:
        return self.at((self.low_tok + self.high_tok) // 2)

    def at(self, context_tok: int) -> Batch:
        return Batch((), self.decodes, self.decodes * context_tok, context_tok, context_tok)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The grid, where it was measured, where it knows little, and how near it comes to its own points."""

    grid: Grid
    ranges: Ranges
    thin: tuple[str, ...]
    reproduces: dict[str, dict[str, float]]


def fit(prompts: Sequence[PromptPoint], decodes: Sequence[DecodePoint], name: str = "points") -> Fitted:
    """Raises UsageError, which calls the points `name`, where there are no prompts or no decodes at all."""
    if not prompts or not decodes:
        lacking = "prompts" if not prompts else "decodes"
        raise UsageError(f"{name}: no {lacking} are in it; a profile needs both, so run the benchmark with both")
    thin: list[str] = []
    pair_fs, rest = _line((p.batch.prefill_tok, p.batch.prefill_attended_tok, p.ns, p.n) for p in prompts)
    ctx_fs, step = _line((d.decodes, d.batch.decode_ctx_sum_tok, d.ns, d.n) for d in decodes)
    if not pair_fs:
        thin.append("prompts: no cost of earlier context was seen; attention is inside the time per token")
    if not ctx_fs:
        thin.append("decodes: no cost of longer context was seen; the time is that of the contexts measured")
    if 1 in step and min(rest) > 1:
        rest = {1: min(step[1], min(rest.values())), **rest}
        thin.append(f"prompts under {min(p.batch.prefill_tok for p in prompts)} tokens: a straight line to one decode")
    if len(step) == 1:
        only = next(iter(step))
        step |= {n: max(value, step[only]) for n, value in rest.items() if n > only}
        thin.append(f"only {only} sequence(s) at a time were decoded: more are priced as a prompt of as many tokens")
    if min(len(rest), len(step)) < 2:
        raise UsageError(f"{name}: too few sizes: a profile needs two sizes of prompt, or a prompt and a single decode")
    grid = _grid(rest, pair_fs, step, ctx_fs, name)
    batches = [p.batch for p in prompts] + [d.at(end) for d in decodes for end in (d.low_tok, d.high_tok)]
    reproduces = {
        "prefill": near([(p.ns, grid.time_fs(p.batch)) for p in prompts]),
        "decode": near([(d.ns, grid.time_fs(d.batch)) for d in decodes]),
    }
    return Fitted(grid, Ranges.of(batches), tuple(thin), reproduces)


def _grid(rest: dict[int, float], pair_fs: int, step: dict[int, float], ctx_fs: int, name: str) -> Grid:
    tokens, rest_ns = _rising(rest)
    step_n, step_ns = _rising(step)
    try:
        return Grid(
            tokens=tokens, rest_ns=rest_ns, step_n=step_n, step_ns=step_ns,
            decode_n=(1, MANY), ctx_tok=(0, FAR_TOK),
            decode_attention_ns=tuple((0, round(ctx_fs * n * FAR_TOK / FS_PER_NS)) for n in (1, MANY)),
            new_tok=(1, FAR_NEW_TOK), past_tok=(0, FAR_TOK),
            prompt_attention_ns=tuple(
                tuple(round(pair_fs * Batch(((new, past),)).prefill_attended_tok / FS_PER_NS) for past in (0, FAR_TOK))
                for new in (1, FAR_NEW_TOK)
            ),
        )
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UsageError(f"{name}: the times make no profile ({where} is out of all bounds); a value is wrong by orders"
                         " of magnitude: correct it or leave its row out") from None


def near(pairs: Sequence[tuple[float, int]]) -> dict[str, float]:
    """How far the model (fs) is from the source (ns): n, mean of the absolute relative error, the largest."""
    errors = [abs(model_fs / FS_PER_NS / ns - 1) for ns, model_fs in pairs]
    return {"n": len(errors), "mean_abs_frac": round(float(np.mean(errors)), 4), "max_abs_frac": round(max(errors), 4)}


def _line(points: Iterable[tuple[int, int, float, int]]) -> tuple[int, dict[int, float]]:
    """(slope in fs, level in ns per group) of y = level[group] + slope x, from (group, x, y in ns, weight).

    Weighted least squares within groups; a slope below 0 counts as none, and no level falls below half its times.
    """
    groups: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    for group, x, y, weight in points:
        groups[group].append((float(x), y, float(weight)))
    upper = lower = 0.0
    means: dict[int, tuple[float, float]] = {}
    for group, members in groups.items():
        xs, ys, weights = (np.array(column) for column in zip(*members, strict=True))
        mean_x, mean_y = float(np.average(xs, weights=weights)), float(np.average(ys, weights=weights))
        upper += float(np.sum(weights * (xs - mean_x) * (ys - mean_y)))
        lower += float(np.sum(weights * (xs - mean_x) ** 2))
        means[group] = mean_x, mean_y
    slope = max(0.0, upper / lower) if lower else 0.0
    slope = min([slope, *(y / x / 2 for x, y in means.values() if x)])
    return round(slope * FS_PER_NS), {group: y - slope * x for group, (x, y) in means.items()}


def _rising(levels: dict[int, float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Knots and the nearest values that never fall (neighbours that do are averaged), in whole ns."""
    pools: list[tuple[float, int]] = []
    for _, value in sorted(levels.items()):
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (b, m), (a, n) = pools.pop(), pools.pop()
            pools.append(((a * n + b * m) / (n + m), n + m))
    return tuple(sorted(levels)), tuple(round(value) for value, n in pools for _ in range(n))
