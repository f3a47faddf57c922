"""Each hospital's own fit, and which terms a hospital cannot tell (truth.json, R's glm per hospital)."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from heartify.stats import (
    CohortBlock,
    DegenerateOutcomeError,
    InvalidBlockError,
    NotConvergedError,
    SeparationError,
    StatsError,
)
from heartify.stats.heterogeneity import (
    NotEstimable,
    OwnFit,
    estimate_per_hospital,
    estimate_per_hospital_penalised,
    fit_by_maximum_likelihood,
    meta_analyse,
)

TERMS = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")


def rows(seed, n=300, p=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    X[:, -1] = X[:, -1] > 0
    return X, (rng.random(n) < 1 / (1 + np.exp(-X @ np.full(p, 0.5)))).astype(float)


def test_uci_hospitals_equal_r_and_switzerland_is_left_out_of_sex_alone(uci_blocks, truth):
    found = estimate_per_hospital(uci_blocks, TERMS)

    for own in found:
        expected = truth["uci4"]["per_hospital"][own.hospital]
        known = [j for j, reason in enumerate(own.reasons) if reason is None]
        coef = np.array([expected["coef"][TERMS[j]] for j in known])
        se = np.array([expected["se"][TERMS[j]] for j in known])
        # R's glm stops with sex at -16.3 in Switzerland, short of the limit: hence not tighter than 1e-5 there.
        assert np.max(np.abs(own.coef[known] - coef) / se) < (1e-5 if own.hospital == "switzerland" else 1e-6)
        # summary.glm takes the weights of the last but one iteration, and truth.json the default epsilon.
        np.testing.assert_allclose(own.se[known], se, rtol=1e-4)
    assert [own.reasons[1] for own in found] == [None, None, NotEstimable.SEPARATED, None]
    assert np.isnan(found[2].coef[1])
    assert all(reason is None for j, reason in enumerate(found[2].reasons) if j != 1)


def test_uci_terms_are_pooled_over_the_hospitals_that_know_them(uci_blocks, truth):
    found = meta_analyse(estimate_per_hospital(uci_blocks, TERMS))

    for term in found:
        expected = truth["uci4"]["meta"][term.term]
        assert term.fixed.k == expected["k"] == len(term.hospitals)
        assert term.fixed.estimate == pytest.approx(expected["FE"]["est"], rel=1e-5)
        assert term.random.estimate == pytest.approx(expected["REML"]["est"], rel=1e-3)
    assert found[1].excluded == (("switzerland", NotEstimable.SEPARATED),)


def test_a_column_that_does_not_vary_leaves_the_others_estimable():
    X, y = rows(1)
    X[:, 1] = 7.0
    referee = sm.Logit(y, sm.add_constant(X[:, [0, 2]])).fit(disp=False)

    (found,) = estimate_per_hospital([CohortBlock("a", X, y)], ("u", "v", "w"))

    assert found.reasons == (None, NotEstimable.CONSTANT, None)
    np.testing.assert_allclose(found.coef[[0, 2]], referee.params[1:], rtol=1e-6)


def test_leaving_out_one_separated_column_can_make_another_one_constant():
    X, y = rows(2)
    X[:, 1] = X[:, 2]
    y[X[:, 2] == 1.0] = 1.0

    (found,) = estimate_per_hospital([CohortBlock("a", X, y)], ("u", "v", "w"))

    assert found.reasons == (None, NotEstimable.SEPARATED, NotEstimable.CONSTANT)


def whole(kind):
    X, y = rows(3)
    if kind is NotEstimable.OUTCOME:
        y[:] = 1.0
    elif kind is NotEstimable.RANK:
        X[:, 1] = 2.0 * X[:, 0] - 1.0
    elif kind is NotEstimable.JOINTLY_SEPARATED:
        y = (X[:, 0] + X[:, 1] > 0.2).astype(float)
    elif kind is NotEstimable.FEW_EVENTS:
        y[10:] = 0.0
    return CohortBlock("a", X, y)


@pytest.mark.parametrize(
    "kind", [NotEstimable.OUTCOME, NotEstimable.RANK, NotEstimable.JOINTLY_SEPARATED, NotEstimable.FEW_EVENTS]
)
def test_a_hospital_that_cannot_be_fitted_says_why(kind):
    (found,) = estimate_per_hospital([whole(kind)], ("u", "v", "w"), min_events=20)

    assert set(found.reasons) == {kind}
    assert np.isnan(found.coef).all()
    assert np.isnan(found.se).all()


def test_a_hospital_where_no_column_varies_has_a_reason_for_each():
    _, y = rows(3)

    (found,) = estimate_per_hospital([CohortBlock("a", np.ones((y.size, 2)), y)], ("u", "v"))

    assert found.reasons == (NotEstimable.CONSTANT, NotEstimable.CONSTANT)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotConvergedError, NotEstimable.NOT_CONVERGED),
        (SeparationError, NotEstimable.JOINTLY_SEPARATED),
        (DegenerateOutcomeError, NotEstimable.OUTCOME),
        (InvalidBlockError, NotEstimable.REFUSED),
    ],
)
def test_errors_of_a_fit_function_become_reasons(error, reason):
    def refuse(block, names):
        raise error("no")

    (found,) = estimate_per_hospital([CohortBlock("a", *rows(4))], ("u", "v", "w"), fit=refuse)

    assert set(found.reasons) == {reason}


def test_a_penalised_fit_function_gets_the_separated_column_too(uci_blocks):
    seen = []

    def penalised(block, names):
        seen.append(tuple(names))
        return OwnFit(np.zeros(len(names)), np.eye(len(names)))

    found = estimate_per_hospital_penalised(uci_blocks, TERMS, fit=penalised)

    assert seen == [TERMS] * 4
    assert all(reason is None for own in found for reason in own.reasons)


def test_a_term_that_nobody_knows_has_no_pooled_estimate():
    X, y = rows(5)
    X[:, 1] = 1.0

    found = meta_analyse(estimate_per_hospital([CohortBlock("a", X, y)], ("u", "v", "w")))

    assert (found[1].fixed, found[1].random, found[1].hospitals) == (None, None, ())
    assert found[0].fixed.k == 1


def test_hospitals_of_unlike_terms_are_not_pooled():
    X, y = rows(6)
    one = estimate_per_hospital([CohortBlock("a", X, y)], ("u", "v", "w"))
    other = estimate_per_hospital([CohortBlock("b", X, y)], ("u", "v", "x"))

    with pytest.raises(InvalidBlockError):
        meta_analyse([*one, *other])
    with pytest.raises(InvalidBlockError):
        meta_analyse([])


def test_own_fits_do_not_depend_on_row_order_and_follow_the_unit():
    X, y = rows(7)
    order = np.random.default_rng(0).permutation(y.size)
    unit = np.array([1000.0, 0.01, 1.0])

    (found,) = estimate_per_hospital([CohortBlock("a", X, y)], ("u", "v", "w"))
    (other,) = estimate_per_hospital([CohortBlock("a", X[order] * unit, y[order])], ("u", "v", "w"))

    np.testing.assert_allclose(other.coef * unit, found.coef, rtol=1e-9)
    np.testing.assert_allclose(other.se * unit, found.se, rtol=1e-9)


def test_the_default_fit_is_maximum_likelihood_and_refuses_as_it_does():
    with pytest.raises(StatsError):
        fit_by_maximum_likelihood(whole(NotEstimable.OUTCOME), ("u", "v", "w"))
