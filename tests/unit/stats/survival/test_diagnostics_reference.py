"""Residuals, robust variances, PH test, baseline and curves against survival of R (calls in cox.json)."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats.survival import (
    BaselineHazard,
    SurvivalBlock,
    Ties,
    TimeTransform,
    baseline_hazards,
    cumulative_baseline_hazard,
    dfbeta_residuals,
    fit_cox,
    hospital_clusters,
    martingale_residuals,
    proportional_hazards_test,
    robust_covariance,
    robust_wald_test,
    schoenfeld_residuals,
    score_residuals,
    survival_curve,
)


@pytest.fixture
def fitted(fit_arguments):
    def fit(name):
        blocks, options = fit_arguments(name)
        return fit_cox(blocks, options["term_names"], ties=Ties(options["ties"])), blocks

    return fit


RESIDUALS = ("plain_efron", "plain_breslow", "delayed_strata_efron", "delayed_strata_breslow")


@pytest.mark.parametrize("name", RESIDUALS)
def test_martingale_and_score_residuals_equal_r(name, cox_r, fitted, in_file_order):
    # R: residuals(fit, type = "martingale"), residuals(fit, type = "score")
    expected = cox_r["residuals"][name]
    fit, blocks = fitted(name)
    rows = np.array(expected["rows"]) - 1

    martingale = in_file_order(martingale_residuals(fit, blocks))
    score = in_file_order(score_residuals(fit, blocks))

    np.testing.assert_allclose(martingale[rows], expected["martingale"], atol=1e-10)
    assert np.abs(martingale).sum() == pytest.approx(expected["martingale_abs_sum"], rel=1e-9)
    np.testing.assert_allclose(score[rows], expected["score"], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(np.abs(score).sum(axis=0), list(expected["score_abs_sums"].values()), rtol=1e-9)
    assert np.abs(score.sum(axis=0) * fit.se).max() < 1e-8


@pytest.mark.parametrize("name", RESIDUALS)
def test_schoenfeld_residuals_equal_r(name, cox_r, fitted):
    # R: residuals(fit, type = "schoenfeld"), residuals(fit, type = "scaledsch")
    expected = cox_r["residuals"][name]
    fit, blocks = fitted(name)

    found = schoenfeld_residuals(fit, blocks)

    assert found.residual.shape == (fit.events, 6)
    assert (np.diff(found.time[found.stratum == 0]) >= 0).all()
    sums = {"schoenfeld_abs_sums": found.residual, "scaled_abs_sums": found.scaled}
    for key, values in sums.items():
        np.testing.assert_allclose(np.abs(values).sum(axis=0), list(expected[key].values()), rtol=1e-9)
    assert np.abs(found.residual.sum(axis=0) * fit.se).max() < 1e-8


@pytest.mark.parametrize("name", ["plain_efron", "delayed_strata_efron", "delayed_strata_breslow"])
def test_robust_variance_equals_r(name, cox_r, fitted):
    # R: coxph(..., cluster = seq_len(nrow(cohort))): every row a cluster
    fit, blocks = fitted(name)

    covariance = robust_covariance(fit, blocks)

    np.testing.assert_allclose(covariance, cox_r["robust"][name]["covariance"], rtol=1e-7, atol=1e-13)


def test_variance_clustered_by_hospital_equals_r(cox_r, make_blocks):
    # R: coxph(Surv(entry, time, status == 1) ~ ..., cluster = hospital): a shared baseline
    blocks = make_blocks()
    terms = ("age", "male", "sbp", "chol", "smoker", "noise")
    fit = fit_cox(blocks, terms, baseline=BaselineHazard.SHARED)

    covariance = robust_covariance(fit, blocks, hospital_clusters(blocks))

    np.testing.assert_allclose(covariance, cox_r["robust"]["hospital_efron"]["covariance"], rtol=1e-7, atol=1e-12)


def test_clusters_across_strata_equal_r(cox_r, make_blocks):
    # As R with a hospital as stratum and floor(10 * chol) as cluster
    blocks = make_blocks()
    terms = ("age", "male", "sbp", "chol", "smoker", "noise")
    fit = fit_cox(blocks, terms)

    covariance = robust_covariance(fit, blocks, [np.floor(10 * block.X[:, 3]).astype(int) for block in blocks])

    expected = cox_r["robust"]["chol_cluster_strata_efron"]["covariance"]
    np.testing.assert_allclose(covariance, expected, rtol=1e-7, atol=1e-13)
    assert robust_wald_test(fit, covariance).df == 6


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        ("plain_efron", "km"),
        ("plain_breslow", "identity"),
        ("delayed_efron", "km"),
        ("delayed_strata_efron", "km"),
        ("delayed_strata_breslow", "identity"),
    ],
)
def test_proportional_hazards_test_equals_cox_zph(name, transform, cox_r, fitted):
    expected = cox_r["zph"][name]
    fit, blocks = fitted(name)

    found = proportional_hazards_test(fit, blocks, TimeTransform(transform))

    tests = {**found.terms, "GLOBAL": found.overall}
    assert tests.keys() == expected["chisq"].keys()
    for term, test in tests.items():
        assert test.statistic == pytest.approx(expected["chisq"][term], rel=1e-7)
        assert test.df == expected["df"][term]
        assert test.p == pytest.approx(expected["p"][term], rel=1e-7)


def test_columns_of_one_factor_are_tested_together_as_cox_zph_does(cox_r, cohort):
    # R: coxph(Surv(entry, time, status == 1) ~ age + factor(grade) + strata(hospital)), cox.zph(transform = "km")
    expected = cox_r["zph_grade"]
    X = np.column_stack([cohort["age"], cohort["grade"] == 2, cohort["grade"] == 3])
    blocks = [
        SurvivalBlock(
            name,
            X[cohort["hospital"] == name],
            *(cohort[key][cohort["hospital"] == name] for key in ("time", "status", "entry")),
        )
        for name in "abcd"
    ]
    fit = fit_cox(blocks, ("age", "grade2", "grade3"))

    found = proportional_hazards_test(fit, blocks, terms={"age": ["age"], "factor(grade)": ["grade2", "grade3"]})

    for term, test in {**found.terms, "GLOBAL": found.overall}.items():
        assert (test.statistic, test.df) == (pytest.approx(expected["chisq"][term], rel=1e-7), expected["df"][term])


@pytest.mark.parametrize("name", ["delayed_strata_efron", "delayed_strata_breslow"])
def test_baseline_hazard_and_survival_curve_equal_r(name, cox_r, fitted):
    # R: basehaz with centered = FALSE, and summary of survfit with newdata, times and extend = TRUE
    expected = cox_r["curves"][name]
    fit, blocks = fitted(name)
    times = np.array(expected["times"], dtype=float)
    person = np.array([expected["person"][term] for term in fit.term_names], dtype=float)

    baselines = baseline_hazards(fit, blocks)
    curve = survival_curve(fit, baselines[0], person, times)

    for baseline in baselines:
        hazard = cumulative_baseline_hazard(fit, baseline, times)
        np.testing.assert_allclose(hazard, expected["cumulative_hazard"][baseline.hospital], rtol=1e-8)
    np.testing.assert_allclose(curve.survival, expected["survival"], rtol=1e-8)
    np.testing.assert_allclose(curve.se * curve.survival, expected["std_err_of_survival"], rtol=1e-7)
    np.testing.assert_allclose(curve.ci_low, expected["lower"], rtol=1e-7)
    np.testing.assert_allclose(curve.ci_high, expected["upper"], rtol=1e-7)


def test_whas500_diagnostics_equal_r(whas500):
    # R: cox.zph with transform "km", basehaz with centered = FALSE, residuals of type "martingale"
    truth, data = whas500
    terms = tuple(truth["efron"]["coef"])
    block = SurvivalBlock("w", np.column_stack([data[t] for t in terms]), data["lenfol"], data["fstat"].astype(int))
    fit = fit_cox([block], terms)

    test = proportional_hazards_test(fit, [block])
    (baseline,) = baseline_hazards(fit, [block])
    (martingale,) = martingale_residuals(fit, [block])

    for term, result in {**test.terms, "GLOBAL": test.overall}.items():
        assert result.statistic == pytest.approx(truth["cox_zph_km"][term]["chisq"], rel=1e-6)
        assert result.p == pytest.approx(truth["cox_zph_km"][term]["p"], rel=1e-6)
    hazard = cumulative_baseline_hazard(fit, baseline, np.array(truth["baseline_cumhaz"]["t"], dtype=float))
    np.testing.assert_allclose(hazard, truth["baseline_cumhaz"]["H0"], rtol=1e-6)
    assert np.abs(martingale).sum() == pytest.approx(truth["martingale_resid_sum_abs"], rel=1e-8)


def test_dfbeta_is_near_the_change_when_a_row_is_left_out(make_blocks):
    (block,) = make_blocks(pooled=True)
    terms = ("age", "male", "sbp", "chol", "smoker", "noise")
    fit = fit_cox([block], terms)
    kept = np.arange(block.n) != 7
    without = SurvivalBlock("all", block.X[kept], block.time[kept], block.event[kept], block.entry[kept])

    (influence,) = dfbeta_residuals(fit, [block])

    change = fit.coef - fit_cox([without], terms).coef
    assert np.abs(influence[7] - change).max() < 0.05 * np.abs(change).max()
