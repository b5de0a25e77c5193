"""Chapter 10: which format nothing beats, and the room that smaller keys and values leave."""

import pytest

from workbench.chapters import ch10_bits
from workbench.chapters.ch10_bits import Format


def test_what_is_slower_and_farther_is_beaten() -> None:
    a, b, c = Format("a", 4, 0.1, 0.0, 50.0), Format("b", 8, 0.01, 0.0, 40.0), Format("c", 6, 0.2, 0.0, 30.0)
    assert ch10_bits.front([a, b, c]) == [a, b]


def test_blocks_of_32_with_a_scale_of_16_bits() -> None:
    """q8_0: 34 bytes for 32 values; q4_0: 18."""
    assert ch10_bits.kv_times("f16") == 1.0
    assert ch10_bits.kv_times("q8_0") == pytest.approx(64 / 34)
    assert ch10_bits.kv_times("q4_0") == pytest.approx(64 / 18)


def test_the_table_has_every_kv_type_that_is_ablated() -> None:
    assert set(ch10_bits.KV_VARIANTS) == set(ch10_bits.kv_distances())
