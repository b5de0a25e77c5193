"""What decodes of unequal context cost beyond their mean: alpha by bucket of the batch.

t = t(mean) + alpha (t(max) - t(mean)). The buckets are read off the labels of the table itself ("n<=8", "sr<=15%",
"kvB<=4k", "kp=0", "n>256"), so a table with other bins is read as well.
"""

import re
from bisect import bisect_left
from functools import cached_property
from pathlib import Path

from workbench.config import Settings
from workbench.errors import Failure
from workbench.profile.kernels.rows import number, place, rows, whole

BEYOND = 1_000_000_000  # the upper bound of an open bucket
UNIT = 10_000  # alpha is kept in whole ten-thousandths: what the tables state
_LABEL = re.compile(r"(?P<name>[A-Za-z]+)(?P<sign><=|>|=)(?P<value>\d+)(?P<unit>[k%]?)")


class Skew(Settings):
    """Rows (prefill chunk, n, skew rate in %, largest context, prefill context, alpha): upper bounds, inclusive."""

    table: tuple[tuple[int, int, int, int, int, int], ...] = ()
    default: int = 0  # where a bucket was not measured

    def alpha(self, chunk_tok: int, past_tok: int, decode_n: int, mean_tok: int, max_tok: int, min_tok: int) -> int:
        """In ten-thousandths; may be negative or above 10,000, as measured."""
        if decode_n < 2 or max_tok <= mean_tok:
            return 0
        chunks, ns, rates, bigs, pasts, cells = self._index
        if not cells:
            return self.default
        spread = max(1, max_tok - min_tok)  # the rate is in % of it, rounded up: whole numbers on every machine
        at_rate = _upper(rates, -(-100 * (mean_tok - min_tok) // spread))
        place = (_nearest(chunks, chunk_tok), _upper(ns, decode_n), at_rate, _upper(bigs, max_tok),
                 _upper(pasts, past_tok))
        return cells.get(place, self.default)

    def room_tok(self, longest_tok: int) -> int:
        """How many iterations the bucket of the longest context holds, this one included; at least 1."""
        bounds = self._index[3]
        at = bisect_left(bounds, longest_tok)
        return bounds[at] - longest_tok + 1 if at < len(bounds) else BEYOND

    @cached_property
    def least(self) -> int:
        """The smallest alpha there is."""
        return min([self.default, *[row[5] for row in self.table]])

    @cached_property
    def _index(self) -> tuple[
        tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...],
        dict[tuple[int, int, int, int, int], int],
    ]:
        axes = [sorted({row[i] for row in self.table}) for i in range(5)]
        place = [{value: i for i, value in enumerate(axis)} for axis in axes]
        cells = {(place[0][r[0]], place[1][r[1]], place[2][r[2]], place[3][r[3]], place[4][r[4]]): r[5]
                 for r in self.table}
        a, b, c, d, e = (tuple(axis) for axis in axes)
        return a, b, c, d, e, cells


def _upper(bounds: tuple[int, ...], value: int) -> int:
    """The bucket of `value`; beyond the last bound the last one."""
    return min(bisect_left(bounds, value), len(bounds) - 1)


def _nearest(points: tuple[int, ...], value: int) -> int:
    """The measured chunk nearest in ratio; no prompt at all is a point of its own."""
    i = bisect_left(points, value)
    if i == len(points):
        return i - 1
    if points[i] == value or i == 0:
        return i
    low, high = points[i - 1], points[i]
    return i - 1 if low > 0 and value * value <= low * high else i


def read_skew(path: Path, default: float | None) -> Skew:
    """From `pc,n_label,skew_rate_label,kv_big_label,kp_label,alpha,n_samples`.

    `default` None: the mean of the table, weighted by samples."""
    found: list[tuple[int, int, int, int, int, int]] = []
    total = weight = 0.0
    for line, row in rows(path, ("pc", "n_label", "skew_rate_label", "kv_big_label", "kp_label", "alpha")):
        n, rate, big, past = (_bound(path, line, row[key]) for key in (
            "n_label", "skew_rate_label", "kv_big_label", "kp_label"))
        alpha = number(path, line, row, "alpha")
        samples = whole(path, line, row, "n_samples") if row.get("n_samples") else 1
        total, weight = total + alpha * samples, weight + samples
        found.append((whole(path, line, row, "pc"), n, rate, big, past, round(alpha * UNIT)))
    mean = total / weight if weight else 0.0
    return Skew(table=tuple(found), default=round((mean if default is None else default) * UNIT))


def _bound(path: Path, line: int, label: str) -> int:
    found = _LABEL.fullmatch(label)
    if found is None:
        raise Failure(f"{place(path)}: line {line}: bucket {label!r} is not like 'n<=8', 'sr<=15%', 'kvB<=4k' or "
                      "'kp=0'")
    value = int(found["value"]) * (1024 if found["unit"] == "k" else 1)
    return BEYOND if found["sign"] == ">" else value
