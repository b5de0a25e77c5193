"""Iteration time read from a grid of kernel times: attention apart from everything else.

    time = rest(tokens in the iteration) + attention(decodes, their context) + attention(prompt pieces)

Tables hold whole nanoseconds and are straight lines between their knots: level before the first, with the mean slope
beyond the last. No number is ever smaller for more tokens, longer contexts or further sequences of the same mean
context, beyond the tables included. For a fixed number of decodes the time is piecewise linear in the sum of their
contexts, so many iterations in a row have a closed form within a cell.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StrictInt, model_validator

from workbench.config import Settings
from workbench.profile.batch import Batch
from workbench.profile.decode_run import FOREVER, FS_PER_NS, DecodeLine

Ns = Annotated[StrictInt, Field(ge=0, le=10**13)]
Knots = Annotated[tuple[Annotated[StrictInt, Field(ge=0)], ...], Field(min_length=2)]
Row = tuple[int, ...]
TABLE_TOP = 1 << 14


class Axis(NamedTuple):
    """One row of values over knots, and its slope beyond the last knot (numerator, denominator)."""

    knots: Row
    values: Row
    rise: int
    run: int

    def table_fs(self) -> tuple[int, ...]:
        """Every whole x to the last knot, or as many as are worth keeping, in femtoseconds: looked up, not computed."""
        return tuple([self.at(x) * FS_PER_NS for x in range(min(self.knots[-1], TABLE_TOP) + 1)])

    def at(self, x: int) -> int:
        """The straight line, rounded down; level before the first knot."""
        i = bisect_right(self.knots, x) - 1
        if i < 0:
            return self.values[0]
        past = x - self.knots[i]
        if i == len(self.knots) - 1:
            return self.values[i] + self.rise * past // self.run
        return self.values[i] + (self.values[i + 1] - self.values[i]) * past // (self.knots[i + 1] - self.knots[i])


class Grid(Settings):
    """Kernel times of one model on one GPU group; 'rest' is all but attention (matrices, norms, collectives)."""

    kind: Literal["grid"] = "grid"
    tokens: Knots  # prompt and decode tokens of an iteration with prompts in it
    rest_ns: tuple[Ns, ...]
    step_n: Knots  # decodes of an iteration without prompts
    step_ns: tuple[Ns, ...]
    decode_n: Knots
    ctx_tok: Knots  # mean context of the decodes
    decode_attention_ns: tuple[tuple[Ns, ...], ...]  # a row per decode_n, a column per ctx_tok
    new_tok: Knots  # tokens of one prompt piece
    past_tok: Knots  # tokens of that prompt already in the cache
    prompt_attention_ns: tuple[tuple[Ns, ...], ...]  # a row per new_tok, a column per past_tok
    prompt_start_ns: Ns = 0  # what several prompt pieces in one iteration share

    @model_validator(mode="after")
    def _monotone(self) -> "Grid":
        for name in ("tokens", "step_n", "decode_n", "ctx_tok", "new_tok", "past_tok"):
            if any(a >= b for a, b in pairwise(getattr(self, name))):
                raise ValueError(f"{name} must increase")
        for name, knots in (("rest_ns", self.tokens), ("step_ns", self.step_n)):
            _check(name, (getattr(self, name),), 1, len(knots))
        _check("decode_attention_ns", self.decode_attention_ns, len(self.decode_n), len(self.ctx_tok))
        _check("prompt_attention_ns", self.prompt_attention_ns, len(self.new_tok), len(self.past_tok))
        return self

    def time_fs(self, batch: Batch) -> int:
        return self.mixed_fs(batch.prefills, batch.decode_n, batch.decode_ctx_sum_tok, batch.draft_tok)

    def mixed_fs(
        self, prefills: Sequence[tuple[int, int]], decode_n: int, ctx_sum_tok: int, draft_tok: int = 0
    ) -> int:
        """As `Linear.mixed_fs`."""
        time = self._prompts_fs(prefills) if prefills else 0
        if decode_n:
            time += self._decode_cell(decode_n, ctx_sum_tok)[0]
        return time + self._rest_fs(prefills, decode_n, draft_tok)

    def decode_line(self, decode_n: int, ctx_sum_tok: int, *_spread: int) -> DecodeLine:
        """As `Linear.decode_line`, to the edge of the cell."""
        if not decode_n:
            return DecodeLine(0, 0)
        here_fs, slope_fs, edge = self._decode_cell(decode_n, ctx_sum_tok)
        steps = -(-(edge - ctx_sum_tok) // decode_n) if edge is not None else FOREVER
        return DecodeLine(self._step_fs(decode_n) + here_fs, slope_fs * decode_n, steps)

    @property
    def uses(self) -> frozenset[str]:
        return frozenset({"prefills", "decode_n", "decode_ctx_sum_tok", "draft_tok"})

    def _rest_fs(self, prefills: Sequence[tuple[int, int]], decode_n: int, draft_tok: int) -> int:
        """Alone, decodes need a row of logits each; with prompts or drafts, what the whole takes, if that is more."""
        alone = self._step_fs(decode_n) if decode_n else 0
        if not prefills and not draft_tok:
            return alone
        tokens = sum([new for new, _ in prefills]) + decode_n + draft_tok
        known = self._rest_table
        whole = known[tokens] if tokens < len(known) else self._rest.at(tokens) * FS_PER_NS
        return max(alone, whole)

    def _step_fs(self, n: int) -> int:
        known = self._step_table
        return known[n] if n < len(known) else self._step.at(n) * FS_PER_NS

    def _decode_cell(self, n: int, total: int) -> tuple[int, int, int | None]:
        """(fs at this context sum, fs per further token, where the cell ends or None)."""
        knots, row_fs, slopes_fs = self._decode_row(n)
        i = bisect_right(knots, total) - 1
        if i < 0:
            return row_fs[0], 0, knots[0]
        edge = knots[i + 1] if i + 1 < len(knots) else None
        return row_fs[i] + slopes_fs[i] * (total - knots[i]), slopes_fs[i], edge

    def _decode_row(self, n: int) -> tuple[Row, Row, Row]:
        """Attention of exactly n decodes: at which context sums, how long (fs), and every cell's slope (fs a token)."""
        if (known := self._rows.get(n)) is not None:
            return known
        knots = tuple(n * ctx for ctx in self.ctx_tok)
        row_fs = tuple(column.at(n) * FS_PER_NS for column in self._columns)
        slopes = [(b - a) // (y - x) for (a, b), (x, y) in zip(pairwise(row_fs), pairwise(knots), strict=True)]
        end = self._end_rise.at(n) * FS_PER_NS // (knots[-1] - knots[0])
        self._rows[n] = found = knots, row_fs, (*slopes, end)
        return found

    @cached_property
    def _rows(self) -> dict[int, tuple[Row, Row, Row]]:
        return {}

    @cached_property
    def _rest(self) -> Axis:
        return _axis(self.tokens, self.rest_ns)

    @cached_property
    def _step(self) -> Axis:
        return _axis(self.step_n, self.step_ns)

    @cached_property
    def _rest_table(self) -> Row:
        return self._rest.table_fs()

    @cached_property
    def _step_table(self) -> Row:
        return self._step.table_fs()

    @cached_property
    def _columns(self) -> tuple[Axis, ...]:
        """Per context knot, attention over decodes; slopes beyond the last row never fall with context."""
        columns = tuple(zip(*self.decode_attention_ns, strict=True))
        run = self.decode_n[-1] - self.decode_n[0]
        rises = accumulate((column[-1] - column[0] for column in columns), max)
        return tuple(Axis(self.decode_n, column, rise, run) for column, rise in zip(columns, rises, strict=True))

    @cached_property
    def _end_rise(self) -> Axis:
        """By how much a row rises in all: rows that rise ever more never cross beyond the last column."""
        rises = tuple(accumulate((row[-1] - row[0] for row in self.decode_attention_ns), max))
        return _axis(self.decode_n, rises)

    @cached_property
    def _prompt_rows(self) -> tuple[Axis, ...]:
        run = self.past_tok[-1] - self.past_tok[0]
        rises = accumulate((row[-1] - row[0] for row in self.prompt_attention_ns), max)
        return tuple(Axis(self.past_tok, row, rise, run) for row, rise in
                     zip(self.prompt_attention_ns, rises, strict=True))

    def _prompts_fs(self, prefills: Sequence[tuple[int, int]]) -> int:
        """Kernels start once for all pieces: what exceeds that start adds up."""
        if len(prefills) == 1:
            new, past = prefills[0]
            return self._prompt_ns(new, past) * FS_PER_NS if new else 0
        each = [self._prompt_ns(new, past) for new, past in prefills if new]
        if len(each) < 2:
            return sum(each) * FS_PER_NS
        start = self.prompt_start_ns
        together = start + sum([max(0, one - start) for one in each])
        return max(together, *each) * FS_PER_NS

    def _prompt_ns(self, new: int, past: int) -> int:
        """Between rows, in proportion to the pairs of tokens that attend to each other."""
        rows, knots = self._prompt_rows, self.new_tok
        i = bisect_right(knots, new) - 1
        if i < 0:
            return rows[0].at(past)
        low, here = rows[i].at(past), knots[i]
        if new == here:
            return low
        more = (new - here) * past + (new * (new + 1) - here * (here + 1)) // 2  # pairs beyond the row's
        if i == len(knots) - 1:
            mean = self.prompt_attention_ns[-1][0] - self.prompt_attention_ns[0][0]
            return low + mean * more // (_pairs(here) - _pairs(knots[0]))
        there = knots[i + 1]
        return low + (rows[i + 1].at(past) - low) * more // ((there - here) * past + _pairs(there) - _pairs(here))


def _pairs(new: int) -> int:
    """Pairs of tokens that attend to each other in a prompt with nothing before it."""
    return new * (new + 1) // 2


def _axis(knots: Row, values: Row) -> Axis:
    return Axis(knots, values, values[-1] - values[0], knots[-1] - knots[0])


def _check(name: str, rows: tuple[Row, ...], n: int, columns: int) -> None:
    if len(rows) != n or any(len(row) != columns for row in rows):
        raise ValueError(f"{name} must have {n} row(s) of {columns}")
    if any(a > b for row in rows for a, b in pairwise(row)) or any(
            a > b for upper, lower in pairwise(rows) for a, b in zip(upper, lower, strict=True)):
        raise ValueError(f"{name} must not decrease: more work is never faster")
