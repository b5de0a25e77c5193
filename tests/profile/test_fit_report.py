"""The fit report: residuals by hand, drift that was put in, and what one origin did not reach."""

import numpy as np
import pytest

from tests.profile.made import samples, small
from workbench.profile import report
from workbench.profile.batch import Batch
from workbench.profile.fit import fit
from workbench.profile.samples import Sample, sample


def test_residuals_by_hand() -> None:
    found = report.residuals(np.asarray([110.0, 90.0, 100.0]), np.asarray([100.0, 100.0, 200.0]))
    assert (found.n, found.mean_frac, found.total_frac) == (3, pytest.approx(-0.16667), -0.25)
    assert found.sd_frac == pytest.approx(np.std([0.1, -0.1, -0.5], ddof=1), abs=1e-5)
    assert found.p95_abs_frac == pytest.approx(0.46)


def test_drift_within_a_run_is_found_with_its_sign() -> None:
    """40 s of iterations that become 30 % slower: about 0.3 over the run's length."""
    made = samples(small, 1500, noise_frac=0.03, speed=lambda part: 0.85 + 0.3 * part)
    minutes = made[-1].at_ns / 60e9
    drift = fit(made).fit_report.drift  # type: ignore[union-attr]
    assert drift.trend_frac_per_min == pytest.approx(0.3 / minutes, rel=0.25)
    assert drift.block_ratio_max / drift.block_ratio_min == pytest.approx(1.125 / 0.875, rel=0.05)
    steady = fit(samples(small, 1500, noise_frac=0.03)).fit_report.drift  # type: ignore[union-attr]
    assert abs(steady.trend_frac_per_min) < 0.2 * drift.trend_frac_per_min  # type: ignore[operator]


def test_runs_of_different_speed_are_told_apart() -> None:
    made = [item for k, speed in enumerate((0.9, 1.0, 1.1))
            for item in samples(small, 300, seed=k, run=f"live-{k}", speed=lambda _, speed=speed: speed)]  # type: ignore[misc]
    drift = fit(made).fit_report.drift  # type: ignore[union-attr]
    ratios = [item.ratio for item in drift.runs]
    assert ratios[2] / ratios[0] == pytest.approx(1.1 / 0.9, rel=0.01)
    assert drift.between_runs_sd_frac == pytest.approx(np.std(ratios, ddof=1), abs=1e-4)


def test_grid_against_live_by_region() -> None:
    made = samples(small, 400, seed=1, run="grid", origin="grid", speed=lambda _: 1.1) + samples(small, 400, seed=2)
    found = fit(made).fit_report.drift.grid_over_live  # type: ignore[union-attr]
    assert set(found) == {"prefill", "decode", "mixed"}
    assert all(value == pytest.approx(1.1, rel=0.03) for value in found.values())


def one(new_tok: int, decode_n: int, origin: str) -> Sample:
    made = Batch(((new_tok, 0),) if new_tok else (), decode_n, 100 * decode_n, 100, 100)
    return sample(made, 1000, origin=origin, at_ns=0, run=origin)  # type: ignore[arg-type]


def test_what_the_other_origin_did_not_reach_is_counted() -> None:
    made = [one(10, 0, "grid"), one(50, 0, "grid"), one(0, 2, "grid"), one(20, 0, "live"), one(60, 0, "live"),
            one(0, 2, "live"), one(20, 2, "live")]
    assert report.outside(made) == {"live_outside_grid": 2, "grid_outside_live": 1}
    assert report.outside(made[:3]) == {}


def test_one_run_has_no_spread_between_runs() -> None:
    drift = fit(samples(small, 100)).fit_report.drift  # type: ignore[union-attr]
    assert (drift.between_runs_sd_frac, drift.grid_over_live) == (None, {})
