"""Chapters 2 and 5.5: what fits, what is cheapest, and what whole GPUs save."""

import pytest

from workbench.chapters import ch02, ch02_machine, ch05_5
from workbench.chapters.ch05_5 import Saving
from workbench.hardware import models


def test_kernels_never_beat_the_bandwidth_they_read_at() -> None:
    assert all(0 < one.frac < 1 for one in ch02.speeds().values())


def test_the_cheapest_that_holds_more_is_never_cheaper() -> None:
    model = models.find("Llama-3.1-70B")
    prices = [float(ch02._cheapest(model, "bf16", 4096, n).split(", ")[1].split(" ")[0]) for n in (1, 16, 64)]
    assert prices == sorted(prices)
    assert ch02._cheapest(model, "bf16", 131_072, 10_000) == "none in the table"


def test_the_rentable_begin_with_the_cheapest() -> None:
    asked = [row.usd_per_hour for row, _ in ch02._rentable()]
    assert asked == sorted(asked)


def test_a_batch_reads_the_weights_once() -> None:
    """So work per byte grows with it."""
    assert ch02_machine.intensity(8) == pytest.approx(8 * ch02_machine.intensity(1), rel=0.05)


def test_gpus_that_come_whole_save_whole_gpus() -> None:
    found = Saving(1.0, (0.0, 0.5), (3, 2), (3, 3), 2, 10)
    assert found.saved_frac(0.5) == pytest.approx(1 / 3)
    assert found.saved_frac(0.5, longer=True) == 0.0
    assert ch05_5._times(0.0, 4.0) == 1.0
