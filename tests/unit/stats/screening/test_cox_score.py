"""The Cox score test against R coxph: score at the null's coefficients, with no iteration."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, NotConvergedError
from heartify.stats.screening import (
    CandidateBlock,
    CandidateState,
    ScreenOptions,
    SurvivalStratum,
    cox_null,
    score_test_family,
    screen,
)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_strata_and_delayed_entry_equal_coxph(r, strata, candidates, ties):
    # coxph(Surv(entry, time, status == 1) ~ age + male + strata(hospital) + g, init = c(coef, 0), iter.max = 0)$score
    expected = r["cox"][ties]
    null = cox_null(strata, np.array(expected["coef"]), ties)

    found = screen(null, [candidates(r["cox"]["names"])])
    grade = score_test_family(null, "grade", candidates(["g2", "g3"]))

    np.testing.assert_allclose(found.z**2, expected["chi2"], rtol=1e-8)
    assert grade.chi2 == pytest.approx(expected["grade"], rel=1e-9)
    assert grade.df == 2


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_whas500_equals_coxph(r, read_columns, ties):
    # coxph(Surv(lenfol, fstat) ~ age + gender + g, init = c(coef, 0), iter.max = 0)$score
    data = read_columns("whas500.csv")
    names = tuple(r["whas500"]["names"])
    base = np.column_stack([data["age"], data["gender"]])
    stratum = SurvivalStratum("whas", base, np.full(500, -np.inf), data["lenfol"], data["fstat"])
    null = cox_null([stratum], np.array(r["whas500"][ties]["coef"]), ties)

    found = screen(null, [CandidateBlock(names, (np.column_stack([data[name] for name in names]),))])

    np.testing.assert_allclose(found.z**2, r["whas500"][ties]["chi2"], rtol=1e-8)


def test_complete_rows_alone_equal_coxph_on_them(r, strata, candidates, cohort):
    known = ~cohort["unknown"]
    masks = [known[cohort["hospital"] == s.name] for s in strata]
    own = [
        SurvivalStratum(s.name, s.X[k], s.entry[k], s.time[k], s.event[k]) for s, k in zip(strata, masks, strict=True)
    ]
    block = candidates(r["cox"]["names"])
    null = cox_null(own, np.array(r["cox"]["own_rows"]["coef"]))

    found = screen(null, [CandidateBlock(block.names, tuple(p[k] for p, k in zip(block.parts, masks, strict=True)))])

    np.testing.assert_allclose(found.z**2, r["cox"]["own_rows"]["chi2"], rtol=1e-8)


def test_missing_values_take_one_step_to_the_null_on_own_rows(r, strata, candidates, cohort):
    null = cox_null(strata, np.array(r["cox"]["efron"]["coef"]))

    found = screen(null, [candidates(r["cox"]["names"], unknown=cohort["unknown"])])

    np.testing.assert_allclose(np.abs(found.z), np.sqrt(r["cox"]["own_rows"]["chi2"]), atol=0.01)
    assert (found.n == np.count_nonzero(~cohort["unknown"])).all()


@pytest.mark.parametrize("seed", range(3))
def test_row_order_and_scale_change_no_z(r, strata, candidates, seed):
    rng = np.random.default_rng(seed)
    block = candidates(["sbp", "chol"])
    null = cox_null(strata, np.array(r["cox"]["efron"]["coef"]))
    orders = [rng.permutation(s.time.size) for s in strata]
    mixed = [
        SurvivalStratum(s.name, s.X[o], s.entry[o], s.time[o], s.event[o]) for s, o in zip(strata, orders, strict=True)
    ]
    parts = tuple(1e6 * part[o] - 7e8 for part, o in zip(block.parts, orders, strict=True))

    found = screen(cox_null(mixed, null.coef), [CandidateBlock(block.names, parts)])

    np.testing.assert_allclose(found.z, screen(null, [block]).z, rtol=1e-8)


def test_a_hospital_without_events_changes_nothing(r, strata, candidates):
    block = candidates(["sbp", "chol"])
    null = cox_null(strata, np.array(r["cox"]["efron"]["coef"]))
    censored = SurvivalStratum(
        "e", np.array([[50.0, 1.0], [61.0, 0.0]]), np.zeros(2), np.array([5.0, 9.0]), np.zeros(2)
    )
    wider = cox_null([*strata, censored], null.coef)

    found = screen(wider, [CandidateBlock(block.names, (*block.parts, np.array([[1.0, np.nan], [2.0, 5.0]])))])

    np.testing.assert_allclose(found.z, screen(null, [block]).z, rtol=1e-10)


def test_constant_and_collinear_candidates_are_not_tested(r, strata, candidates):
    null = cox_null(strata, np.array(r["cox"]["efron"]["coef"]))
    parts = tuple(np.column_stack([np.full(s.time.size, 3.3), s.X[:, 0] * 0.5]) for s in strata)

    found = screen(null, [CandidateBlock(("flat", "half-age"), parts)])

    assert [CandidateState(s).name for s in found.state] == ["CONSTANT", "COLLINEAR"]
    assert found.tested == 0
    assert found.qq is None
    assert np.isnan(found.lambda_gc)


def test_coefficients_that_are_not_the_maximum_are_refused(strata):
    with pytest.raises(NotConvergedError, match="not the maximum"):
        cox_null(strata, np.zeros(2))


def test_all_censored_is_refused(strata):
    censored = [SurvivalStratum(s.name, s.X, s.entry, s.time, np.zeros(s.time.size)) for s in strata]

    with pytest.raises(DegenerateOutcomeError, match="no events"):
        cox_null(censored, np.zeros(2))


def test_unusable_strata_are_refused(strata):
    X, one = np.ones((2, 1)), np.ones(2)

    with pytest.raises(InvalidBlockError, match="entry before time"):
        SurvivalStratum("a", X, one, one, one)
    with pytest.raises(InvalidBlockError, match="missing or infinite"):
        SurvivalStratum("a", X * np.nan, np.zeros(2), one, one)
    with pytest.raises(InvalidBlockError, match="expected X"):
        SurvivalStratum("a", X, np.zeros(3), one, one)
    with pytest.raises(InvalidBlockError, match="one finite coefficient"):
        cox_null(strata, np.zeros(3))
    with pytest.raises(InvalidBlockError, match="distinct names"):
        cox_null([strata[0], strata[0]], np.zeros(2))


def test_no_robust_variance_is_promised(r, strata, candidates):
    null = cox_null(strata, np.array(r["cox"]["efron"]["coef"]))

    with pytest.raises(InvalidBlockError, match="robust"):
        screen(null, [candidates(["sbp"])], ScreenOptions(robust=True))
