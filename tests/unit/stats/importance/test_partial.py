"""Partial Wald tests against R: anova(rms::lrm(...)), pchisq(log.p = TRUE) (referee/weights.R)."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, InvalidBlockError, RankDeficientError, fit_pooled_logistic
from heartify.stats.chi_square import chi_square_test
from heartify.stats.importance import Term, partial_tests, partial_tests_of_fit, single_column_terms


@pytest.fixture(scope="module")
def found(blocks, names, terms):
    return partial_tests_of_fit(fit_pooled_logistic(blocks, names), terms)


def test_each_term_equals_anova_of_rms(found, referee):
    expected = referee["partial"]

    for test in found.terms:
        assert test.df == expected["df"][test.term]
        assert test.chi2 == pytest.approx(expected["chi2"][test.term], rel=1e-6)
        assert test.p == pytest.approx(expected["p"][test.term], rel=1e-5, abs=1e-14)  # rms computes 1 - pchisq
        assert test.chi2_minus_df == pytest.approx(test.chi2 - test.df)
        assert test.log10_p == pytest.approx(np.log10(test.p))


def test_the_joint_test_and_shares_equal_r(found, referee):
    expected = referee["partial"]

    assert found.total_df == expected["total_df"]
    assert found.total_chi2 == pytest.approx(expected["total"], rel=1e-6)
    assert found.terms[0].share == pytest.approx(expected["chi2"]["age"] / expected["total"], rel=1e-6)


def test_terms_are_ranked_by_chi2_less_df(found):
    ordered = sorted(found.terms, key=lambda test: test.rank)

    excess = [test.chi2_minus_df for test in ordered]
    assert excess == sorted(excess, reverse=True)
    assert ordered[0].term == "age"
    assert [test.rank for test in ordered] == [1, 2, 3, 4, 5, 6, 7]


def test_a_chi2_of_one_column_is_its_z_squared(blocks, names):
    fit = fit_pooled_logistic(blocks, names)

    found = partial_tests_of_fit(fit, single_column_terms(names))

    np.testing.assert_allclose([test.chi2 for test in found.terms], (fit.term_coef / fit.term_se) ** 2, rtol=1e-12)


def test_tests_do_not_depend_on_the_unit_of_a_factor(blocks, names, terms, found):
    unit = np.array([1e3, 1, 1e-3, 1e4, 1, 5, 1, 1, 1e-6])
    scaled = [CohortBlock(block.name, block.X * unit, block.y) for block in blocks]

    again = partial_tests_of_fit(fit_pooled_logistic(scaled, names), terms)

    for one, two in zip(found.terms, again.terms, strict=True):
        assert two.chi2 == pytest.approx(one.chi2, rel=1e-6)
        assert two.rank == one.rank


def test_the_tail_of_chi2_equals_r_beyond_the_smallest_double(referee):
    # pchisq(x, df, lower.tail = FALSE, log.p = TRUE) / log(10)
    tails = referee["tails"]

    found = [chi_square_test(x, df).log10_p for df, x in zip(tails["df"], tails["x"], strict=True)]

    np.testing.assert_allclose(found, tails["log10_p"], rtol=1e-12)


def test_no_effect_at_all_has_no_shares():
    found = partial_tests(np.zeros(2), np.eye(2), single_column_terms(["u", "v"]))

    assert [test.share for test in found.terms] == [0.0, 0.0]
    assert found.total_p == 1.0


@pytest.mark.parametrize(
    "terms",
    [
        [],
        [Term("u", ())],
        [Term("", (0,))],
        [Term("u", (2,))],
        [Term("u", (-1,))],
        [Term("u", (0,)), Term("u", (1,))],
        [Term("u", (0, 1)), Term("v", (1,))],
    ],
)
def test_terms_that_do_not_fit_the_columns_are_refused(terms):
    with pytest.raises(InvalidBlockError):
        partial_tests(np.zeros(2), np.eye(2), terms)


@pytest.mark.parametrize(
    ("coef", "covariance"),
    [(np.zeros(2), np.eye(3)), (np.zeros((2, 1)), np.eye(2)), (np.array([np.nan, 0]), np.eye(2))],
)
def test_estimates_that_do_not_fit_together_are_refused(coef, covariance):
    with pytest.raises(InvalidBlockError):
        partial_tests(coef, covariance, [Term("u", (0,))])


def test_a_singular_covariance_is_refused():
    with pytest.raises(RankDeficientError):
        partial_tests(np.ones(2), np.ones((2, 2)), [Term("u", (0, 1))])
