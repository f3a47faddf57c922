"""[heterogeneity] of a logistic model: against R (metafor, glm) through the release, and what stays hidden.

R's values are referee/meta.R's on the generated cohort; where hospitals are hidden, the expected pooling is computed
here from the shown hospitals' own fits.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from heartify.disclosure.rounding import round_chi_square, round_count, round_estimate, round_significant
from heartify.enclave.analyses import AnalysisSkippedError
from heartify.enclave.analyses.heterogeneity import compare_hospitals
from heartify.enclave.analyses.hospital_interactions import interaction_rows
from heartify.enclave.analyses.left_out import left_out_tables
from heartify.stats.firth import fit_firth
from heartify.stats.heterogeneity import random_effects
from heartify.stats.intervals import Z_95
from heartify.stats.logistic import fit_pooled_logistic

TRUTH = json.loads(
    (Path(__file__).resolve().parents[3] / "vectors" / "statistics" / "meta.json").read_text(encoding="utf-8")
)
HEAD = """
title = "Heterogeneity"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
"""
NAMES = ("age", "male", "sbp", "chol", "smoker")
FIVE = HEAD + "factors = [" + ", ".join(f'{{ name = "{name}", column = "{name}" }}' for name in NAMES) + "]\n"
FOUR = HEAD + "factors = [" + ", ".join(f'{{ name = "{name}", column = "{name}" }}' for name in NAMES[:4]) + "]\n"
THREE = HEAD + "factors = [" + ", ".join(f'{{ name = "{n}", column = "{n}" }}' for n in ("age", "male", "sbp")) + "]\n"
ASKED = "[heterogeneity]\n"
POOLED = ("meta_analysis", "hospital_interactions")


def rows_of(released, name, **where):
    return [row for row in released.get(name, []) if all(row[key] == value for key, value in where.items())]


def changed(cohort, hospital, **columns):
    """Return the cohort with some columns of one hospital replaced."""
    return {name: {**own, **(columns if name == hospital else {})} for name, own in cohort.items()}


def with_few_men(cohort, hospital):
    """Return the cohort with five men in one hospital: a small cell."""
    male = np.zeros_like(cohort[hospital]["male"])
    male[:5] = 1.0
    return changed(cohort, hospital, male=male)


def test_own_estimates_are_those_of_each_hospital_alone(study, tables):
    blocks = study(FOUR).blocks

    rows = rows_of(tables(FOUR + ASKED), "hospital_estimates")

    assert len(rows) == 16
    for block in blocks:
        fit = fit_pooled_logistic([block], NAMES[:4])
        for j, name in enumerate(NAMES[:4]):
            shown = round_estimate(float(fit.term_coef[j]), float(fit.term_se[j]))
            row = rows_of({"r": rows}, "r", factor=name, hospital=block.name)[0]
            assert (row["status"], row["estimate"], row["se"]) == ("estimated", shown.beta, shown.se)
            assert row["n"] == pytest.approx(block.n, abs=2)


def test_pooling_is_by_inverse_variance_and_by_reml_with_hartung_and_knapp(study, tables):
    fits = [fit_pooled_logistic([block], NAMES[:4]) for block in study(FOUR).blocks]
    released = tables(FOUR + ASKED)

    for j, name in enumerate(NAMES[:4]):
        coef, se = [float(fit.term_coef[j]) for fit in fits], [float(fit.term_se[j]) for fit in fits]
        weights = 1.0 / np.array(se) ** 2
        fixed = rows_of(released, "meta_analysis", factor=name, model="fixed effect")[0]
        shown = round_estimate(float(weights @ coef / weights.sum()), float(weights.sum() ** -0.5))
        assert (fixed["estimate"], fixed["se"], fixed["hospitals"]) == (shown.beta, shown.se, 4)
        assert fixed["q"] == round_chi_square(float(weights @ (np.array(coef) - weights @ coef / weights.sum()) ** 2))
        assert fixed["tau2"] is None
        assert fixed["prediction_low"] is None
        pooled = random_effects(coef, se)  # agrees with metafor: tests/unit/stats/heterogeneity
        row = rows_of(released, "meta_analysis", factor=name, model="random effects")[0]
        assert (row["estimate"], row["se"]) == (
            round_estimate(pooled.estimate, pooled.se).beta,
            round_significant(pooled.se, 2),
        )
        assert row["tau2"] == round_significant(pooled.tau2, 3)
        assert row["i2"] == round(pooled.i2, 2)
        # The interval is laid about the shown estimate: half a step of its grid, and half of its own.
        assert row["ci_high"] == pytest.approx(pooled.hartung_knapp.ci.high, abs=0.11 * pooled.se)
        assert row["prediction_low"] == pytest.approx(pooled.prediction.hartung_knapp.low, abs=0.11 * pooled.se)


def test_validation_in_the_hospitals_left_out_is_that_of_glm(tables):
    truth = TRUTH["leave_one_out"]
    rows = {row["hospital"]: row for row in tables(FIVE + ASKED)["left_out_hospital"]}

    for name, expected in truth["hospitals"].items():
        row, slope = rows[name], round_estimate(expected["slope"], expected["slope_se"])
        assert row["status"] == "estimated"
        assert row["c"] == round(expected["c"], 2)
        spread = 1.96 * expected["c_se"] / (expected["c"] * (1.0 - expected["c"]))
        logit = math.log(expected["c"] / (1.0 - expected["c"]))
        assert row["c_low"] == pytest.approx(1.0 / (1.0 + math.exp(spread - logit)), abs=0.006)
        assert (row["slope"], row["slope_se"]) == (slope.beta, slope.se)
        assert row["o_e"] == round_significant(expected["observed"] / expected["expected"], 3)
        assert row["events"] == pytest.approx(expected["observed"], abs=2)


def test_the_summary_of_validation_is_that_of_metafor(tables):
    truth = TRUTH["leave_one_out"]
    rows = {row["measure"]: row for row in tables(FIVE + ASKED)["left_out_summary"]}

    def expit(value):
        return round(1.0 / (1.0 + math.exp(-value)), 2)

    for measure, key, back in (("c", "logit_c", expit), ("slope", "slope", float), ("o/e", "log_oe", math.exp)):
        expected, row = truth[key], rows[measure]
        assert row["hospitals"] == 4
        assert row["estimate"] == round_significant(back(expected["estimate"]), 3)
        assert (row["ci_low"], row["ci_high"]) == tuple(round_significant(back(end), 3) for end in expected["ci"])
        assert row["prediction_low"] == round_significant(back(expected["pi"][0]), 3)
        assert row["prediction_high"] == round_significant(back(expected["pi"][1]), 3)


def test_interactions_with_hospital_are_raos_score_tests(study):
    plan = FIVE.replace(
        '"smoker" }]',
        '"smoker" }, { name = "grade", column = "grade", reference = "1" }, { name = "noise", column = "noise" }]',
    )
    rows = {row["term"]: row for row in interaction_rows(study(plan), range(4))}

    for term in ("age", "smoker", "grade", "noise"):
        assert rows[term]["chi2"] == pytest.approx(TRUTH["interaction"][term]["rao"], rel=1e-5)
        assert rows[term]["df"] == TRUTH["interaction"][term]["df"]


def test_interactions_show_their_chi_square_on_the_grid_and_its_p(study, tables):
    exact = {row["term"]: row["chi2"] for row in interaction_rows(study(FOUR), range(4))}

    rows = tables(FOUR + ASKED)["hospital_interactions"]

    assert [row["term"] for row in rows] == list(NAMES[:4])
    assert all(row["chi2"] == round_chi_square(exact[row["term"]]) for row in rows)
    assert all(0.0 < float(row["p"].lstrip("<")) <= 1.0 for row in rows)


def test_a_small_cell_hides_a_hospital_and_only_that(cohort, tables):
    rows = rows_of(tables(FOUR + ASKED, with_few_men(cohort, "c")), "hospital_estimates")

    hidden = [row for row in rows if row["hospital"] == "c"]
    assert {row["status"] for row in hidden} == {"suppressed"}
    assert all(row[name] is None for row in hidden for name in ("n", "se", "estimate", "ci_low", "ci_high"))
    assert {row["status"] for row in rows if row["hospital"] != "c"} == {"estimated"}


def test_nothing_of_a_hidden_hospital_is_in_what_is_pooled_or_tested(cohort, tables):
    hidden = with_few_men(cohort, "c")
    rng = np.random.default_rng(4)
    other = changed(hidden, "c", age=rng.permutation(hidden["c"]["age"]), sbp=rng.permutation(hidden["c"]["sbp"]))

    first, second = tables(FOUR + ASKED, hidden), tables(FOUR + ASKED, other)
    without = tables(FOUR + ASKED, {name: own for name, own in hidden.items() if name != "c"})

    for name in POOLED:
        assert first[name] == second[name] == without[name]
    assert {row["hospitals"] for row in first["meta_analysis"]} == {3}


def test_algebra_on_the_pooled_figures_gives_back_only_shown_hospitals(cohort, study, tables):
    hospitals = with_few_men(cohort, "c")
    released = tables(FOUR + ASKED, hospitals)
    hidden = fit_pooled_logistic([study(FOUR, hospitals).blocks[2]], NAMES[:4])

    for j, name in enumerate(NAMES[:4]):
        own = rows_of(released, "hospital_estimates", factor=name, status="estimated")
        fixed = rows_of(released, "meta_analysis", factor=name, model="fixed effect")[0]
        # The attack: weights add up, so what the shown hospitals leave over would be the hidden one's.
        left_over = fixed["se"] ** -2 - sum(row["se"] ** -2 for row in own)
        assert abs(left_over) < 0.1 * fixed["se"] ** -2  # two digits of each SE, and no hospital
        assert float(hidden.term_se[j]) > 0.0


def test_a_level_of_which_nobody_has_the_outcome_hides_its_hospital(cohort, tables):
    y = np.where(cohort["c"]["smoker"] == 1.0, 0.0, cohort["c"]["y"])

    rows = rows_of(tables(FIVE + ASKED, changed(cohort, "c", y=y)), "hospital_estimates", hospital="c")

    assert {row["status"] for row in rows} == {"suppressed"}


def test_a_column_that_does_not_vary_in_a_hospital_is_left_out_there(cohort, tables):
    released = tables(FOUR + ASKED, changed(cohort, "c", male=np.ones_like(cohort["c"]["male"])))

    rows = {row["factor"]: row for row in rows_of(released, "hospital_estimates", hospital="c")}
    assert rows["male"]["status"] == "not estimable"
    assert rows["male"]["estimate"] is None
    assert {rows[name]["status"] for name in NAMES[:4] if name != "male"} == {"estimated"}
    hospitals = {row["factor"]: row["hospitals"] for row in rows_of(released, "meta_analysis", model="fixed effect")}
    assert hospitals == {name: 3 if name == "male" else 4 for name in NAMES[:4]}


def test_a_hospital_separated_by_a_quantity_is_suppressed_and_not_explained(cohort, tables):
    own = cohort["c"]
    separated = changed(cohort, "c", age=np.where(own["y"] == 1.0, own["age"] + 80.0, own["age"]))

    released = tables(THREE + ASKED, separated)

    assert {row["status"] for row in rows_of(released, "hospital_estimates", hospital="c")} == {"suppressed"}


def test_two_hospitals_have_no_random_effects_and_no_summary(cohort, tables):
    released = tables(FIVE + ASKED, {name: cohort[name] for name in "ab"})

    assert {row["model"] for row in released["meta_analysis"]} == {"fixed effect"}
    assert len(released["left_out_hospital"]) == 2
    assert "left_out_summary" not in released


def test_a_single_shown_hospital_is_neither_pooled_nor_tested(cohort, tables):
    released = tables(FOUR + ASKED, with_few_men({name: cohort[name] for name in "ac"}, "c"))

    assert "meta_analysis" not in released
    assert "hospital_interactions" not in released
    assert len(released["hospital_estimates"]) == 8


def test_one_hospital_alone_can_not_differ(cohort, tables):
    released = tables(FIVE + ASKED, {"a": cohort["a"]})

    assert released["skipped"] == {"heterogeneity": "too_few_hospitals"}


def test_more_columns_and_hospitals_than_a_table_holds_are_refused():
    too_many = SimpleNamespace(blocks=(None,) * 101, names=("x",) * 10)

    with pytest.raises(AnalysisSkippedError) as caught:
        compare_hospitals(too_many)

    assert caught.value.reason == "too_many_terms"


def test_a_hospital_with_few_outcomes_is_not_validated_in_but_teaches_the_others_model(cohort, tables):
    y = cohort["c"]["y"].copy()
    y[np.flatnonzero(y)[6:]] = 0.0
    released = tables(FIVE + ASKED, changed(cohort, "c", y=y))

    rows = {row["hospital"]: row for row in released["left_out_hospital"]}

    assert rows["c"]["status"] == "suppressed"
    assert all(value is None for key, value in rows["c"].items() if key not in {"hospital", "status"})
    assert {row["hospitals"] for row in released["left_out_summary"]} == {3}
    assert rows["a"]["o_e"] != {row["hospital"]: row for row in tables(FIVE + ASKED)["left_out_hospital"]}["a"]["o_e"]


def test_the_interval_of_observed_over_expected_is_as_wide_as_the_rounded_counts_say(study):
    for row in left_out_tables(study(FIVE + ASKED))[0].rows:
        n, events = round_count(row["n"]), round_count(row["events"])

        assert math.log(row["o_e_high"] / row["o_e_low"]) == pytest.approx(
            2.0 * Z_95 * math.sqrt((1.0 - events / n) / events), rel=1e-9
        )


def test_a_model_of_others_that_the_rules_refuse_validates_nowhere(cohort, tables):
    released = tables(FOUR + ASKED, with_few_men({name: cohort[name] for name in "ac"}, "c"))

    rows = {row["hospital"]: row["status"] for row in released["left_out_hospital"]}

    assert rows == {"a": "suppressed", "c": "estimated"}


def test_validation_is_left_out_where_the_plan_says_so(tables):
    released = tables(FIVE + ASKED + "leave_one_out = false\n")

    assert "left_out_hospital" not in released
    assert "meta_analysis" in released


def test_firths_plan_gets_firths_estimates_in_each_hospital(study, tables):
    plan = FOUR + '[analysis]\nestimation = "firth"\n'
    own = fit_firth([study(plan).blocks[3]], NAMES[:4]).estimates

    released = tables(plan + ASKED)

    row = rows_of(released, "hospital_estimates", factor="sbp", hospital="d")[0]
    assert row["estimate"] == round_estimate(float(own.term_coef[2]), float(own.term_se[2])).beta
    assert {row["status"] for row in released["left_out_hospital"]} == {"estimated"}
