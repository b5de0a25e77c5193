"""This machine's own roofline, with numpy: what its memory delivers, what it computes, and products in between."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from workbench.chapters.about import within
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import number

VALUE_BYTES = 4  # float32
ROWS, COLUMNS = 6144, 4096  # of the weights: 100 MB, more than most last-level caches hold
SIDE = 1536  # of the square matrices whose product gives the peak
READ_VALUES = 32 << 20  # in each of the two vectors that are read
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ALONE_TIMES = 1.5  # slowest over fastest repeat: beyond it something else was running


@dataclass(frozen=True, slots=True)
class Rate:
    """Median, least and most of the repeats, per second."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Machine:
    """`products`: by number of vectors, FLOP/s of weights times so many vectors (a decode step of so many requests)."""

    bytes_per_s: Rate
    flops_per_s: Rate
    products: dict[int, Rate]
    repeats: int
    load: float = 0.0  # programs that wanted a core when it began

    @property
    def best_bytes_per_s(self) -> float:
        """Of plain reading and of the products: beside other programs any one of them may come off badly."""
        return max(self.bytes_per_s.high, *(r.high / intensity(n) for n, r in self.products.items()))

    @property
    def best_flops_per_s(self) -> float:
        return max(self.flops_per_s.high, *(rate.high for rate in self.products.values()))

    @property
    def ridge(self) -> float:
        """FLOP per byte from which arithmetic is the limit."""
        return self.best_flops_per_s / self.best_bytes_per_s

    @property
    def is_disturbed(self) -> bool:
        """Whether others wanted the cores too, or the repeats differ as if they had."""
        both = self.bytes_per_s, self.flops_per_s
        return self.load > 0.5 or any(rate.high > ALONE_TIMES * rate.low for rate in both)

    def bound(self, intensity: float) -> float:
        """FLOP/s that the roofline allows: a roof is the best that was seen."""
        return min(self.best_flops_per_s, intensity * self.best_bytes_per_s)


def measure(repeats: int, quick: bool) -> Machine:
    """Takes 0.5 GB of memory for a few seconds. Raises UsageError."""
    within("repeats", repeats, 3, 50)
    n, batches = (3, BATCHES[:7:3]) if quick else (repeats, BATCHES)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    read = _read(n)
    square = np.ones((SIDE, SIDE), np.float32)
    peak = _rate(lambda: square @ square, 2 * SIDE**3, n)
    weights = np.ones((ROWS, COLUMNS), np.float32)
    products = {}
    for batch in batches:
        vectors = np.ones(COLUMNS if batch == 1 else (COLUMNS, batch), np.float32)  # one: a matrix times a vector
        products[batch] = _rate(partial(np.matmul, weights, vectors), 2 * ROWS * COLUMNS * batch, n)
    return Machine(read, peak, products, n, load)


def _read(repeats: int) -> Rate:
    """Dot products of long vectors, one in each core at once (numpy's own uses one): every byte is read once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [np.ones(READ_VALUES // cores, np.float32) for _ in range(2 * cores)]
    with ThreadPoolExecutor(cores) as pool:
        return _rate(lambda: list(pool.map(np.dot, parts[:cores], parts[cores:])),
                     2 * cores * (READ_VALUES // cores) * VALUE_BYTES, repeats)


def intensity(batch: int) -> float:
    """FLOP per byte: the weights are read once, whatever the number of vectors."""
    moved = VALUE_BYTES * (ROWS * COLUMNS + batch * (ROWS + COLUMNS))
    return 2 * ROWS * COLUMNS * batch / moved


def roofline_chart(found: Machine) -> Chart:
    grid = tuple(float(x) for x in np.geomspace(0.25, 2 * max(intensity(max(found.products)), found.ridge), 40))
    rates = list(found.products.values())
    return Chart(
        "roofline", "arithmetic per byte read (FLOP per byte)",
        (Panel("arithmetic reached (GFLOP per second)", (
            Series("roofline", grid, tuple(found.bound(x) / 1e9 for x in grid), "roofline", "line", 6),
            Series("weights times vectors", tuple(map(intensity, found.products)), tuple(r.high / 1e9 for r in rates),
                   "measured", "points", 0, tuple(r.median / 1e9 for r in rates), tuple(r.high / 1e9 for r in rates))),
               log_y=True),),
        f"Weights of {ROWS:,} x {COLUMNS:,} in 32 bit times {', '.join(map(str, found.products))} vectors: the "
        "arithmetic of a decode step. On the slope memory is the limit, and a second request is nearly free. The roof "
        f"is the best of all repeats: {number(found.best_bytes_per_s / 1e9)} GB/s and "
        f"{number(found.best_flops_per_s / 1e9)} GFLOP/s.",
        f"n = {found.repeats} repeats of each on this machine, every core in use; marks are the "
        "best, whiskers reach down to the median",
        "A rising slope that bends into a flat roof over arithmetic per byte, "
        "with measured marks of matrix products beneath it.", log_x=True,
    )


def _rate(work: Callable[[], object], amount: float, repeats: int) -> Rate:
    """Once to warm up, then `repeats` times."""
    work()
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        found.append(amount / (time.perf_counter() - begun))
    return Rate(float(np.median(found)), min(found), max(found))
