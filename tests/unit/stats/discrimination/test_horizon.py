"""AUC, Brier score and calibration at a horizon against R by hand, and the jackknife."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, RankDeficientError, auc
from heartify.stats.competing import FollowUp, cumulative_incidence, event_table
from heartify.stats.discrimination import Controls, auc_at, brier_at, calibration_at, calibration_slope


@pytest.fixture
def rows(cohort) -> FollowUp:
    return FollowUp(cohort["time"], cohort["status"])


# R: weights 1 / G(T-) and 1 / G(t) by survfit; weighted share of case-control pairs
@pytest.mark.parametrize("controls", list(Controls))
def test_auc_equals_the_weighted_pairs_of_r(cohort, r, rows, controls):
    found = auc_at(cohort.coarse, rows, r["auc"]["horizon"], controls=controls)

    assert found.auc == pytest.approx(r["auc"][controls.name.lower()], rel=1e-12)


# R: mean(w * (case - risk)^2); the null risk is survfit's Aalen-Johansen estimate
def test_brier_equals_r(cohort, r, rows):
    found, expected = brier_at(cohort.risk, rows, r["brier"]["horizon"]), r["brier"]

    assert found.brier == pytest.approx(expected["brier"], rel=1e-12)
    assert found.null_brier == pytest.approx(expected["null_brier"], rel=1e-12)
    assert found.null_risk == pytest.approx(expected["null_risk"], rel=1e-11)
    assert found.ipa == pytest.approx(expected["ipa"], rel=1e-10)


@pytest.mark.parametrize("grouped", [False, True])
def test_standard_errors_are_the_jackknife_with_the_weights_estimated_again(cohort, rows, grouped):
    keep = np.arange(0, 1200, 3)
    part, risk, horizon = rows.take(keep), cohort.risk[keep], 1400.0
    group = cohort["male"][keep] if grouped else np.zeros(keep.size)

    def estimate(mask):
        brier = brier_at(risk[mask], part.take(mask), horizon, censoring_group=group[mask])
        area = auc_at(risk[mask], part.take(mask), horizon, censoring_group=group[mask])
        return brier, area

    brier, area = estimate(np.ones(keep.size, dtype=bool))

    left_out = [estimate(np.arange(keep.size) != i) for i in range(keep.size)]
    values = np.array([[b.brier, b.ipa, a.auc] for b, a in left_out]) - [brier.brier, brier.ipa, area.auc]
    jackknife = np.sqrt((values**2).sum(axis=0))
    np.testing.assert_allclose([brier.brier_se, brier.ipa_se, area.se], jackknife, rtol=0.01)


def test_without_censoring_it_is_the_ordinary_auc_and_brier_score():
    rng = np.random.default_rng(4)
    time, risk = rng.integers(1, 30, 200).astype(float), np.round(rng.random(200), 2)
    rows, y = FollowUp(time, np.ones(200)), (time <= 10).astype(float)

    area, brier = auc_at(risk, rows, 10.0), brier_at(risk, rows, 10.0)

    assert area.auc == pytest.approx(auc(risk, y), abs=1e-13)
    assert brier.brier == pytest.approx(np.mean((y - risk) ** 2), abs=1e-14)
    assert brier.brier_se == pytest.approx(np.std((y - risk) ** 2) / np.sqrt(200), rel=1e-12)
    assert (area.cases, area.controls) == (y.sum(), 200 - y.sum())


@pytest.mark.parametrize("seed", range(2))
def test_row_order_does_not_matter(cohort, rows, seed):
    order = np.random.default_rng(seed).permutation(1200)
    group = cohort["hospital"]

    moved = brier_at(cohort.risk[order], rows.take(order), 700.0, censoring_group=group[order])
    area = auc_at(cohort.risk[order], rows.take(order), 700.0, censoring_group=group[order])

    plain = brier_at(cohort.risk, rows, 700.0, censoring_group=group)
    assert (moved.brier, moved.ipa_se) == pytest.approx((plain.brier, plain.ipa_se), rel=1e-12)
    assert area.se == pytest.approx(auc_at(cohort.risk, rows, 700.0, censoring_group=group).se, rel=1e-12)


def test_the_intervals_of_the_auc_cover_the_truth():
    rng = np.random.default_rng(12)

    def draw(n):
        score, u = rng.normal(size=n), rng.exponential(size=n)
        death, censored = u * np.exp(-score), rng.uniform(0.3, 3, n)
        return score, death, FollowUp(np.minimum(death, censored), death <= censored)

    score, death, _ = draw(400_000)
    truth = auc(score, (death <= 1.0).astype(float))

    found = []
    for _ in range(300):
        score, _, rows = draw(200)
        found.append(auc_at(score, rows, 1.0))

    covered = np.mean([abs(one.auc - truth) < 1.96 * one.se for one in found])
    assert 0.91 < covered < 0.98
    assert abs(np.mean([one.auc for one in found]) - truth) < 0.006


# R: survfit(Surv(time, state) ~ 1) in cut(risk, quantile(risk, 0:10 / 10)), at the horizon
def test_calibration_in_tenths_equals_survfit(cohort, r, rows):
    expected = r["calibration"]

    found = calibration_at(cohort.risk, rows, expected["horizon"])

    assert found.whole.observed == pytest.approx(expected["observed"], rel=1e-12)
    assert found.ratio == pytest.approx(expected["observed"] / expected["expected"], rel=1e-12)
    assert found.ratio_ci_low < found.ratio < found.ratio_ci_high
    for ours, theirs in zip(found.groups, expected["groups"], strict=True):
        assert ours.n == theirs["n"]
        got = [ours.expected, ours.observed, ours.se, ours.ci_low, ours.ci_high]
        np.testing.assert_allclose(
            got, [theirs[k] for k in ("expected", "observed", "se", "lower", "upper")], rtol=1e-9
        )


# R: slope of crr on log(-log(1 - risk)), times and status cut at 1400, ties broken
def test_the_slope_with_competing_causes_equals_crr(cohort, r):
    found = calibration_slope(cohort.risk, FollowUp(cohort.untied, cohort["status"]), 1400.0)

    assert found.slope == pytest.approx(r["slope_competing"]["slope"], rel=1e-9)
    assert found.se == pytest.approx(r["slope_competing"]["se"], rel=1e-7)


# R: coxph(Surv(pmin(time, 1400), time <= 1400 & one == 1) ~ log(-log(1 - risk)), ties = "breslow")
def test_the_slope_with_one_cause_equals_coxph(cohort, r):
    found = calibration_slope(cohort.risk, FollowUp(cohort["time"], cohort.one), 1400.0)

    assert found.slope == pytest.approx(r["slope_single"]["slope"], rel=1e-9)
    assert found.se == pytest.approx(r["slope_single"]["se"], rel=1e-9)


def test_delayed_entry_changes_the_observed_risk_as_aalen_johansen_does(cohort):
    delayed = FollowUp(cohort["time"], cohort["status"], cohort["entry"])

    found = calibration_at(cohort.risk, delayed, 1400.0, groups=1)

    curve = cumulative_incidence(event_table(cohort["time"], cohort["status"], cohort["entry"]))
    assert found.whole.observed == curve.incidence_at([1400.0], 1)[0]
    assert len(found.groups) == 1
    assert np.isfinite(calibration_slope(cohort.risk, delayed, 1400.0).slope)


def test_true_risks_are_calibrated():
    rng = np.random.default_rng(6)
    eta = rng.normal(size=20_000)
    death, censored = rng.exponential(np.exp(-eta)), rng.uniform(0.3, 4, 20_000)
    rows, risk = FollowUp(np.minimum(death, censored), death <= censored), -np.expm1(-0.5 * np.exp(eta))

    found, slope = calibration_at(risk, rows, 0.5), calibration_slope(risk, rows, 0.5)

    assert found.ratio_ci_low < 1.0 < found.ratio_ci_high
    assert abs(slope.slope - 1.0) < 3 * slope.se
    assert all(abs(group.observed - group.expected) < 4 * group.se for group in found.groups)


def test_equal_predictions_stay_in_one_group():
    risk = np.repeat([0.1, 0.5], [90, 10])
    rows = FollowUp(np.arange(1.0, 101.0), np.ones(100))

    found = calibration_at(risk, rows, 50.0)

    assert [group.n for group in found.groups] == [90, 10]


def test_a_group_that_is_not_followed_to_the_horizon_has_no_observed_risk():
    risk = np.repeat([0.1, 0.5], [5, 5])
    rows = FollowUp(np.r_[np.full(5, 2.0), np.arange(1.0, 6.0)], np.r_[np.zeros(5), np.ones(5)])

    found = calibration_at(risk, rows, 4.0, groups=2)

    assert np.isnan(found.groups[0].observed)
    assert np.isfinite(found.groups[1].observed)


def test_questions_without_an_answer_are_refused():
    time, event, risk = [1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0], [0.4, 0.3, 0.2, 0.1]
    rows, delayed = FollowUp(time, event), FollowUp(time, event, [0.0, 0, 0, 0])

    for ask in (
        lambda: auc_at(risk, delayed, 2.0),
        lambda: brier_at(risk, delayed, 2.0),
        lambda: auc_at(risk, rows, np.inf),
        lambda: auc_at(risk[:2], rows, 2.0),
        lambda: brier_at([0.1, 0.2, 0.3, 1.5], rows, 2.0),
        lambda: calibration_at(risk, rows, 2.0, groups=11),
        lambda: calibration_slope([0.0, 0.1, 0.2, 0.3], rows, 2.0),
    ):
        with pytest.raises(InvalidBlockError):
            ask()
    for ask in (
        lambda: auc_at(risk, rows, 0.5),
        lambda: auc_at(risk, rows, 9.0),
        lambda: auc_at(risk, FollowUp(time, [1, 1, 1, 1]), 9.0),
        lambda: calibration_at(risk, rows, 0.5),
        lambda: calibration_at(risk, rows, 9.0),
        lambda: calibration_slope(risk, rows, 0.5),
        lambda: calibration_slope(risk, FollowUp(time, event, [0.9, 1.5, 2.5, 3.5]), 0.5),
    ):
        with pytest.raises(DegenerateOutcomeError):
            ask()
    with pytest.raises(RankDeficientError):
        calibration_slope([0.2] * 4, rows, 2.0)
