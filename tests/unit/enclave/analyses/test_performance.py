"""[performance] of a logistic model: R's values through the release, and cuts of risk that give nobody away."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from heartify.disclosure.rounding import round_count
from heartify.enclave.analyses.judged import judged_rows
from heartify.enclave.analyses.logistic_optimism import MEASURES, measure_risks
from heartify.enclave.analyses.logistic_performance import HUNDREDTHS, group_table, net_benefit_table, roc_table
from heartify.enclave.analyses.performance import PERFORMANCE
from heartify.enclave.analyses.risk_bands import as_fine_as, few_moved, merge_bands, open_cuts
from heartify.stats.performance import calibration

REFEREE = json.loads(
    (Path(__file__).resolve().parents[3] / "vectors" / "statistics" / "performance.json").read_text(encoding="utf-8")
)
APPARENT = REFEREE["apparent"]  # own <- glm(y ~ age + male + sbp + chol + smoker + hospital, binomial)
PLAN = """
title = "Generated"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "male" },
  { name = "sbp", column = "sbp" },
  { name = "chol", column = "chol" },
  { name = "smoker", column = "smoker" },
]
[performance]
thresholds = [0.3, 0.45, 0.55, 0.65]
optimism = 60
"""
WITHOUT_BOOTSTRAP = PLAN.replace("optimism = 60", "optimism = 0")


@pytest.fixture(scope="module")
def shown(tables):
    return tables(PLAN)


@pytest.fixture(scope="module")
def apparent(tables):
    return tables(WITHOUT_BOOTSTRAP)


def _one(rows, **labels):
    (row,) = [row for row in rows if all(row[key] == value for key, value in labels.items())]
    return row


def test_the_auc_and_its_interval_are_those_of_proc(shown):
    row = _one(shown["discrimination"], measure="auc", evaluation="apparent")

    expected = [round(APPARENT["auc"][key], 2) for key in ("auc", "ci_low", "ci_high")]
    assert [row["value"], row["ci_low"], row["ci_high"]] == expected


@pytest.mark.parametrize(
    ("measure", "key"),
    [
        ("brier", "brier"),
        ("scaled-brier", "scaled_brier"),
        ("cox-snell-r2", "cox_snell"),
        ("nagelkerke-r2", "nagelkerke"),
        ("mcfadden-r2", "mcfadden"),
        ("tjur-r2", "tjur"),
    ],
)
def test_accuracy_is_that_of_rms(shown, measure, key):
    row = _one(shown["accuracy"], measure=measure, evaluation="apparent")

    assert row["value"] == round(APPARENT[key], 3)


def test_optimism_is_that_of_rms_within_its_monte_carlo_error(study):
    expected = REFEREE["optimism"]  # rms::validate(lrm(...), B = 600, group = hospital)
    found = {table.name: table.rows for table in PERFORMANCE.run(study(PLAN))}

    auc, slope, brier = (
        _one(found[table], measure=measure, evaluation="optimism-corrected")
        for table, measure in (("discrimination", "auc"), ("calibration", "slope"), ("accuracy", "brier"))
    )

    assert auc["value"] == pytest.approx(expected["auc_apparent"] - expected["auc_optimism"], abs=0.005)
    assert slope["estimate"] == pytest.approx(1 - expected["slope_optimism"], abs=0.04)
    assert brier["value"] == pytest.approx(expected["brier_apparent"] - expected["brier_optimism"], abs=0.0015)


def test_calibration_has_the_standard_errors_of_r(study):
    found = {table.name: table.rows for table in PERFORMANCE.run(study(WITHOUT_BOOTSTRAP))}["calibration"]

    slope, large = (_one(found, measure=name, evaluation="apparent") for name in ("slope", "in-the-large"))

    assert (slope["estimate"], large["estimate"]) == pytest.approx((1.0, 0.0), abs=1e-9)
    assert slope["se"] == pytest.approx(APPARENT["slope_se"], rel=1e-6)
    assert large["se"] == pytest.approx(APPARENT["in_the_large_se"], rel=1e-6)


def test_without_replicates_nothing_is_corrected(apparent):
    for name in ("discrimination", "accuracy", "calibration"):
        assert {row["evaluation"] for row in apparent[name]} == {"apparent"}


def test_groups_of_risk_are_those_of_r(apparent):
    rows = apparent["calibration_groups"]

    assert [row["n"] for row in rows] == APPARENT["group_n"]
    assert [row["events"] for row in rows] == [round_count(events) for events in APPARENT["group_events"]]
    assert [row["predicted"] for row in rows] == [round(value, 2) for value in APPARENT["group_predicted"]]


def test_the_calibration_curve_is_that_of_r_at_whole_hundredths(apparent):
    rows = apparent["calibration_curve"]

    assert len(rows) == 25
    assert [row["predicted"] for row in rows] == sorted({row["predicted"] for row in rows})
    found = np.interp(APPARENT["curve_at"], *zip(*((row["predicted"], row["observed"]) for row in rows), strict=True))
    assert found == pytest.approx(APPARENT["curve"], abs=0.006)


def test_net_benefit_is_that_of_r_at_the_share_of_events_that_is_shown(apparent):
    rows = apparent["net_benefit"]

    assert [row["threshold"] for row in rows] == APPARENT["threshold"]
    assert [row["model"] for row in rows] == pytest.approx(APPARENT["net_benefit"], abs=0.004)


def test_treating_all_tells_no_more_than_the_rounded_counts(study, apparent):
    data = study(WITHOUT_BOOTSTRAP)
    events = sum(round_count(block.events) for block in data.blocks)
    n = sum(round_count(block.n) for block in data.blocks)

    treat_all = [row["treat_all"] for row in apparent["net_benefit"]]

    share = events / n
    assert treat_all == [round(share - (1 - share) * t / (1 - t), 3) for t in APPARENT["threshold"]]


def test_points_of_the_roc_curve_are_those_of_r(study):
    rows = {row["threshold"]: row for row in _exact(study, "roc")}

    for cut, sensitivity, specificity in zip(
        APPARENT["threshold"], APPARENT["sensitivity"], APPARENT["specificity"], strict=True
    ):
        if cut in rows:
            assert (rows[cut]["sensitivity"], rows[cut]["specificity"]) == pytest.approx((sensitivity, specificity))
    assert 10 < len(rows) <= 20


def _exact(study, name):
    return next(table for table in PERFORMANCE.run(study(WITHOUT_BOOTSTRAP)) if table.name == name).rows


def test_equal_questions_get_equal_answers(tables, shown):
    again = tables(PLAN)

    assert all(again[name] == shown[name] for name in ("discrimination", "accuracy", "calibration"))


def test_no_two_points_of_the_roc_curve_enclose_fewer_than_ten_events_or_non_events():
    generator = np.random.default_rng(3)
    p = generator.beta(2, 8, 400)
    y = (generator.random(400) < p).astype(float)

    rows = roc_table(p, y).rows

    cuts = [0.0, *(row["threshold"] for row in rows), 1.0]
    for low, high in itertools.pairwise(cuts):
        inside = y[(p >= low) & (p < high)]
        assert min(inside.sum(), (1 - inside).sum()) >= 10
    assert {row["threshold"] for row in rows} <= set(HUNDREDTHS)


def test_groups_are_merged_until_each_has_ten_events_and_ten_non_events():
    generator = np.random.default_rng(4)
    p = generator.beta(1, 20, 600)
    y = (generator.random(600) < p).astype(float)

    rows = group_table(p, y).rows

    assert 1 <= len(rows) < 10
    assert min(min(row["events"], row["non_events"]) for row in rows) >= 10
    assert sum(row["n"] for row in rows) == 600


def test_thresholds_that_enclose_fewer_than_ten_patients_are_not_both_shown():
    p = np.concatenate([np.full(50, 0.1), np.full(9, 0.2), np.full(50, 0.4)])
    y = np.tile([0.0, 1.0], 55)[:109]

    rows = net_benefit_table(p, y, (0.05, 0.15, 0.25, 0.5), 0.5).rows

    assert [row["threshold"] for row in rows] == [0.15]


def test_a_cut_is_open_with_ten_on_either_side_and_closed_with_nine():
    p, everyone = np.array([0.1] * 10 + [0.3] * 9), np.ones(19, dtype=bool)

    assert open_cuts(p, (0.2,), everyone) == ()
    assert open_cuts(np.append(p, 0.3), (0.2,), np.ones(20, dtype=bool)) == (0.2,)


def test_bands_hold_ten_of_every_group_and_everyone_is_in_one():
    generator = np.random.default_rng(5)
    code, flag = generator.integers(0, 40, 500), generator.random(500) < 0.3

    band = merge_bands(code, flag, ~flag)

    assert band.shape == (500,)
    for index in range(int(band.max()) + 1):
        assert min(flag[band == index].sum(), (~flag)[band == index].sum()) >= 10
    assert all(np.unique(band[code == value]).size == 1 for value in np.unique(code))


@pytest.mark.parametrize(("moved", "few"), [(0, False), (1, True), (9, True), (10, False)])
def test_one_to_nine_patients_across_a_threshold_are_few(moved, few):
    base, new = np.full(30, 0.1), np.full(30, 0.1)
    new[:moved] = 0.3

    assert few_moved(base, new, 0.2) is few
    assert few_moved(new, base, 0.2) is few


def test_a_third_decimal_is_for_a_thousand_patients_and_more():
    assert as_fine_as(0.1239, 999) == 0.12
    assert as_fine_as(0.1239, 1000) == 0.1239


def _with_few_events(cohort):
    """Hospital d keeps 5 events, so that its outcomes are suppressed everywhere."""
    changed = dict(cohort)
    columns = cohort["d"]
    events = np.flatnonzero(columns["y"] == 1)
    kept = np.setdiff1d(np.arange(columns["y"].size), events[5:])
    changed["d"] = {name: values[kept] for name, values in columns.items()}
    return changed


def test_a_hospital_with_suppressed_outcomes_is_not_judged(study, cohort):
    data = study(WITHOUT_BOOTSTRAP, _with_few_events(cohort))

    judged = judged_rows(data.blocks)

    assert set(judged.hospital[judged.rows].tolist()) == {0, 1, 2}


def test_suppressed_events_do_not_follow_by_subtraction(tables, cohort):
    changed = _with_few_events(cohort)

    groups = tables(WITHOUT_BOOTSTRAP, changed)["calibration_groups"]

    n = sum(changed[name]["y"].size for name in "abc")
    assert abs(sum(row["n"] for row in groups) - n) <= 2 * len(groups)


def test_performance_of_hospitals_that_all_have_few_events_is_skipped(tables, cohort):
    few = {}
    for name, columns in cohort.items():
        events = np.flatnonzero(columns["y"] == 1)
        kept = np.setdiff1d(np.arange(columns["y"].size), events[9:])
        few[name] = {key: values[kept] for key, values in columns.items()}

    plan = WITHOUT_BOOTSTRAP.replace('{ name = "smoker", column = "smoker" },', "")

    assert tables(plan, few)["skipped"]["performance"] == "small_cell"


def test_the_fast_recalibration_is_that_of_the_audited_fit():
    generator = np.random.default_rng(6)
    p = np.clip(generator.beta(2, 3, 500), 0.01, 0.99)
    y = (generator.random(500) < p**1.3).astype(float)

    found = dict(zip(MEASURES, measure_risks(p, y), strict=True))

    expected = calibration(p, y)
    assert found["slope"] == pytest.approx(expected.slope.value, abs=1e-9)
    assert found["in-the-large"] == pytest.approx(expected.in_the_large.value, abs=1e-9)


def test_firths_model_is_judged_too(tables):
    shown = tables(WITHOUT_BOOTSTRAP + '[analysis]\nestimation = "firth"\n')

    assert "performance" not in shown["skipped"]
    assert _one(shown["discrimination"], measure="auc", evaluation="apparent")["value"] == 0.69
