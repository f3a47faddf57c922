"""[heterogeneity] of a Cox model: own hazard ratios, their pooling, likelihood-ratio tests, C and slope elsewhere."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from heartify.disclosure.rounding import round_chi_square, round_estimate
from heartify.enclave.analyses.cox_validation import leave_one_hospital_out_cox
from heartify.stats.survival import fit_cox

PLAN = """
title = "Hazards that differ"
purpose = "health-research"
outcome = { column = "status", equals = "1" }
follow_up = { time = "time", entry = "entry", competing = { column = "status", equals = "2" } }
factors = [
  { name = "age", column = "age" }, { name = "male", column = "male" }, { name = "chol", column = "chol" },
]
analysis = { model = "cox" }

[heterogeneity]
"""
NAMES = ("age", "male", "chol")


def test_own_hazard_ratios_are_those_of_each_hospital_alone(study, tables):
    fits = {block.name: fit_cox([block], NAMES) for block in study(PLAN).survival}

    rows = tables(PLAN)["hospital_estimates"]

    assert len(rows) == 12
    for row in rows:
        fit, j = fits[row["hospital"]], NAMES.index(row["factor"])
        shown = round_estimate(float(fit.coef[j]), float(fit.se[j]))
        assert (row["status"], row["estimate"], row["se"]) == ("estimated", shown.beta, shown.se)


def test_fixed_effects_pool_the_hospitals_by_inverse_variance(study, tables):
    fits = [fit_cox([block], NAMES) for block in study(PLAN).survival]

    rows = [row for row in tables(PLAN)["meta_analysis"] if row["model"] == "fixed effect"]

    for j, row in enumerate(rows):
        weights = np.array([fit.se[j] ** -2 for fit in fits])
        mean = float(weights @ [fit.coef[j] for fit in fits] / weights.sum())
        assert row["estimate"] == round_estimate(mean, float(weights.sum() ** -0.5)).beta


def test_tests_between_hospitals_compare_one_slope_with_a_slope_each(study, tables):
    blocks = study(PLAN).survival
    common = fit_cox(blocks, NAMES).loglik
    # A slope each: one column per hospital, zero in the others.
    wide = [
        dataclasses.replace(
            block, X=np.column_stack([block.X[:, 1:], *(block.X[:, 0] * float(own == h) for h in range(len(blocks)))])
        )
        for own, block in enumerate(blocks)
    ]
    chi2 = 2.0 * (fit_cox(wide, ["male", "chol", "a", "b", "c", "d"]).loglik - common)

    row = tables(PLAN)["hospital_interactions"][0]

    assert (row["term"], row["test"], row["df"]) == ("age", "likelihood-ratio", 3)
    assert row["chi2"] == round_chi_square(chi2)


def test_terms_that_vary_in_one_hospital_only_can_not_be_tested(cohort, tables):
    men = {name: {**own, "male": own["male"] if name == "a" else np.ones_like(own["male"])}
           for name, own in cohort.items()}  # fmt: skip

    rows = {row["term"]: row for row in tables(PLAN, men)["hospital_interactions"]}

    assert (rows["male"]["df"], rows["male"]["chi2"], rows["male"]["p"]) == (0, None, None)
    assert rows["age"]["df"] == 3


def test_c_in_the_hospital_left_out_counts_its_own_pairs_only(study, tables):
    blocks = study(PLAN).survival
    model = fit_cox(blocks[:3], NAMES)
    left = blocks[3]
    score = left.X @ model.coef
    won = pairs = 0.0
    for i in np.flatnonzero(left.event == 1):
        at_risk = (left.entry < left.time[i]) & (
            (left.time > left.time[i]) | ((left.time == left.time[i]) & (left.event != 1))
        )
        pairs += at_risk.sum()
        won += (score[i] > score[at_risk]).sum() + 0.5 * (score[i] == score[at_risk]).sum()

    row = tables(PLAN)["left_out_hospital"][3]

    assert (row["hospital"], row["status"], row["o_e"]) == ("d", "estimated", None)
    assert row["c"] == round(won / pairs, 2)


def test_the_slope_in_the_hospital_left_out_is_that_of_the_others_score(study, tables):
    blocks = study(PLAN).survival
    left = blocks[0]
    score = left.X @ fit_cox(blocks[1:], NAMES).coef
    fit = fit_cox([dataclasses.replace(left, X=score[:, None])], ["score"])

    released = tables(PLAN)

    shown = round_estimate(float(fit.coef[0]), float(fit.se[0]))
    row = released["left_out_hospital"][0]
    assert (row["slope"], row["slope_se"]) == (shown.beta, shown.se)
    assert [found["measure"] for found in released["left_out_summary"]] == ["c", "slope"]


def test_a_hospital_without_events_or_a_model_without_estimates_has_no_measures(study):
    blocks = study(PLAN).survival
    censored = dataclasses.replace(blocks[3], event=np.zeros_like(blocks[3].event))
    constant = [dataclasses.replace(block, X=np.ones_like(block.X)) for block in blocks]

    without_events = leave_one_hospital_out_cox((*blocks[:3], censored), NAMES, "efron")[3]
    without_model = leave_one_hospital_out_cox(constant, NAMES, "efron")[0]

    assert (without_events.c, without_events.slope, without_events.failure) == (None, None, None)
    assert without_model.failure == "RankDeficientError"


@pytest.mark.parametrize("events", [5, 30])
def test_hospitals_with_few_events_are_hidden_and_others_not(cohort, tables, events):
    status = cohort["d"]["status"].copy()
    status[np.flatnonzero(status == 1)[events:]] = 0
    changed = {**cohort, "d": {**cohort["d"], "status": status}}

    released = tables(PLAN, changed)

    expected = "suppressed" if events < 10 else "estimated"
    assert {row["status"] for row in released["left_out_hospital"] if row["hospital"] == "d"} == {expected}
    assert {row["hospitals"] for row in released["meta_analysis"]} == ({3} if events < 10 else {4})
