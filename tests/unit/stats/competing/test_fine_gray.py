"""Fine and Gray's model against cmprsk::crr and survival::finegray, the jackknife, and a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import (
    DegenerateOutcomeError,
    InvalidBlockError,
    RankDeficientError,
    SeparationError,
)
from heartify.stats.competing import CensoringTies, FollowUp, fit_fine_gray
from heartify.stats.competing.fine_gray_stratum import FineGrayStratum

TERMS = ("age", "male", "sbp", "smoker")


def _rows(cohort, *, entry=False, untied=False):
    time = cohort.untied if untied else cohort["time"]
    return FollowUp(time, cohort["status"], cohort["entry"] if entry else None)


def _assert_coef(fit, coef):
    assert np.abs((fit.coef - coef) / fit.se).max() < 1e-9


# R: crr(time, status, X[, failcode = 2][, cengroup = d$hospital], gtol = 1e-14, maxiter = 60)
@pytest.mark.parametrize(
    ("block", "untied", "cause", "grouped"),
    [
        ("crr", False, 1, False),
        ("crr_untied", True, 1, False),
        ("crr_untied_rival", True, 2, False),
        ("crr_groups", False, 1, True),
    ],
)
def test_a_fit_equals_crr(cohort, r, block, untied, cause, grouped):
    expected, groups = r[block], cohort["hospital"] if grouped else None

    fit = fit_fine_gray(
        cohort.X,
        _rows(cohort, untied=untied),
        TERMS,
        cause=cause,
        censoring_group=groups,
        ties=CensoringTies.TOGETHER,
    )

    _assert_coef(fit, expected["coef"])
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-8)
    assert fit.null_loglik == pytest.approx(expected["loglik_null"], abs=1e-8)
    np.testing.assert_allclose(fit.model_covariance, expected["invinf"], rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(fit.predict(r["crr_new"]["rows"], r["times"]).T, expected["cif"], rtol=1e-9)


# crr breaks ties of censorings and events row by row in its variance, so it is compared where there are none.
@pytest.mark.parametrize(("block", "cause"), [("crr_untied", 1), ("crr_untied_rival", 2)])
def test_the_variance_equals_crr_without_ties(cohort, r, block, cause):
    fit = fit_fine_gray(cohort.X, _rows(cohort, untied=True), cause=cause, ties=CensoringTies.TOGETHER)

    np.testing.assert_allclose(fit.covariance, r[block]["var"], rtol=1e-8, atol=1e-13)


def test_the_variance_is_within_a_ten_thousandth_of_crr_with_ties(cohort, r):
    fit = fit_fine_gray(cohort.X, _rows(cohort), ties=CensoringTies.TOGETHER)

    np.testing.assert_allclose(fit.se, np.sqrt(np.diag(r["crr"]["var"])), rtol=1e-4)


# R: f <- finegray(Surv([entry,] time, state) ~ [strata(hospital) +] ., d, etype = "event"[, id = id])
#    coxph(Surv(fgstart, fgstop, fgstatus) ~ ... [+ strata(centre)], f, weights = fgwt, ties = "breslow", cluster = id)
@pytest.mark.parametrize("block", ["finegray", "finegray_entry", "finegray_strata", "finegray_entry_strata"])
def test_a_fit_equals_finegray_with_delayed_entry_and_strata(cohort, r, block):
    expected = r[block]
    stratum = cohort["hospital"] if "strata" in block else None

    fit = fit_fine_gray(cohort.X, _rows(cohort, entry="entry" in block), TERMS, stratum=stratum)

    _assert_coef(fit, expected["coef"])
    np.testing.assert_allclose([fit.null_loglik, fit.loglik], expected["loglik"], atol=1e-8)
    np.testing.assert_allclose(fit.known_weights_covariance, expected["robust_var"], rtol=1e-7, atol=1e-13)
    np.testing.assert_allclose(fit.model_covariance, expected["naive_var"], rtol=1e-7, atol=1e-13)


def test_a_censored_rows_influence_is_that_of_leaving_it_out_and_estimating_the_weights_again(cohort):
    # Every third row, censoring by hospital: crr has no such referee beyond its point estimates.
    keep = np.arange(0, 1200, 3)
    X, rows, group = cohort.X[keep], _rows(cohort, untied=True).take(keep), cohort["hospital"][keep]
    fit = fit_fine_gray(X, rows, censoring_group=group)
    eta, psi = FineGrayStratum(X, rows, 1, group, CensoringTies.EVENTS_FIRST).scores(fit.coef)
    by_time = np.argsort(rows.time)
    censored = np.flatnonzero(rows.event[by_time] == 0)[::2]

    def change(position):
        others = np.arange(keep.size) != by_time[position]
        return fit.coef - fit_fine_gray(X[others], rows.take(others), censoring_group=group[others]).coef

    changes = np.array([change(position) for position in censored])

    known = np.abs(changes - (eta @ fit.model_covariance)[censored]).mean(axis=0)
    estimated = np.abs(changes - ((eta + psi) @ fit.model_covariance)[censored]).mean(axis=0)
    assert (estimated < 0.7 * known).all()
    assert estimated[0] < 0.3 * known[0]


# R: coxph(Surv(time, one) ~ age + male + sbp + smoker, d, ties = "breslow")
def test_without_competing_events_it_is_coxs_model(cohort, r):
    fit = fit_fine_gray(cohort.X, FollowUp(cohort["time"], cohort["status"] == 1), TERMS)

    _assert_coef(fit, r["cox"]["coef"])
    np.testing.assert_allclose(fit.model_covariance, r["cox"]["var"], rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose([fit.null_loglik, fit.loglik], r["cox"]["loglik"], atol=1e-8)


def test_coefficients_of_a_known_model_are_recovered_and_covered():
    # Fine and Gray 1999, section 5: F1(t | x) = 1 - (1 - p (1 - exp(-t)))^exp(x b)
    rng = np.random.default_rng(11)
    truth, p, n = np.array([0.5, -0.5]), 0.6, 300

    def draw():
        X = rng.normal(size=(n, 2))
        ratio = np.exp(X @ truth)
        first = rng.random(n) < 1 - (1 - p) ** ratio
        u = rng.random(n)
        inner = 1 - (1 - u * (1 - (1 - p) ** ratio)) ** (1 / ratio)
        time = np.where(first, -np.log1p(-inner / p), rng.exponential(np.exp(-X @ truth)))
        censored = rng.uniform(0.2, 4, n)
        event = np.where(time > censored, 0, np.where(first, 1, 2))
        fit = fit_fine_gray(X, FollowUp(np.minimum(time, censored), event))
        return fit.coef, fit.se

    drawn = np.array([draw() for _ in range(400)])
    estimates, errors = drawn[:, 0], drawn[:, 1]

    assert np.abs(estimates.mean(axis=0) - truth).max() < 0.02
    assert (errors.mean(axis=0) / estimates.std(axis=0, ddof=1)) == pytest.approx([1.0, 1.0], rel=0.1)
    covered = (np.abs(estimates - truth) < 1.959964 * errors).mean(axis=0)
    assert ((covered > 0.92) & (covered < 0.98)).all()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-4, 1e4))
def test_row_order_and_units_do_not_matter(cohort, seed, scale):
    rows, factors = _rows(cohort, entry=True), np.array([scale, 1.0, 1.0, 1.0 / scale])
    order = np.random.default_rng(seed).permutation(rows.n)
    plain = fit_fine_gray(cohort.X, rows, stratum=cohort["hospital"])

    moved = fit_fine_gray((cohort.X * factors)[order], rows.take(order), stratum=cohort["hospital"][order])

    assert np.abs((moved.coef * factors - plain.coef) / plain.se).max() < 1e-8
    np.testing.assert_allclose(moved.se * factors, plain.se, rtol=1e-8)


def test_a_shift_of_a_term_moves_the_baseline_and_no_prediction(cohort):
    plain = fit_fine_gray(cohort.X, _rows(cohort), stratum=cohort["hospital"])
    moved = fit_fine_gray(cohort.X - 50.0, _rows(cohort), stratum=cohort["hospital"])

    risks = plain.predict(cohort.X[:5], [100.0, 900.0], stratum=2)

    np.testing.assert_allclose(moved.predict(cohort.X[:5] - 50.0, [100.0, 900.0], stratum=2), risks, rtol=1e-9)
    assert ((risks > 0) & (risks < 1)).all()


def test_a_hospital_without_events_changes_nothing(cohort):
    rows = _rows(cohort)
    quiet = np.where(cohort["hospital"] == 3, 0, cohort["status"])
    others = cohort["hospital"] != 3

    fit = fit_fine_gray(cohort.X, FollowUp(rows.time, quiet), stratum=cohort["hospital"])

    alone = fit_fine_gray(cohort.X[others], rows.take(others), stratum=cohort["hospital"][others])
    assert np.abs((fit.coef - alone.coef) / alone.se).max() < 1e-6
    assert [base.stratum for base in fit.baselines] == [0, 1, 2]


def test_a_monotone_likelihood_is_refused():
    time = np.arange(1.0, 41.0)
    X = np.column_stack([-time + 50.0, np.sin(time)])
    event = np.where(time % 5 == 0, 0, 1)

    with pytest.raises(SeparationError):
        fit_fine_gray(X, FollowUp(time, event))


def test_a_factor_that_all_early_events_carry_is_refused_unless_someone_else_carries_it_too():
    rng = np.random.default_rng(3)
    time, event, noise = np.arange(1.0, 61.0), rng.integers(0, 3, 60), rng.normal(size=60)
    event[-1] = 1
    marked = ((event == 1) & (time < 20)).astype(float)

    with pytest.raises(SeparationError):
        fit_fine_gray(np.column_stack([marked, noise]), FollowUp(time, event))

    marked[-1] = 1.0
    fit = fit_fine_gray(np.column_stack([marked, noise]), FollowUp(time, event))
    assert np.isfinite(fit.se).all()


def test_a_very_large_but_finite_effect_is_not_taken_for_a_monotone_likelihood():
    carriers, others = 20, 200_000
    marked = np.repeat([1.0, 0.0], [carriers, others])
    time = np.r_[np.arange(1.0, carriers + 1), 0.5, np.full(others - 1, 99.0)]  # one other event comes first of all
    event = np.r_[np.ones(carriers + 1), np.zeros(others - 1)]

    fit = fit_fine_gray(marked[:, None], FollowUp(time, event))

    at_risk = np.arange(carriers, 0, -1.0)

    def score(beta):
        first = carriers * np.exp(beta) / (carriers * np.exp(beta) + others)
        return ((others - 1) / (at_risk * np.exp(beta) + others - 1)).sum() - first

    assert score(fit.coef[0] - 1e-6) > 0 > score(fit.coef[0] + 1e-6)
    assert 10 < fit.coef[0] < 20


def test_ordinary_search_directions_are_not_taken_for_separating_ones(cohort, monkeypatch):
    plain = fit_fine_gray(cohort.X, _rows(cohort))
    monkeypatch.setattr("heartify.stats.newton.PATIENCE", 0)

    watched = fit_fine_gray(cohort.X, _rows(cohort))

    np.testing.assert_array_equal(watched.coef, plain.coef)


@pytest.mark.parametrize(
    ("column", "error"),
    [
        (lambda X: np.ones(X.shape[0]), RankDeficientError),
        (lambda X: X[:, 0] + 2 * X[:, 2], RankDeficientError),
        (lambda X: np.full(X.shape[0], np.nan), InvalidBlockError),
    ],
)
def test_columns_without_an_own_effect_are_refused(cohort, column, error):
    X = np.column_stack([cohort.X, column(cohort.X)])

    with pytest.raises(error):
        fit_fine_gray(X, _rows(cohort))


def test_a_term_that_is_constant_in_every_stratum_is_refused(cohort):
    X = np.column_stack([cohort.X, cohort["hospital"]])

    with pytest.raises(RankDeficientError):
        fit_fine_gray(X, _rows(cohort), stratum=cohort["hospital"])


def test_malformed_questions_are_refused(cohort):
    rows, fit = _rows(cohort), fit_fine_gray(cohort.X, _rows(cohort))

    for ask in (
        lambda: fit_fine_gray(cohort.X[:5], rows),
        lambda: fit_fine_gray(cohort.X, rows, ("a", "a", "b", "c")),
        lambda: fit_fine_gray([["Jane"]], rows),
        lambda: fit_fine_gray(cohort.X, rows, stratum=np.zeros(3)),
        lambda: fit.predict(cohort.X[:2], [1.0], stratum=7),
        lambda: fit.predict(cohort.X[:2, :2], [1.0]),
    ):
        with pytest.raises(InvalidBlockError):
            ask()
    with pytest.raises(DegenerateOutcomeError):
        fit_fine_gray(cohort.X, rows, cause=3)


def test_an_early_risk_set_without_weights_is_refused():
    # The first to enter is censored alone, so nobody can be known to stay uncensored.
    X, rows = np.array([[0.0], [1.0], [2.0], [0.5]]), FollowUp([1.0, 4, 3, 5], [0, 1, 2, 1], [0.0, 2, 2, 2])

    with pytest.raises(DegenerateOutcomeError, match="risk set"):
        fit_fine_gray(X, rows)


def test_two_rows_give_an_answer_or_a_refusal_and_no_warning():
    with pytest.raises(SeparationError):
        fit_fine_gray([[1.0], [0.0]], FollowUp([1.0, 2.0], [1, 1]))
