"""Firth's estimates against an exact iteration (truth.json), R's brglm2 (inference.json) and firthmodels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from firthmodels import FirthLogisticRegression
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import (
    CohortBlock,
    DegenerateOutcomeError,
    InvalidBlockError,
    NotConvergedError,
    RankDeficientError,
    SeparationError,
    fit_pooled_logistic,
    pooled_sd,
    weights,
)
from heartify.stats.firth import (
    fit_firth,
    fit_logistic_or_firth,
    flac,
    flic,
    penalised_profile_interval,
    penalised_ratio_test,
)
from heartify.stats.firth.penalised import penalised_maximum, penalised_point
from heartify.stats.standardised_cohort import standardise

TERMS = ("age", "male", "sbp", "chol", "smoker", "noise")
FEW = ("age", "male", "sbp", "smoker")
UCI = ("age", "sex", "cp4", "thalach", "exang", "oldpeak")


def _dummies(data, column, levels, prefix):
    return {f"{prefix}{level}": (data[column] == level).astype(float) for level in levels}


def _referee(block):
    """firthmodels on one block's columns in standard deviations, for which its tolerances are meant."""
    Z = (block.X - block.X.mean(axis=0)) / block.X.std(axis=0, ddof=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, about its own versions
        return FirthLogisticRegression(backend="numpy", gtol=1e-8, xtol=1e-8, max_iter=500).fit(Z, block.y)


@pytest.fixture(scope="module")
def switzerland(uci_blocks):
    return [uci_blocks[2]]


@pytest.fixture(scope="module")
def swiss_fit(switzerland):
    return fit_firth(switzerland, UCI)


def test_cleveland_equals_the_exact_estimates(truth, read_columns):
    data = read_columns("uci_heart_cleveland.csv")
    wanted = truth["cleveland"]["firth_exact"]["coef"]
    complete = ~np.isnan(np.column_stack(list(data.values()))).any(axis=1)
    data = {name: column[complete] for name, column in data.items()}
    columns = data | _dummies(data, "cp", (2, 3, 4), "cp") | _dummies(data, "restecg", (1, 2), "recg")
    columns |= _dummies(data, "slope", (2, 3), "slope") | _dummies(data, "thal", (6, 7), "thal")
    terms = list(wanted)[1:]
    block = CohortBlock("cleveland", np.column_stack([columns[term] for term in terms]), data["num"] > 0)

    fit = fit_firth([block], terms).estimates

    assert np.max(np.abs(fit.coef - list(wanted.values())) / fit.se) < 1e-8


def test_four_hospitals_equal_r(blocks, expected):
    # R: glm(y ~ ... + hospital, binomial, method = "brglmFit", type = "AS_mean", epsilon = 1e-13)
    fit = fit_firth(blocks, TERMS).estimates

    assert fit.names == ("(Intercept)", *TERMS, "hospital:b", "hospital:c", "hospital:d")
    assert np.max(np.abs(fit.coef - np.array(expected["firth"]["coef"])) / fit.se) < 1e-8
    np.testing.assert_allclose(fit.se, expected["firth"]["se"], rtol=1e-8)


def test_a_separated_outcome_over_two_hospitals_equals_r(separated, expected):
    # R: glm(y ~ age + male + sbp + smoker + hospital, binomial, method = "brglmFit", type = "AS_mean")
    fit, wanted = fit_firth(separated[::-1], FEW), expected["firth_separated"]
    other = fit_firth(separated, FEW)

    assert np.max(np.abs(other.estimates.coef - np.array(wanted["coef"])) / other.estimates.se) < 1e-8
    np.testing.assert_allclose(other.estimates.se, wanted["se"], rtol=1e-8)
    assert other.penalised_loglik == pytest.approx(wanted["penalised_loglik"], abs=1e-9)
    assert fit.penalised_loglik == pytest.approx(other.penalised_loglik, abs=1e-9)  # whichever is the reference


def test_switzerland_is_finite_and_equals_firthmodels(switzerland, swiss_fit):
    referee, sd = _referee(switzerland[0]), pooled_sd(switzerland)

    fit = swiss_fit.estimates

    assert np.isfinite(fit.coef).all()
    assert np.max(np.abs(fit.term_coef * sd - referee.coef_) / (fit.term_se * sd)) < 1e-6
    # log|I| / 2 of standardised columns is smaller by the logarithms of their scales.
    assert swiss_fit.penalised_loglik - np.log(sd).sum() == pytest.approx(referee.loglik_, abs=1e-8)


def test_penalised_tests_and_profiles_equal_firthmodels(switzerland, swiss_fit):
    referee, sd = _referee(switzerland[0]), pooled_sd(switzerland)
    tested = (1, 2)  # sex, which separates the outcome, and cp4
    referee.lrt(list(tested), warm_start=False)
    bounds = referee.conf_int(alpha=0.05, method="pl", features=list(tested), tol=1e-7, max_iter=200)

    for index in tested:
        name = UCI[index]
        test = penalised_ratio_test(switzerland, swiss_fit, [name])
        interval = penalised_profile_interval(switzerland, swiss_fit, name)
        low, high = np.array([interval.ci_low, interval.ci_high]) * sd[index]
        se = swiss_fit.estimates.term_se[index] * sd[index]
        assert test.p == pytest.approx(referee.lrt_pvalues_[index], abs=1e-7)
        assert abs(low - bounds[index, 0]) < 1e-5 * se
        assert abs(high - bounds[index, 1]) < 1e-5 * se


def test_a_profile_of_a_separating_factor_is_lopsided_and_excludes_zero_only_where_the_test_does(separated):
    fit = fit_firth(separated, FEW)

    interval = penalised_profile_interval(separated, fit, "smoker")
    test = penalised_ratio_test(separated, fit, ["smoker"])

    assert interval.ci_high - interval.estimate > 1.2 * (interval.estimate - interval.ci_low)
    assert (interval.ci_low > 0) == (test.p < 0.05)


def test_the_joint_penalised_test_of_all_terms_has_their_number_of_degrees_of_freedom(blocks):
    fit = fit_firth(blocks, TERMS)

    test = penalised_ratio_test(blocks, fit, TERMS)

    assert test.df == 6
    assert 80 < test.statistic < 120  # maximum likelihood's is 98.7


def test_every_parameter_at_zero_is_a_test_too(separated):
    fit = fit_firth(separated, FEW)

    test = penalised_ratio_test(separated, fit, fit.estimates.names)

    assert test.df == 6
    assert test.statistic > 0


def test_flic_and_flac_equal_their_definitions_in_r(separated, expected):
    # R: glm(y ~ 1, offset = X b); glm.fit on the augmented data with weights h / 2
    fit = fit_firth(separated, FEW)

    moved, augmented = flic(separated, fit), flac(separated, fit)

    assert moved.coef[0] - fit.estimates.coef[0] == pytest.approx(expected["flic"]["shift"], abs=1e-9)
    np.testing.assert_array_equal(moved.coef[1:], fit.estimates.coef[1:])
    np.testing.assert_allclose(augmented.coef, expected["flac"]["coef"], rtol=1e-7, atol=1e-9)


def test_flic_and_flac_predict_the_event_rate(separated):
    fit = fit_firth(separated, FEW)
    n, events = sum(b.n for b in separated), sum(b.events for b in separated)

    for found in (flic(separated, fit), flac(separated, fit)):
        risk = 0.0
        for index, block in enumerate(separated):
            eta = found.coef[0] + block.X @ found.coef[1:5] + (found.coef[5] if index else 0.0)
            risk += float((1 / (1 + np.exp(-eta))).sum())
        assert risk / n == pytest.approx(events / n, abs=1e-10)


def test_maximum_likelihood_is_kept_where_it_exists(blocks):
    chosen = fit_logistic_or_firth(blocks, TERMS)

    assert (chosen.method, chosen.firth) == ("maximum likelihood", None)
    assert chosen.estimates.coef.tobytes() == fit_pooled_logistic(blocks, TERMS).coef.tobytes()


def test_separation_falls_back_to_firth_and_says_so(switzerland, swiss_fit):
    with pytest.raises(SeparationError):
        fit_pooled_logistic(switzerland, UCI)

    chosen = fit_logistic_or_firth(switzerland, UCI)

    assert chosen.method == "firth"
    assert chosen.firth is not None
    assert chosen.estimates is chosen.firth.estimates
    np.testing.assert_array_equal(chosen.estimates.coef, swiss_fit.estimates.coef)


def test_weights_are_told_from_firths_estimates_as_from_any(switzerland, swiss_fit):
    found = weights(swiss_fit.estimates, pooled_sd(switzerland))

    assert [weight.factor for weight in found] == list(UCI)
    assert all(np.isfinite([weight.per_sd.beta, weight.p]).all() for weight in found)


def test_a_hospital_without_events_has_a_finite_intercept(blocks):
    quiet = CohortBlock("quiet", blocks[3].X[:20], np.zeros(20))

    fit = fit_firth([*blocks[:3], quiet], TERMS).estimates

    assert fit.coef[-1] < -1
    assert np.isfinite(fit.se).all()


def test_complete_separation_by_one_factor_is_finite():
    X = np.arange(10.0)[:, None]
    block = CohortBlock("all", X, X[:, 0] > 4)

    fit = fit_firth([block], ["x"])
    interval = penalised_profile_interval([block], fit, "x")

    assert 0 < fit.estimates.coef[1] < 5
    assert 0 < interval.ci_low < fit.estimates.coef[1] < interval.ci_high < 100


def test_two_by_two_tables_equal_the_haldane_anscombe_correction():
    # A saturated model: Firth adds one half to every cell (Firth 1993, section 4).
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [0, 12, 5, 9])
    block = CohortBlock("all", np.repeat([0.0, 0.0, 1.0, 1.0], [0, 12, 5, 9])[:, None], y)

    fit = fit_firth([block], ["exposed"]).estimates

    assert fit.coef[1] == pytest.approx(np.log(5.5 / 9.5) - np.log(0.5 / 12.5), abs=1e-10)


@given(st.integers(0, 1000), st.floats(-3, 3))
@settings(max_examples=10, deadline=None)
def test_units_and_row_order_do_not_matter(separated, seed, exponent):
    rng = np.random.default_rng(seed)
    scale = np.array([10**exponent, 1.0, 1.0, 1.0])
    orders = [rng.permutation(block.n) for block in separated]
    moved = [CohortBlock(b.name, b.X[o] * scale, b.y[o]) for b, o in zip(separated, orders, strict=True)]

    one, other = fit_firth(separated, FEW).estimates, fit_firth(moved, FEW).estimates

    np.testing.assert_allclose(other.term_coef * scale, one.term_coef, rtol=1e-7)
    np.testing.assert_allclose(other.term_se * scale, one.term_se, rtol=1e-7)


def test_chunks_do_not_matter(separated, monkeypatch):
    whole = fit_firth(separated, FEW).estimates

    monkeypatch.setattr("heartify.stats.standardised_cohort.CHUNK_ROWS", 7)
    monkeypatch.setattr("heartify.stats.likelihood.CHUNK_ROWS", 7)
    pieces = fit_firth(separated, FEW).estimates

    np.testing.assert_allclose(pieces.coef, whole.coef, rtol=1e-8)


def test_equal_input_gives_equal_bits(separated):
    one, other = fit_firth(separated, FEW), fit_firth(separated, FEW)

    assert one.estimates.coef.tobytes() == other.estimates.coef.tobytes()
    assert one.penalised_loglik == other.penalised_loglik


def test_seventy_thousand_uncleaned_persons_are_close_to_maximum_likelihood(read_columns):
    data = read_columns("cardio_train.csv", ";")
    names = ["age", "height", "weight", "ap_hi", "ap_lo", "cholesterol", "gluc", "smoke", "alco", "active"]
    block = CohortBlock("all", np.column_stack([data[name] for name in names]), data["cardio"])

    firth, ml = fit_firth([block], names).estimates, fit_pooled_logistic([block], names)

    # Not closer: ap_lo up to 11,000 mmHg gives single rows of this uncleaned file a leverage of 0.06.
    assert np.max(np.abs(firth.coef - ml.coef) / ml.se) < 0.2


def test_what_no_penalty_can_repair_is_refused(blocks):
    constant = [CohortBlock(b.name, np.column_stack([b.X, np.ones(b.n)]), b.y) for b in blocks]
    double = [CohortBlock(b.name, np.column_stack([b.X, 2 * b.X[:, 0]]), b.y) for b in blocks]

    with pytest.raises(RankDeficientError, match="constant"):
        fit_firth(constant, (*TERMS, "one"))
    with pytest.raises(RankDeficientError, match="combination"):
        fit_firth(double, (*TERMS, "twice"))
    with pytest.raises(DegenerateOutcomeError):
        fit_firth([CohortBlock("all", np.arange(9.0)[:, None], np.zeros(9))], ["x"])
    with pytest.raises(InvalidBlockError):
        fit_firth(blocks, ("age",))
    with pytest.raises(RankDeficientError):
        fit_logistic_or_firth(constant, (*TERMS, "one"))


def test_tests_and_profiles_refuse_what_the_fit_does_not_have(separated, swiss_fit):
    fit = fit_firth(separated, FEW)

    with pytest.raises(InvalidBlockError):
        penalised_ratio_test(separated, fit, ["weight"])
    with pytest.raises(InvalidBlockError):
        penalised_profile_interval(separated, fit, "weight")
    with pytest.raises(InvalidBlockError, match="level"):
        penalised_profile_interval(separated, fit, "age", 0.0)
    for refused in (flic, flac):
        with pytest.raises(InvalidBlockError, match="other blocks"):
            refused(separated, swiss_fit)


def test_a_singular_information_far_out_is_refused(separated):
    cohort = standardise(separated, FEW)

    with pytest.raises(NotConvergedError, match="singular"):
        penalised_point(cohort, np.full(cohort.q, 400.0))  # one or two rows carry all the weight
    with pytest.raises(NotConvergedError, match="singular"):
        penalised_maximum(cohort, np.full(cohort.q, 1e5))
    with pytest.raises(NotConvergedError, match="singular"):
        penalised_point(cohort, np.append(np.full(2, 1e3), np.zeros(4)))


def test_an_iteration_that_does_not_end_is_refused(separated, monkeypatch):
    fit = fit_firth(separated, FEW)

    with monkeypatch.context() as patch:
        patch.setattr("heartify.stats.firth.penalised.MAX_ITERATIONS", 2)
        with pytest.raises(NotConvergedError, match="within 2 iterations"):
            fit_firth(separated, FEW)
    with monkeypatch.context() as patch:
        patch.setattr("heartify.stats.firth.penalised.MAX_HALVINGS", 0)
        with pytest.raises(NotConvergedError, match="no step"):
            fit_firth(separated, FEW)
    with monkeypatch.context() as patch:
        patch.setattr("heartify.stats.offset_intercept.MAX_ITERATIONS", 1)
        with pytest.raises(NotConvergedError, match="no intercept"):
            flic(separated, fit)
