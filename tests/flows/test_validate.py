"""The verdict says what the numbers say, and never more."""

import pytest

from workbench.flows.validate import verdict


@pytest.mark.parametrize(("error", "spread", "words"), [
    (0.05, 0.04, "off by +5.0%: within the aim of 10% (repeats differ by +-4.0%)"),
    (-0.12, 0.04, "off by -12.0%: outside the aim"),
    (0.01, 0.151, "inconclusive: this machine is too noisy"),
    (0.5, 0.2, "inconclusive"),
    (0.10, None, "within the aim of 10% (one run, spread unknown)"),
    (None, None, "nothing to compare"),
])
def test_verdict(error: float | None, spread: float | None, words: str) -> None:
    assert words in verdict(error, spread)
