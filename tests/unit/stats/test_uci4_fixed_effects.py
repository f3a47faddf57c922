"""Acceptance: the four UCI hospitals, hospital intercepts, against R's glm (truth.json uci4) before any rounding.

R: glm(y ~ age + sex + cp4 + thalach + exang + oldpeak + hospital, binomial)
"""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import CohortBlock, SeparationError, fit_pooled_logistic

TERMS = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")


@pytest.fixture(scope="module")
def fit(uci_blocks):
    return fit_pooled_logistic(uci_blocks, TERMS)


@pytest.fixture(scope="module")
def expected(truth):
    return truth["uci4"]["fixed_effects"]


def test_names_are_treatment_coded_with_the_first_hospital_as_reference(fit):
    assert fit.names == ("(Intercept)", *TERMS, "hospital:hungarian", "hospital:switzerland", "hospital:va")


def test_coefficients_equal_r_within_a_millionth_of_a_standard_error(fit, expected):
    coef, se = np.array(list(expected["coef"].values())), np.array(list(expected["se"].values()))

    error_in_se = np.abs(fit.coef - coef) / se

    assert error_in_se.max() < 1e-6


def test_standard_errors_equal_r(fit, expected):
    # R's summary.glm takes the weights of the last but one iteration, hence not tighter than 1e-5.
    np.testing.assert_allclose(fit.se, list(expected["se"].values()), rtol=1e-5)


def test_likelihoods_counts_and_auc_equal_r(fit, expected, truth):
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-6)
    assert -2 * fit.null_loglik == pytest.approx(expected["null_deviance"], abs=1e-6)
    assert fit.auc == pytest.approx(expected["auc"], abs=1e-9)
    assert (fit.n, fit.events) == (expected["n"], expected["events"])
    assert fit.n_by_block == truth["uci4"]["n_by_hospital"]
    assert fit.events_by_block == truth["uci4"]["events_by_hospital"]


def test_one_block_of_all_rows_equals_r_without_hospitals(uci_blocks, truth):
    expected = truth["uci4"]["pooled"]
    everyone = CohortBlock(
        "all", np.vstack([block.X for block in uci_blocks]), np.concatenate([block.y for block in uci_blocks])
    )

    fit = fit_pooled_logistic([everyone], TERMS)

    assert fit.names == tuple(expected["coef"])
    assert np.max(np.abs(fit.coef - list(expected["coef"].values())) / fit.se) < 1e-6
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-6)
    assert fit.auc == pytest.approx(expected["auc"], abs=1e-9)


@pytest.mark.parametrize("index", [0, 1, 3])
def test_each_hospital_alone_equals_r(uci_blocks, truth, index):
    block = uci_blocks[index]
    expected = truth["uci4"]["per_hospital"][block.name]

    fit = fit_pooled_logistic([block], TERMS)

    assert np.max(np.abs(fit.coef - list(expected["coef"].values())) / fit.se) < 1e-6


def test_switzerland_alone_is_refused_because_sex_separates_its_outcome(uci_blocks):
    # R's glm "converges" to an intercept of 20.86 with a standard error of 1827.
    with pytest.raises(SeparationError):
        fit_pooled_logistic([uci_blocks[2]], TERMS)


def test_own_intercepts_are_the_reference_plus_the_contrast(fit):
    own = {found.hospital: found for found in fit.hospital_intercepts}

    assert own["cleveland"].value == fit.coef[0]
    assert own["cleveland"].se == pytest.approx(fit.se[0], rel=1e-12)
    assert own["va"].value == pytest.approx(fit.coef[0] + fit.coef[-1], rel=1e-12)


def test_equal_input_gives_equal_bits(uci_blocks, fit):
    again = fit_pooled_logistic(uci_blocks, TERMS)

    assert again.coef.tobytes() == fit.coef.tobytes()
    assert again.covariance.tobytes() == fit.covariance.tobytes()
