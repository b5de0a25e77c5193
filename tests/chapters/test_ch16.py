"""Chapter 16: another market keeps what is not known about it."""

import pytest

from workbench.chapters import ch16
from workbench.economics.business_spec import BusinessSpec, UncertainSpec
from workbench.errors import UsageError


def unsure(spec: BusinessSpec) -> UncertainSpec:
    return next(one for one in spec.uncertain if one.name == "churn_frac")


def test_what_is_uncertain_moves_with_the_value() -> None:
    """examples/business.toml: 0.05, and between 0.03 and 0.10."""
    twice = ch16.spec_of(300.0, 0.10, 20.0, 100, quick=True)
    assert (twice.market.churn_frac, unsure(twice).low, unsure(twice).high) == pytest.approx((0.10, 0.06, 0.20))
    most = unsure(ch16.spec_of(300.0, 0.80, 20.0, 100, quick=True))
    assert (most.low, most.high) == pytest.approx((0.48, 1.0))


@pytest.mark.parametrize("churn_frac", [0.0, 1.5, -0.1])
def test_a_share_that_is_none_is_refused(churn_frac: float) -> None:
    with pytest.raises(UsageError, match=r"churn_frac: .*: must be 0.001 to 1"):
        ch16.spec_of(300.0, churn_frac, 20.0, 100, quick=True)


def test_losses_are_counted_not_rounded() -> None:
    found = ch16.losses({"loss_frac": 0.27, "n": 100})
    assert (found.mean, found.n) == (0.27, 100)
    assert found.low < 0.27 < found.high
