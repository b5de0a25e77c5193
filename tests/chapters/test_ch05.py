"""Chapter 5's curves are those of the formulas where the formulas hold."""

import numpy as np
import pytest

from sims.rules import LlamaCppRules
from workbench.chapters import ch05
from workbench.chapters.ch05_engine import Real, Run, not_measured
from workbench.errors import UsageError
from workbench.profile.profile import Profile
from workbench.stats.intervals import Interval


@pytest.fixture(scope="module")
def profile() -> Profile:
    return not_measured("a test").profiles[4]


def test_alone_a_request_takes_what_its_iterations_take(profile: Profile) -> None:
    """Slots do not matter to those that never meet."""
    one, four = (ch05.service_s(profile, LlamaCppRules(slots=slots), 20) for slots in (1, 4))
    assert np.array_equal(one, four)
    assert one.min() > 0


def test_the_formula_ends_where_the_line_grows_without_end(profile: Profile) -> None:
    curve = ch05.Curve(1, 4.0, (), (), 0, mean_s=0.25, second_s2=0.125, outside_s=0.001)
    assert curve.formula_s(2.0) == pytest.approx(0.25 + 0.25 + 0.001)  # exponential service at half load: M/M/1
    assert curve.formula_s(4.0) is None


def test_four_servers_are_the_limit_of_the_other_panel() -> None:
    curve = ch05.Curve(4, 4.0, (), (), 0, mean_s=0.25, second_s2=0.125, outside_s=0.0)
    found = curve.formula_s(8.0)
    assert found is not None
    assert 0.25 < found < 0.30
    assert curve.formula_s(16.0) is None


def test_a_parameter_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="seeds: 1: must be 2 to 100"):
        ch05.curves(not_measured("a test"), 1, True)


def test_a_machine_that_changed_gives_no_verdict(profile: Profile) -> None:
    mean = (Interval(0.3, 0.2, 0.4, 5), Interval(0.6, 0.5, 0.7, 5))
    curves = tuple(ch05.Curve(slots, 4.0 + slots, (1.0, 3.0), mean, 10, 0.2, 0.08, 0.0) for slots in (1, 4))
    good, far = (Run(1, 2.0, 0.5, simulated_s, 0.4, 40, client_limited=False, drift_frac=drift)
                 for simulated_s, drift in ((0.52, 0.02), (0.9, 0.5)))
    assert "no verdict" in ch05.answer(curves, Real({4: profile}, (far,))).text
    said = ch05.answer(curves, Real({4: profile}, (good, far))).text
    assert "Over 1 of 2 runs" in said
    assert "+4.0% on average" in said
