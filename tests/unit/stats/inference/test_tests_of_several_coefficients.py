"""Likelihood-ratio and Wald tests against R's logLik and lmtest::waldtest (tests/vectors/statistics/inference.json)."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, RankDeficientError, fit_pooled_logistic
from heartify.stats.firth import fit_firth
from heartify.stats.inference import (
    chi_square_test,
    likelihood_ratio_test,
    log_chi_square_sf,
    sandwich_covariance,
    wald_test,
    wald_test_of,
)

TERMS = ("age", "male", "sbp", "chol", "smoker", "noise")


def test_the_chi_square_tail_equals_r_even_where_p_underflows(expected):
    # R: pchisq(x, df, lower.tail = FALSE, log.p = TRUE)
    tail = expected["chi_square_tail"]

    found = [log_chi_square_sf(x, df) for x, df in zip(tail["x"], tail["df"], strict=True)]

    np.testing.assert_allclose(found, tail["log_p"], rtol=1e-11)


def test_a_p_value_below_the_smallest_double_keeps_its_logarithm():
    test = chi_square_test(5000.0, 2)

    assert test.p == 0.0
    assert test.log10_p == pytest.approx(-2500 / np.log(10), rel=1e-14)


def test_no_difference_has_p_one_and_an_infinite_one_p_zero():
    assert chi_square_test(0.0, 3).p == 1.0
    assert chi_square_test(np.inf, 3).log10_p == -np.inf


@pytest.mark.parametrize(("statistic", "df"), [(-1.0, 1), (np.nan, 1), (1.0, 0)])
def test_impossible_statistics_are_refused(statistic, df):
    with pytest.raises(InvalidBlockError):
        chi_square_test(statistic, df)


@pytest.mark.parametrize(("key", "drop"), [("two", ("age", "sbp")), ("all", TERMS)])
def test_the_likelihood_ratio_equals_r(blocks, fit, expected, key, drop):
    # R: anova(update(full, . ~ . - age - sbp), full, test = "LRT")
    found = likelihood_ratio_test(blocks, fit, drop)

    wanted = expected["likelihood_ratio"][key]
    assert found.df == wanted["df"]
    assert found.statistic == pytest.approx(wanted["chi2"], rel=1e-9)
    assert found.log10_p * np.log(10) == pytest.approx(wanted["log_p"], rel=1e-9)


@pytest.mark.parametrize(("key", "names"), [("two", ("age", "sbp")), ("all", TERMS)])
def test_walds_test_equals_r(fit, expected, key, names):
    # R: lmtest::waldtest(reduced, full, vcov = vcov(full), test = "Chisq")
    found = wald_test_of(fit, names)

    assert found.df == expected["wald"][key]["df"]
    assert found.statistic == pytest.approx(expected["wald"][key]["chi2"], rel=1e-9)
    assert found.p == pytest.approx(expected["wald"][key]["p"], rel=1e-7)


def test_walds_test_with_a_robust_covariance_equals_r(blocks, fit, expected):
    robust = sandwich_covariance(blocks, fit)

    found = wald_test_of(fit, ("age", "sbp"), robust.covariance)

    assert found.statistic == pytest.approx(expected["wald"]["two_hc0"]["chi2"], rel=1e-8)


def test_one_coefficient_gives_the_square_of_z(fit):
    found = wald_test_of(fit, ["chol"])

    assert found.statistic == pytest.approx((fit.coef[4] / fit.se[4]) ** 2, rel=1e-12)


def test_contrasts_of_any_basis_of_one_hypothesis_give_one_statistic(fit):
    L = np.zeros((2, fit.coef.size))
    L[0, 1], L[1, 3] = 1.0, 1.0

    one, other = wald_test(fit.coef, fit.covariance, L), wald_test(fit.coef, fit.covariance, [[2, 1], [-30, 4]] @ L)

    assert one.statistic == pytest.approx(other.statistic, rel=1e-9)


def test_tests_do_not_depend_on_the_unit_of_a_factor(blocks, fit):
    scaled = [CohortBlock(b.name, b.X * np.array([12, 1, 0.133, 38.67, 1, 1e6]), b.y) for b in blocks]
    other = fit_pooled_logistic(scaled, TERMS)

    pairs = [
        (wald_test_of(fit, ("age", "chol")), wald_test_of(other, ("age", "chol"))),
        (likelihood_ratio_test(blocks, fit, ["sbp"]), likelihood_ratio_test(scaled, other, ["sbp"])),
    ]

    for one, two in pairs:
        assert one.statistic == pytest.approx(two.statistic, rel=1e-8)


def test_a_singular_covariance_is_refused(fit):
    with pytest.raises(RankDeficientError, match="singular"):
        wald_test(np.ones(2), np.ones((2, 2)))
    with pytest.raises(RankDeficientError, match="no variance"):
        wald_test(np.ones(2), np.diag([1.0, 0.0]))
    with pytest.raises(RankDeficientError, match="singular"):
        wald_test(fit.coef, fit.covariance, np.vstack([np.eye(fit.coef.size)[1]] * 2))


@pytest.mark.parametrize("names", [(), ("age", "age"), ("weight",)])
def test_unknown_repeated_or_no_names_are_refused(blocks, fit, names):
    with pytest.raises(InvalidBlockError):
        wald_test_of(fit, names)
    with pytest.raises(InvalidBlockError):
        likelihood_ratio_test(blocks, fit, names)


def test_values_that_do_not_fit_are_refused(fit):
    with pytest.raises(InvalidBlockError, match="expected coef"):
        wald_test(np.ones(3), np.eye(2))
    with pytest.raises(InvalidBlockError, match="not finite"):
        wald_test(np.array([1.0, np.nan]), np.eye(2))
    with pytest.raises(InvalidBlockError, match="another shape"):
        wald_test_of(fit, ["age"], np.eye(2))


def test_a_fit_of_other_blocks_is_refused(blocks, fit):
    with pytest.raises(InvalidBlockError, match="other blocks"):
        likelihood_ratio_test(blocks[:3], fit, ["age"])
    with pytest.raises(InvalidBlockError, match="other blocks"):
        likelihood_ratio_test(blocks[::-1], fit, ["age"])


def test_a_fit_that_is_no_maximum_is_refused():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 6))
    y = (rng.random(30) < 0.3).astype(float)
    block = CohortBlock("a", X, y)
    firth = fit_firth([block], TERMS)  # shrunk, so that a maximum without one useless factor may be higher

    statistics = []
    for name in TERMS:
        try:
            statistics.append(likelihood_ratio_test([block], firth.estimates, [name]).statistic)
        except InvalidBlockError as refused:
            statistics.append(str(refused))

    assert any("not a maximum" in str(found) for found in statistics)
