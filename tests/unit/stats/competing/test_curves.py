"""Event tables, Kaplan-Meier, Nelson-Aalen, Aalen-Johansen and Gray's test against R; and what cannot be asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, RankDeficientError
from heartify.stats.competing import (
    FollowUp,
    cumulative_incidence,
    event_table,
    event_tables,
    gray_test,
    kaplan_meier,
)

EXACT = {"rtol": 1e-11, "atol": 1e-13}
TABLE_FIELDS = ("time", "events", "censored", "entered", "at_risk", "early")


def _at(curve, field, times):
    return getattr(curve, field)[np.searchsorted(curve.time, times, side="right") - 1]


def _random_rows(seed, n, *, days=12, causes=2):
    rng = np.random.default_rng(seed)
    entry = rng.integers(0, 4, n).astype(float)
    return entry + rng.integers(1, days, n), rng.integers(0, causes + 1, n), entry


# R: survfit(Surv([entry,] time, any) ~ 1, d, conf.type = "log-log")
@pytest.mark.parametrize("block", ["km", "km_entry"])
def test_kaplan_meier_equals_survfit(cohort, r, block):
    expected, times = r[block], np.array(r["times"])
    table = event_table(cohort["time"], cohort["status"], cohort["entry"] if block == "km_entry" else None)

    curve = kaplan_meier(table)

    assert curve.time.size == expected["points"]
    np.testing.assert_allclose(curve.survival_at(times), expected["surv"], **EXACT)
    np.testing.assert_array_equal(_at(curve, "at_risk", times), expected["n_risk"])
    np.testing.assert_allclose(_at(curve, "se", times), expected["se"], **EXACT)
    np.testing.assert_allclose(_at(curve, "ci_low", times), expected["lower"], **EXACT)
    np.testing.assert_allclose(_at(curve, "ci_high", times), expected["upper"], **EXACT)
    np.testing.assert_allclose(_at(curve, "cumulative_hazard", times), expected["cumhaz"], **EXACT)
    np.testing.assert_allclose(_at(curve, "cumulative_hazard_se", times), expected["cumhaz_se"], **EXACT)


# R: quantile(survfit(Surv(time, any) ~ 1, d, conf.type = "log-log"), c(.25, .5, .75))
def test_quantiles_and_their_intervals_equal_quantile_survfit(cohort, r):
    expected = r["km_quantile"]
    curve = kaplan_meier(event_table(cohort["time"], cohort["status"]))

    quantiles = [curve.quantile(p) for p in expected["p"]]
    intervals = [curve.quantile_interval(p) for p in expected["p"]]

    assert quantiles == expected["value"]
    assert intervals == list(zip(expected["lower"], expected["upper"], strict=True))


def test_a_quantile_on_a_flat_piece_is_its_middle_and_one_never_reached_is_nan():
    curve = kaplan_meier(event_table([1.0, 2.0, 4.0, 5.0], [1, 1, 1, 0]))  # survival 3/4, 1/2, 1/4

    assert curve.quantile(0.5) == 3.0
    assert np.isnan(curve.quantile(0.9))


# R: summary(survfit(Surv(time, any) ~ 1, d), rmean = 1400)$table
def test_the_restricted_mean_equals_survfit(cohort, r):
    curve = kaplan_meier(event_table(cohort["time"], cohort["status"]))

    mean, se = curve.restricted_mean(1400.0)

    assert mean == pytest.approx(r["km_restricted_mean"]["mean"], rel=1e-12)
    assert se == pytest.approx(r["km_restricted_mean"]["se"], rel=1e-12)


# R: survfit(Surv(time, state) ~ 1, d, conf.type = "log-log"), whose standard errors are infinitesimal jackknives
def test_aalen_johansen_and_its_interval_equal_survfit(cohort, r):
    expected, times = r["aj"], np.array(r["times"])
    curve = cumulative_incidence(event_table(cohort["time"], cohort["status"]))

    pstate = np.column_stack([_at(curve, "survival", times), _at(curve, "incidence", times)])

    np.testing.assert_allclose(pstate, expected["pstate"], **EXACT)
    for field, name in (("se", "se"), ("ci_low", "lower"), ("ci_high", "upper")):
        np.testing.assert_allclose(_at(curve, field, times), np.array(expected[name])[:, 1:], rtol=1e-10)


# R: survfit(Surv(entry, time, state) ~ 1, d, id = id): a jackknife over rows, ours is Greenwood's over risk sets
def test_aalen_johansen_with_delayed_entry_equals_survfit_and_its_standard_error_nearly(cohort, r):
    expected, times = r["aj_entry"], np.array(r["times"])

    curve = cumulative_incidence(event_table(cohort["time"], cohort["status"], cohort["entry"]))

    np.testing.assert_allclose(_at(curve, "incidence", times), np.array(expected["pstate"])[:, 1:], **EXACT)
    np.testing.assert_allclose(_at(curve, "se", times), np.array(expected["se"])[:, 1:], rtol=4e-3)


# R: timepoints(cuminc(d$time, d$status, d$hospital), times)$est
def test_incidences_by_hospital_equal_cuminc_and_survfit(cohort, r):
    times = np.array(r["times"])
    tables = event_tables(cohort["time"], cohort["status"], None, cohort["hospital"])

    curves = [cumulative_incidence(table) for table in tables.values()]

    ours = [curve.incidence_at(times, cause) for cause in (1, 2) for curve in curves]
    np.testing.assert_allclose(ours, r["cuminc"]["est"], **EXACT)
    for curve, block in zip(curves, r["aj_by_hospital"].values(), strict=True):
        np.testing.assert_allclose(_at(curve, "se", times), np.array(block["se"])[:, 1:], rtol=1e-10)


@pytest.mark.parametrize("delayed", [False, True])
def test_tables_of_hospitals_add_to_the_table_of_all_rows(cohort, delayed):
    entry = cohort["entry"] if delayed else None
    whole = event_table(cohort["time"], cohort["status"], entry)
    a, b, c, d = event_tables(cohort["time"], cohort["status"], entry, cohort["hospital"]).values()

    merged = (d + b) + (a + c)

    for field in TABLE_FIELDS:
        np.testing.assert_array_equal(getattr(merged, field), getattr(whole, field))
    assert merged.n == 1200


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), cut=st.integers(1, 59))
def test_parts_and_row_order_do_not_matter_and_everything_sums_to_one(seed, n, cut):
    time, event, entry = _random_rows(seed, n)
    order = np.random.default_rng(seed).permutation(n)
    first, second = order[: cut % n or 1], order[cut % n or 1 :]
    whole = cumulative_incidence(event_table(time, event, entry, causes=2))

    merged = event_table(time[first], event[first], entry[first]) + event_table(
        time[second], event[second], entry[second], causes=2
    )
    curve = cumulative_incidence(merged)

    for field in ("time", "at_risk", "events", "survival", "incidence", "se"):
        np.testing.assert_array_equal(getattr(curve, field), getattr(whole, field))
    np.testing.assert_allclose(curve.survival + curve.incidence.sum(axis=1), 1.0, rtol=1e-12)
    assert np.all(np.diff(curve.incidence, axis=0) >= 0)


@pytest.mark.parametrize("seed", range(3))
def test_at_risk_is_entry_before_t_and_end_not_before_t(seed):
    time, event, entry = _random_rows(seed, 40)

    table = event_table(time, event, entry)

    brute = [((entry < t) & (time >= t)).sum() for t in table.time]
    np.testing.assert_array_equal(table.at_risk, brute)


@pytest.mark.parametrize("seed", range(2))
def test_the_incidence_varies_over_samples_as_its_standard_error_says(seed):
    rng = np.random.default_rng(seed)

    def draw():
        death, other, censored = rng.exponential(1, 300), rng.exponential(2, 300), rng.uniform(0.5, 3, 300)
        time = np.minimum(np.minimum(death, other), censored)
        event = np.where(time == censored, 0, np.where(time == death, 1, 2))
        curve = cumulative_incidence(event_table(time, event))
        index = np.searchsorted(curve.time, 1.0, side="right") - 1
        return curve.incidence[index, 0], curve.se[index, 0]

    estimates, errors = np.array([draw() for _ in range(400)]).T

    truth = (1 - np.exp(-1.5)) / 1.5
    assert abs(estimates.mean() - truth) < 4 * estimates.std() / 20
    assert errors.mean() == pytest.approx(estimates.std(ddof=1), rel=0.12)


def test_with_one_cause_the_incidence_is_one_minus_kaplan_meier_with_greenwoods_error(cohort):
    table = event_table(cohort["time"], cohort["status"] > 0, cohort["entry"])

    curve, km = cumulative_incidence(table), kaplan_meier(table)

    np.testing.assert_allclose(curve.incidence[:, 0], 1 - km.survival, atol=1e-13)
    last = km.survival > 0
    np.testing.assert_allclose(curve.se[last, 0], km.se[last], rtol=1e-9)


def test_other_causes_can_be_taken_as_censorings(cohort):
    table = event_table(cohort["time"], cohort["status"])

    curve = kaplan_meier(table, cause=1)

    own = kaplan_meier(event_table(cohort["time"], cohort["status"] == 1))
    np.testing.assert_array_equal(curve.survival, own.survival)
    np.testing.assert_array_equal(curve.censored, own.censored)


def test_all_censored_gives_survival_one_without_interval():
    curve = kaplan_meier(event_table([1.0, 2.0], [0, 0]))

    np.testing.assert_array_equal(curve.survival, [1.0, 1.0])
    np.testing.assert_array_equal(curve.se, [0.0, 0.0])
    assert np.isnan(curve.ci_low).all()
    assert cumulative_incidence(event_table([1.0, 2.0], [0, 0])).incidence.tolist() == [[0.0], [0.0]]


def test_everybody_dying_ends_at_zero_without_interval_or_warning():
    curve = kaplan_meier(event_table([1.0, 2.0, 2.0], [1, 1, 1]))
    incidence = cumulative_incidence(event_table([1.0, 2.0, 2.0], [1, 2, 1]))

    assert curve.survival[-1] == 0.0
    assert np.isnan(curve.se[-1])
    assert np.isnan(curve.ci_low[-1])
    np.testing.assert_allclose(incidence.incidence[-1], [2 / 3, 1 / 3])
    np.testing.assert_allclose(incidence.se[-1], np.sqrt([2 / 27, 2 / 27]))  # binomial: no censoring


# R: cuminc(d$time, d$status, group[, strata])$Tests
@pytest.mark.parametrize(
    ("block", "group", "stratum", "rho"),
    [
        ("gray", "hospital", None, 0.0),
        ("gray_rho", "hospital", None, 1.0),
        ("gray_strata", "grade", "hospital", 0.0),
        ("gray_two", "male", None, 0.0),
    ],
)
@pytest.mark.parametrize("cause", [1, 2])
def test_grays_test_equals_cuminc(cohort, r, block, group, stratum, rho, cause):
    codes = cohort[stratum] if stratum else np.zeros(1200)
    strata = [
        event_tables(cohort["time"][codes == s], cohort["status"][codes == s], None, cohort[group][codes == s])
        for s in np.unique(codes)
    ]

    test = gray_test(strata, cause=cause, rho=rho)

    assert test.chi2 == pytest.approx(r[block]["stat"][cause - 1], rel=1e-9)
    assert test.p == pytest.approx(r[block]["p"][cause - 1], rel=1e-9)
    assert test.df == r[block]["df"][cause - 1]
    assert abs(test.score.sum()) < 1e-9


def test_grays_test_does_not_depend_on_which_group_is_left_out(cohort):
    relabelled = np.array([3, 0, 2, 1])[cohort["hospital"]]

    one = gray_test([event_tables(cohort["time"], cohort["status"], None, cohort["hospital"])])
    other = gray_test([event_tables(cohort["time"], cohort["status"], None, relabelled)])

    assert other.chi2 == pytest.approx(one.chi2, rel=1e-10)


def test_grays_test_is_uniform_under_equality():
    rng = np.random.default_rng(5)

    def p_value():
        time, event = rng.integers(1, 40, 150), rng.integers(0, 3, 150)
        return gray_test([event_tables(time, event, None, rng.integers(0, 3, 150))]).p

    p = np.array([p_value() for _ in range(200)])

    assert 0.015 < (p < 0.05).mean() < 0.10
    assert abs(p.mean() - 0.5) < 0.08


def test_gray_refuses_what_it_is_not_defined_for():
    tables = event_tables([1.0, 2, 3, 4], [1, 1, 0, 1], None, [0, 0, 1, 1])

    with pytest.raises(InvalidBlockError, match="two groups"):
        gray_test([{0: tables[0]}])
    with pytest.raises(InvalidBlockError, match="delayed"):
        gray_test([event_tables([1.0, 2, 3, 4], [1, 1, 0, 1], [0.0, 0, 0, 0], [0, 0, 1, 1])])
    with pytest.raises(DegenerateOutcomeError):
        gray_test([event_tables([1.0, 2, 3, 4], [2, 2, 0, 2], None, [0, 0, 1, 1])])
    with pytest.raises(RankDeficientError):  # group 1 leaves before anything happens
        gray_test([event_tables([5.0, 6, 1, 1], [1, 1, 0, 0], None, [0, 0, 1, 1])])
    with pytest.raises(InvalidBlockError, match="cause"):
        gray_test([tables], cause=0)
    with pytest.raises(DegenerateOutcomeError):
        gray_test([tables], cause=2)


def test_groups_compared_in_separate_strata_only_are_refused(cohort):
    first = event_tables(cohort["time"], cohort["status"], None, cohort["male"])

    with pytest.raises(RankDeficientError, match="told apart"):
        gray_test([first, {2: first[0], 3: first[1]}])


def test_a_stratum_without_the_cause_adds_nothing_to_grays_test(cohort):
    tables = event_tables(cohort["time"], cohort["status"], None, cohort["male"])
    quiet = event_tables(cohort["time"], cohort["status"] == 1, None, cohort["male"])

    test = gray_test([tables, quiet], cause=2)

    assert test.chi2 == pytest.approx(gray_test([tables], cause=2).chi2, rel=1e-12)


@pytest.mark.parametrize(
    ("time", "event", "entry"),
    [
        ([], [], None),
        ([1.0], [1, 0], None),
        ([[1.0]], [[1]], None),
        ([np.nan], [1], None),
        ([np.inf], [1], None),
        ([1.0], [0.5], None),
        ([1.0], [-1], None),
        ([1.0], [20261122], None),
        ([1.0], [1], [1.0]),
        ([1.0], [1], [0.0, 0.0]),
        ([1.0], [1], [np.nan]),
    ],
)
def test_malformed_follow_up_is_refused(time, event, entry):
    with pytest.raises(InvalidBlockError):
        FollowUp(time, event, entry)


def test_a_cell_that_is_no_number_is_refused_without_being_quoted():
    with pytest.raises(InvalidBlockError) as caught:
        FollowUp(["Jane Doe"], [1])

    assert "Jane" not in str(caught.value)


def test_questions_out_of_range_are_refused():
    table = event_table([1.0, 2.0], [1, 0])
    curve = kaplan_meier(table)

    for ask in (
        lambda: kaplan_meier(table, cause=2),
        lambda: kaplan_meier(table, level=1.0),
        lambda: curve.quantile(1.0),
        lambda: curve.restricted_mean(3.0),
        lambda: curve.restricted_mean(0.0),
        lambda: cumulative_incidence(table).incidence_at([1.0], 0),
        lambda: event_table([1.0], [2], causes=1),
        lambda: event_tables([1.0], [1], None, [0.5]),
    ):
        with pytest.raises(InvalidBlockError):
            ask()


def test_a_checked_follow_up_is_a_read_only_copy():
    time = np.array([1.0, 2.0])

    rows = FollowUp(time, [0, 1])
    time[0] = 9.0

    assert rows.time[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        rows.time[0] = 3.0
