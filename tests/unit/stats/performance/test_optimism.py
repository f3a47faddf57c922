"""Harrell's optimism bootstrap: against rms::validate within Monte Carlo error, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from heartify.stats import InvalidBlockError, NotConvergedError, SeparationError, fit_logistic
from heartify.stats.performance import bootstrap_optimism


def _pipeline(X, y, failing=lambda _: False):
    def fit_rows(rows):
        if failing(rows):
            raise SeparationError("made up")
        fit = fit_logistic(X[rows], y[rows])
        return lambda chosen: expit(fit.coef[0] + X[chosen] @ fit.coef[1:])

    return fit_rows


@pytest.fixture(scope="module")
def design(cohort):
    columns = [cohort[name] for name in ("age", "male", "sbp", "chol", "smoker")]
    columns += [(cohort["hospital"] == level).astype(float) for level in np.unique(cohort["hospital"])[1:]]
    return np.column_stack(columns)


def test_optimism_equals_that_of_rms_within_monte_carlo_error(design, cohort, referee):
    expected = referee["optimism"]  # rms::validate(lrm(...), B = 600, group = hospital)
    y = cohort["y"]

    found = bootstrap_optimism(_pipeline(design, y), y, cohort["hospital"], 300, np.random.default_rng(5))

    area, slope, brier, scaled = found.measures
    assert (found.replicates, found.failed) == (300, 0)
    assert area.apparent == pytest.approx(expected["auc_apparent"], abs=1e-6)
    assert brier.apparent == pytest.approx(expected["brier_apparent"], abs=1e-6)
    assert slope.apparent == pytest.approx(1.0, abs=1e-8)
    for measure, value in (
        (area, expected["auc_optimism"]),
        (slope, expected["slope_optimism"]),
        (brier, expected["brier_optimism"]),
    ):
        assert abs(measure.optimism - value) < 4 * measure.monte_carlo_se * np.sqrt(1 + 300 / 600)
        assert measure.corrected == pytest.approx(measure.apparent - measure.optimism)
    assert scaled.optimism > 0
    assert (slope.ci_low, slope.ci_high) == (None, None)
    for measure in (area, brier, scaled):
        assert measure.ci_low < measure.corrected < measure.ci_high


def test_noise_alone_is_corrected_to_an_auc_of_one_half():
    generator = np.random.default_rng(9)
    X, y = generator.normal(size=(150, 12)), (generator.random(150) < 0.4).astype(float)

    found = bootstrap_optimism(_pipeline(X, y), y, np.zeros(150), 60, generator)

    assert found.measures[0].apparent > 0.6
    assert found.measures[0].corrected == pytest.approx(0.5, abs=0.08)


def test_resampling_stays_within_hospitals_and_is_reproducible(cohort):
    y, seen = cohort["y"], []
    hospital = cohort["hospital"]

    def pipeline(rows):
        seen.append(rows)
        return lambda chosen: np.full(chosen.size, 0.5)

    for _ in range(2):
        bootstrap_optimism(
            pipeline, y, hospital, 3, np.random.default_rng(2), names=["mean"], measure=lambda p, _: [float(p.mean())]
        )

    for rows in seen:
        assert (np.unique(hospital[rows], return_counts=True)[1] == np.unique(hospital, return_counts=True)[1]).all()
    assert all((a == b).all() for a, b in zip(seen[:4], seen[4:], strict=True))
    assert (np.sort(seen[1]) != np.arange(y.size)).any()


def test_failed_replicates_are_counted_and_left_out(design, cohort):
    y = cohort["y"]
    calls = iter(range(100))

    found = bootstrap_optimism(
        _pipeline(design, y, lambda _: next(calls) in {2, 5}), y, cohort["hospital"], 8, np.random.default_rng(1)
    )

    assert (found.replicates, found.failed) == (8, 2)


def test_a_pipeline_that_mostly_fails_is_refused(design, cohort):
    y = cohort["y"]
    calls = iter(range(100))

    with pytest.raises(NotConvergedError, match="replicates"):
        bootstrap_optimism(
            _pipeline(design, y, lambda _: next(calls) > 2), y, cohort["hospital"], 8, np.random.default_rng(1)
        )


def test_a_failure_on_the_original_rows_is_not_hidden(design, cohort):
    y = cohort["y"]

    with pytest.raises(SeparationError):
        bootstrap_optimism(_pipeline(design, y, lambda _: True), y, cohort["hospital"], 8, np.random.default_rng(1))


def test_malformed_requests_are_refused(design, cohort):
    y, generator = cohort["y"], np.random.default_rng(1)

    with pytest.raises(InvalidBlockError, match="two replicates"):
        bootstrap_optimism(_pipeline(design, y), y, cohort["hospital"], 1, generator)
    with pytest.raises(InvalidBlockError, match="hospitals"):
        bootstrap_optimism(_pipeline(design, y), y, cohort["hospital"][:5], 5, generator)
    with pytest.raises(InvalidBlockError, match="measure"):
        bootstrap_optimism(_pipeline(design, y), y, cohort["hospital"], 5, generator, names=["auc"])
