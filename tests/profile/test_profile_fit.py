"""Fits: exact without noise, unbiased with it, never negative, and chosen on what they were not fitted on."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.profile.made import batch, bent, full, samples, small
from workbench.errors import Failure
from workbench.profile.batch import Batch
from workbench.profile.candidates import KINDS, feature_matrix, fit_kind
from workbench.profile.fit import choose, fit, time_folds
from workbench.profile.model import Linear, Table
from workbench.profile.samples import Sample
from workbench.profile.solve import solve


def test_known_coefficients_come_back_exactly() -> None:
    model = fit(samples(small)).model
    assert isinstance(model, Linear)
    truth = {"step": 1_200_000, "prefill_tok": 900_000, "decode_n": 1_800_000}
    assert {name: round(value / 1e6, 3) for name, value in model.coefficients_fs.items()} == truth


def test_all_features_come_back_exactly_and_are_chosen_when_they_matter() -> None:
    profile = fit(samples(full))
    assert isinstance(profile.model, Linear)
    found = {name: round(value / 1e6, 2) for name, value in profile.model.coefficients_fs.items()}
    assert found == {"step": 2_000_000, "extra_ubatch": 700_000, "prefill_tok": 500_000, "prefill_attended_tok": 900,
                     "decode_n": 1_000_000, "decode_ctx_sum_tok": 1_500}
    assert profile.uses == {"ubatch_n", "prefills", "decode_n", "decode_ctx_sum_tok"}
    rng = np.random.default_rng(77)
    for _ in range(200):
        one = batch(rng)
        assert abs(profile.iteration_ns(one) - full(one)) <= 1


def test_a_bend_is_fitted_by_the_table() -> None:
    profile = fit(samples(bent))
    assert isinstance(profile.model, Table)
    for n, step_ms in enumerate((1.0, 3.0, 3.1, 3.2, 9.0, 9.5, 9.6)):
        measured_ms = profile.iteration_ns(Batch(((10, 0),), n, 100 * n, 100, 100)) / 1e6 - 4.0
        assert measured_ms == pytest.approx(step_ms, abs=1e-4)


Solver = Callable[[np.ndarray, np.ndarray], np.ndarray]


def unbiased(solver: Solver) -> bool:
    """Over 30 seeds of 10 % noise each coefficient's mean lies within 3 of its standard errors."""
    found = []
    for seed in range(30):
        made = samples(small, 400, seed=seed, noise_frac=0.1)
        columns = feature_matrix([item.batch for item in made])[:, [0, 2, 4]]
        found.append(solver(columns, np.asarray([float(item.ns) for item in made])))
    values = np.asarray(found)
    off = np.abs(values.mean(axis=0) - (1.2e6, 9e5, 1.8e6)) / (values.std(axis=0, ddof=1) / np.sqrt(30))
    return bool((off < 3).all())


@pytest.mark.slow
def test_noise_does_not_bias_the_coefficients() -> None:
    assert unbiased(solve)

    def by_measured(design: np.ndarray, measured: np.ndarray) -> np.ndarray:  # the mutant: weights of 1 / measured
        return np.asarray(np.linalg.lstsq(design / measured[:, None], np.ones(len(measured)), rcond=None)[0])

    assert not unbiased(by_measured)


def stalling(made: list[Sample], every: int, factor: int) -> list[Sample]:
    return [replace(item, ns=item.ns * (factor if i % every == 0 else 1)) for i, item in enumerate(made)]


def test_one_stall_moves_the_fit_little() -> None:
    made = samples(small, 800, noise_frac=0.05)
    clean, dirty = fit(made), fit(stalling(made, 10_000, 50))
    probe = Batch((), 4, 1600, 400, 400)
    assert abs(dirty.iteration_ns(probe) / clean.iteration_ns(probe) - 1) < 0.01
    assert dirty.fit_report is not None
    assert dirty.fit_report.level_factor == 1.0


def test_steady_stalls_keep_the_shape_and_raise_the_level_so_that_time_adds_up() -> None:
    report = (dirty := fit(stalling(samples(small, 1500, noise_frac=0.05), 7, 3))).fit_report
    assert report is not None
    assert report.level_factor > 1.1
    assert report.origins["live"].total_frac == pytest.approx(0.0, abs=1e-4)
    light, heavy = (Batch((), n, 400 * n, 400, 400) for n in (1, 6))
    truth = small(heavy) / small(light)
    assert dirty.iteration_ns(heavy) / dirty.iteration_ns(light) == pytest.approx(truth, rel=0.03)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_coefficients_are_never_negative(kind: object) -> None:
    """Times that fall with context and with decodes: the slopes stop at 0."""
    made = samples(lambda one: 9e6 - 1e6 * one.decode_n - 300 * one.decode_ctx_sum_tok + 1e6 * one.prefill_tok)
    fitted = fit_kind(kind, feature_matrix([x.batch for x in made]), np.asarray([float(x.ns) for x in made]))  # type: ignore[arg-type]
    assert (fitted.coefficients >= 0).all()
    unbounded = np.linalg.lstsq(feature_matrix([x.batch for x in made]), [float(x.ns) for x in made], rcond=None)[0]
    assert unbounded.min() < 0  # the mutant: without the bound they are negative


def monotone(times: list[float]) -> bool:
    return all(a <= b for a, b in pairwise(times))


def test_more_decodes_are_never_faster_even_where_noise_says_so() -> None:
    truth = (3e6, 5e6, 4e6, 6e6, 5.5e6, 7e6, 6.5e6)
    made = samples(lambda one: truth[one.decode_n] + 4e5 * one.prefill_tok, noise_frac=0.05)
    features, measured = feature_matrix([x.batch for x in made]), np.asarray([float(x.ns) for x in made])
    model = fit_kind(KINDS[-1], features, measured).model()
    assert isinstance(model, Table)
    assert monotone([model.time_fs(Batch((), n, 100 * n, 100, 100)) for n in range(20)])
    means = [float(measured[(features[:, 4] == n) & (features[:, 2] == 0)].mean()) for n in range(1, 7)]
    assert not monotone(means)  # the mutant: a table of plain means is not monotone here


def test_folds_are_blocks_of_time_and_every_run_is_in_every_fold() -> None:
    run, at = np.repeat([0, 1], 50), np.tile(np.arange(50)[::-1], 2)
    fold = time_folds(run, at)
    for k in (0, 1):
        in_time = fold[run == k][::-1]
        assert (np.diff(in_time) != 0).sum() == 4
        assert set(in_time.tolist()) == {0, 1, 2, 3, 4}
    assert fold[0] != fold[50]  # the same time of two runs is held out at different turns


def test_the_simplest_of_equals_is_chosen_and_the_reason_says_so() -> None:
    folds = np.asarray([0.10, 0.11, 0.09, 0.12, 0.10])
    best, reason = choose([folds + 0.001, folds, folds + 0.2], ["simple", "rich", "bad"])
    assert (best, "simpler" in reason) == (0, True)
    best, reason = choose([folds + 0.05, folds, folds + 0.2], ["simple", "rich", "bad"])
    assert (best, "no simpler" in reason) == (1, True)


def test_a_slow_grid_does_not_slow_the_profile_of_live_traffic() -> None:
    """The grid ran 20 % slower: with a speed per run, times are those of the live runs."""
    made = samples(small, 500, seed=1, noise_frac=0.03, run="grid", origin="grid", speed=lambda _: 1.2)
    made += samples(small, 500, seed=2, noise_frac=0.03, run="live-1")
    made += samples(small, 500, seed=3, noise_frac=0.03, run="live-2")
    profile = fit(made)
    report = profile.fit_report
    assert report is not None
    assert report.speed_factors["grid"] == pytest.approx(1.2, abs=0.02)
    probe = Batch((), 4, 1600, 400, 400)
    assert profile.iteration_ns(probe) == pytest.approx(small(probe), rel=0.01)
    pooled = fit_kind(KINDS[0], feature_matrix([x.batch for x in made]), np.asarray([float(x.ns) for x in made]))
    assert pooled.predict_ns(feature_matrix([probe]))[0] > 1.03 * small(probe)  # the mutant: no speed per run


def test_too_few_iterations_are_refused_and_times_of_zero_are_counted() -> None:
    with pytest.raises(Failure, match="19 usable iterations; a profile needs 20"):
        fit(samples(small, 19))
    made = samples(small, 100)
    zero = type(made[0])(made[0].batch, 0, "decode", "live", 0, "live-1")
    report = fit([*made, zero], left_out={"hidden": 4}).fit_report
    assert report is not None
    assert (report.n, report.left_out) == (100, {"hidden": 4, "time of 0 or less": 1})


def test_the_order_of_samples_does_not_matter() -> None:
    made = samples(full, 300, noise_frac=0.1)
    again = fit([made[i] for i in np.random.default_rng(3).permutation(len(made))])
    probe = Batch(((100, 0),), 3, 900, 400, 200)
    assert again.iteration_ns(probe) == pytest.approx(fit(made).iteration_ns(probe), rel=1e-6)
