"""river's detectors behind ours: the same Page-Hinkley, found independently; and bad input."""

import random

import pytest

from workbench.adapters.detect_river import RiverDetector
from workbench.control.anomaly.change import PageHinkley
from workbench.control.anomaly.protocol import Detector

pytest.importorskip("river", reason="the package river is not installed (pip install river)")


def alarms(detector: Detector, values: list[int]) -> list[int]:
    return [at for at, value in enumerate(values) if detector.update(at, value)]


@pytest.mark.parametrize("seed", range(10))
def test_page_hinkley_is_rivers(seed: int) -> None:
    draws = random.Random(seed)
    values = [round(draws.gauss(50_000, 1000)) + 1500 * (at // 200) for at in range(1000)]
    theirs = RiverDetector("PageHinkley", min_instances=30, delta=200.0, threshold=9000.0, alpha=1.0)
    found = alarms(PageHinkley(limit=9000, slack=200, learn=30), values)
    assert found == alarms(theirs, values)
    assert len(found) >= 3


@pytest.mark.parametrize("name", ["ADWIN", "KSWIN"])
def test_a_shift_is_found_twice_the_same(name: str) -> None:
    draws = random.Random(1)
    values = [round(draws.gauss(100, 5)) + (60 if at >= 300 else 0) for at in range(400)]
    first, second = (alarms(RiverDetector(name), values) for _ in range(2))
    assert first == second
    assert any(300 <= at < 400 for at in first)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="name: 'DDM' is not a detector; known: ADWIN, KSWIN, PageHinkley"):
        RiverDetector("DDM")
    with pytest.raises(ValueError, match="ADWIN: parameter 'dleta' is unknown; known: delta"):
        RiverDetector("ADWIN", dleta=1)
    with pytest.raises(ValueError, match=r"value 1\.5: must be a whole number"):
        RiverDetector().update(0, 1.5)  # type: ignore[arg-type]
