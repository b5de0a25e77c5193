"""The attention kernel: time over four axes, linear on each between measured points.

Linear and not logarithmic: what the kernel reads and multiplies is a product of the axes, and a product is linear on
each of them. Leaving out each measured point in turn and predicting it from its neighbours, straight lines are off by
1 to 9 % on the tables at hand and logarithmic ones by 5 to 23 %.
"""

from bisect import bisect_right
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.errors import Failure
from workbench.profile.kernels.fill import Filled, Grid, fill
from workbench.profile.kernels.rows import place, rows, time_ps, whole

HOLE = -1
AXES = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode")
_ORDER = (3, 1, 0, 2)  # the axis with the straightest lines first


class Attention(Settings):
    """One layer's attention. `ps` is the grid in row-major order of the axes, `HOLE` where nothing was measured."""

    chunk_tok: tuple[int, ...] = Field(min_length=1)  # new prompt tokens
    past_tok: tuple[int, ...] = Field(min_length=1)  # prompt tokens before them
    decode_n: tuple[int, ...] = Field(min_length=1)
    context_tok: tuple[int, ...] = Field(min_length=1)  # of each decode
    ps: tuple[int, ...]

    @model_validator(mode="after")
    def _shape(self) -> "Attention":
        if len(self.ps) != int(np.prod([len(axis) for axis in self.axes])):
            raise ValueError("the grid has another number of cells than its axes")
        if not any(value > 0 for value in self.ps):
            raise ValueError("the grid has no measured cell")
        return self

    @property
    def axes(self) -> tuple[tuple[int, ...], ...]:
        return self.chunk_tok, self.past_tok, self.decode_n, self.context_tok

    @property
    def filled(self) -> Filled:
        return self._grid[1]

    def decode_row_ps(self, decode_n: int) -> Grid:
        """Shape (contexts,): decodes alone, over `context_tok`."""
        grid = self._grid[0][0, 0]
        low, t = bracket(self.decode_n, decode_n)
        found = grid[low] + (grid[low + 1] - grid[low]) * t if t else grid[low]
        return np.asarray(np.maximum(found, grid[low + 1]) if t > 1 else found)

    def mixed_ps(self, chunk_tok: float, past_tok: float, decode_n: int, *contexts_tok: int) -> list[float]:
        """Prompt pieces beside `decode_n` decodes, at each of the contexts.

        Beyond the longest measured piece a prompt's own part grows with the key positions that it attends to, that is
        with the square of its length; beyond the other axes the last line goes on, and never falls.
        """
        most_tok = self.chunk_tok[-1]
        if chunk_tok > most_tok > 0:
            alone = self.mixed_ps(most_tok, past_tok, 0, 0)[0]
            more = alone * (attended(chunk_tok, past_tok) / attended(most_tok, past_tok) - 1.0)
            return [value + more for value in self.mixed_ps(most_tok, past_tok, decode_n, *contexts_tok)]
        found = self._lines_ps(chunk_tok, past_tok, decode_n, *contexts_tok)
        last_past, last_n, last_context = self.past_tok[-1], self.decode_n[-1], self.context_tok[-1]
        if past_tok > last_past or decode_n > last_n or max(contexts_tok) > last_context:
            edge = self._lines_ps(chunk_tok, min(past_tok, last_past), min(decode_n, last_n),
                                  *[min(context, last_context) for context in contexts_tok])
            return [max(pair) for pair in zip(found, edge, strict=True)]
        return found

    def _lines_ps(self, chunk_tok: float, past_tok: float, decode_n: int, *contexts_tok: int) -> list[float]:
        flat, axes = self._flat, self.axes
        corners = [(0, 1.0)]
        for axis, stride, x in zip(axes, self._strides, (chunk_tok, past_tok, decode_n), strict=False):
            low, t = bracket(axis, x)
            at = low * stride
            if t:
                corners = [pair for start, weight in corners for pair in (
                    (start + at, weight * (1.0 - t)), (start + at + stride, weight * t))]
            else:
                corners = [(start + at, weight) for start, weight in corners]
        found = []
        for context_tok in contexts_tok:
            low, t = bracket(axes[3], context_tok)
            value = sum([flat[start + low] * weight for start, weight in corners])
            if t:
                value += t * (sum([flat[start + low + 1] * weight for start, weight in corners]) - value)
            found.append(value)
        return found

    @cached_property
    def _flat(self) -> list[float]:
        found: list[float] = self._grid[0].ravel().tolist()
        return found

    @cached_property
    def _strides(self) -> tuple[int, ...]:
        sizes = [len(axis) for axis in self.axes]
        return tuple(int(np.prod(sizes[i + 1:])) for i in range(3))

    @cached_property
    def _grid(self) -> tuple[Grid, Filled]:
        grid = np.array(self.ps, dtype=float).reshape([len(axis) for axis in self.axes])
        grid[grid < 0] = np.nan
        measured = int(np.isfinite(grid).sum())
        if self.chunk_tok[0] == 0:  # no prompt: what came before it does not matter; the same for no decodes
            grid[0, :] = grid[0, :1]
        if self.decode_n[0] == 0:
            grid[:, :, 0, :] = grid[:, :, 0, :1]
            if self.chunk_tok[0] == 0:
                grid[0, :, 0, :] = 0.0
        found, counts = fill(grid, self.axes, _ORDER)
        same = counts.measured - measured
        return found, counts._replace(measured=measured, between=counts.between + same)


def attended(new_tok: float, past_tok: float) -> float:
    """Key positions that `new_tok` prompt tokens after `past_tok` others look at."""
    return new_tok * past_tok + new_tok * (new_tok + 1) / 2


def bracket(axis: tuple[int, ...], x: float) -> tuple[int, float]:
    """Index of the lower neighbour and how far beyond it, 0 to 1; above 1 beyond the last point, 0 before the first."""
    if x <= axis[0] or len(axis) == 1:
        return 0, 0.0
    low = min(bisect_right(axis, x) - 1, len(axis) - 2)
    return low, (x - axis[low]) / (axis[low + 1] - axis[low])


def read_attention(path: Path) -> Attention:
    """From `prefill_chunk,kv_prefill,n_decode,kv_decode,time_us`; of a cell that occurs twice the later line counts."""
    cells: dict[tuple[int, ...], int] = {}
    for line, row in rows(path, (*AXES, "time_us")):
        cells[tuple(whole(path, line, row, axis) for axis in AXES)] = time_ps(path, line, row)
    if not cells:
        raise Failure(f"{place(path)}: it holds no row")
    axes = [tuple(sorted({cell[i] for cell in cells})) for i in range(4)]
    index = [{value: i for i, value in enumerate(axis)} for axis in axes]
    grid = np.full([len(axis) for axis in axes], HOLE, dtype=np.int64)
    for cell, value in cells.items():
        grid[tuple(index[i][cell[i]] for i in range(4))] = value
    a, b, c, d = axes
    return Attention(chunk_tok=a, past_tok=b, decode_n=c, context_tok=d, ps=tuple(grid.ravel().tolist()))
