"""[increment] through the release: R's tests and estimates on the generated cohort, published scores, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from heartify.disclosure.rounding import round_significant
from heartify.enclave.analyses.increment import INCREMENT
from heartify.enclave.analyses.increment_cohort import scored_cohort
from heartify.enclave.analyses.published_score import INPUT_OF, registered_score, score_rows
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.plan_analyses import ScoreName, ScoreSpec
from heartify.protocol.plan_scores import FLAGS, QUANTITIES, REGIONAL, SCORE_INPUTS
from heartify.stats.scores import SCORES, find_score

REFEREE = json.loads(
    (Path(__file__).resolve().parents[3] / "vectors" / "statistics" / "performance.json").read_text(encoding="utf-8")
)
PLAN = """
title = "Generated"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [
  { name = "age", column = "age" },
  { name = "male", column = "male" },
  { name = "chol", column = "chol" },
  { name = "grade", column = "grade", reference = "1" },
]
[increment]
factors = ["chol", "grade"]
thresholds = [0.3, 0.45, 0.55, 0.65]
cutoffs = [0.45, 0.6]
"""
SCORED = """
title = "Scored"
purpose = "health-research"
outcome = { column = "y", equals = "1" }
factors = [{ name = "noise", column = "noise" }, { name = "grade", column = "grade", reference = "1" }]
[increment]
factors = ["noise", "grade"]
thresholds = [0.3, 0.45, 0.55, 0.65]
[increment.score]
name = "score2"
region = "low"
[increment.score.inputs]
age = "age"
male = "male"
sbp = "sbp"
smoker = "smoker"
diabetes = "diabetes"
total_cholesterol = "chol"
hdl_cholesterol = "hdl"
"""


def _values(rows, **labels):
    return [row for row in rows if all(row[key] == value for key, value in labels.items())]


@pytest.fixture(scope="session")
def with_hdl(cohort):
    """The generated cohort with two more columns that SCORE2 asks for; ages are brought into its range."""
    generator = np.random.default_rng(7)
    made = {}
    for name, columns in cohort.items():
        n = columns["age"].size
        extra = {"diabetes": (generator.random(n) < 0.2).astype(float), "hdl": generator.normal(1.4, 0.2, n)}
        made[name] = dict(columns) | extra | {"age": np.clip(columns["age"], 40, 69)}
    return made


@pytest.fixture(scope="session")
def dictionary(study):
    base = study(PLAN).dictionary
    extra = (
        Column(name="diabetes", title="Diabetes", datatype="boolean", role="factor"),
        Column(name="hdl", title="HDL", datatype="number", role="factor", unit="mmol/L"),
    )
    return DataDictionary(title="t", description="", columns=(*base.columns, *extra))


def test_tests_of_the_added_columns_are_those_of_r(tables):
    expected = REFEREE["nested"]["columns"]  # anova(glm(y ~ hospital + age + male), glm(... + chol + grade), LRT, Rao)

    shown = tables(PLAN)["increment_tests"]

    assert [(row["baseline"], row["test"], row["df"]) for row in shown] == [
        ("other-factors", "likelihood-ratio", 3),
        ("other-factors", "score", 3),
    ]
    assert [row["chi2"] for row in shown] == [round_significant(expected[key], 3) for key in ("lr", "rao")]
    assert {row["p"] for row in shown} == {"<0.001"}


def test_no_p_value_stands_anywhere_but_beside_the_tests(tables):
    shown = tables(PLAN)

    with_p = [name for name, rows in shown.items() if name.startswith("increment") and "p" in rows[0]]
    assert with_p == ["increment_tests"]


def test_reclassification_comes_in_two_parts_and_is_never_summed(tables):
    shown = tables(PLAN)["increment"]

    groups = {row["group"] for row in shown if row["measure"].endswith("nri")}
    assert groups == {"events", "non-events"}
    assert {row["measure"] for row in shown} == {"auc-difference", "idi", "continuous-nri", "categorical-nri"}


def test_estimates_are_those_of_improve_prob(tables):
    expected = REFEREE["apparent"]["increment"]

    shown = tables(PLAN)["increment"]

    for measure, group, key in (
        ("idi", "events", "idi_events"),
        ("idi", "non-events", "idi_nonevents"),
        ("idi", "all", "idi"),
        ("continuous-nri", "events", "nri_events"),
        ("continuous-nri", "non-events", "nri_nonevents"),
        ("auc-difference", "all", "auc_difference"),
    ):
        (row,) = _values(shown, measure=measure, group=group)
        assert row["estimate"] == pytest.approx(expected[key], abs=row["se"] / 20 + 1e-12)
        assert row["se"] == pytest.approx(expected[f"{key}_se"], rel=0.05)


def test_net_benefits_stand_beside_each_other_at_thresholds_with_ten_patients_on_both_sides(tables):
    shown = tables(PLAN)["increment_net_benefit"]

    assert shown
    for row in shown:
        assert min(row[name] for name in ("above_base", "below_base", "above_new", "below_new")) >= 10
        assert row["base"] is not None
        assert row["new"] is not None


def test_an_interaction_with_a_new_factor_is_added_with_it(study):
    plan = PLAN.replace("[increment]", 'interactions = [{ first = "age", second = "chol" }]\n[increment]').replace(
        'factors = ["chol", "grade"]', 'factors = ["chol"]'
    )

    found = INCREMENT.run(study(plan))

    tests = next(table for table in found if table.name == "increment_tests")
    assert {row["df"] for row in tests.rows} == {2}


def test_a_published_score_is_refitted_and_taken_as_it_is(tables, with_hdl, dictionary):
    shown = tables(SCORED, with_hdl, dictionary)

    assert "increment" not in shown["skipped"]
    assert {row["baseline"] for row in shown["increment_tests"]} == {"score-recalibrated", "score-offset"}
    assert {row["baseline"] for row in shown["increment_discrimination"]} == {
        "score-as-published",
        "score-recalibrated",
        "score-offset",
    }
    assert {row["measure"] for row in shown["score_calibration"]} == {"observed-expected", "in-the-large", "slope"}
    # Nobody was left out: that count is 0 and is shown no more than 1 would be.
    assert shown["increment_cohort"] == [{"patients": "analysed", "n": 1200}, {"patients": "left-out", "n": None}]


def test_calibration_of_a_score_is_of_its_published_risks(study, tables, with_hdl, dictionary):
    data = study(SCORED, with_hdl, dictionary)
    scored = [score_rows(case, data.plan.increment.score) for case in data.cases]
    ratio = sum(case.y.sum() for case in data.cases) / sum(item.risk.sum() for item in scored)

    (row,) = _values(tables(SCORED, with_hdl, dictionary)["score_calibration"], measure="observed-expected")

    assert row["estimate"] == pytest.approx(ratio, abs=row["se"] / 20 + 1e-12)


def test_units_of_a_score_are_converted_by_the_known_factor(study, with_hdl, dictionary):
    in_mg = {name: dict(columns) | {"hdl": columns["hdl"] / 0.02586} for name, columns in with_hdl.items()}
    columns = tuple(
        Column(name="hdl", title="HDL", datatype="number", role="factor", unit="mg/dL") if item.name == "hdl" else item
        for item in dictionary.columns
    )
    mg = DataDictionary(title="t", description="", columns=columns)

    molar, mass = study(SCORED, with_hdl, dictionary), study(SCORED, in_mg, mg)

    for one, other in zip(molar.cases, mass.cases, strict=True):
        assert score_rows(one, molar.plan.increment.score).risk == pytest.approx(
            score_rows(other, mass.plan.increment.score).risk, rel=1e-12
        )


def _without_hdl(hospitals, count):
    changed = {name: dict(columns) | {"hdl": columns["hdl"].copy()} for name, columns in hospitals.items()}
    changed["a"]["hdl"][:count] = np.nan
    return changed


@pytest.mark.parametrize(("count", "reason"), [(1, "small_cell"), (9, "small_cell"), (10, None), (60, None)])
def test_an_increment_on_one_to_nine_patients_fewer_than_the_study_is_refused(
    tables, with_hdl, dictionary, count, reason
):
    shown = tables(SCORED, _without_hdl(with_hdl, count), dictionary)

    assert shown["skipped"].get("increment") == reason
    assert ("increment" in shown) == (reason is None)


def test_patients_without_a_score_are_left_out_and_counted(tables, with_hdl, dictionary):
    shown = tables(SCORED, _without_hdl(with_hdl, 60), dictionary)

    assert shown["increment_cohort"] == [{"patients": "analysed", "n": 1140}, {"patients": "left-out", "n": 60}]


def test_a_hospital_with_fewer_than_twenty_scores_is_left_out_of_the_increment(study, with_hdl, dictionary):
    rows = with_hdl["a"]["hdl"].size

    found = scored_cohort(
        study(SCORED, _without_hdl(with_hdl, rows - 19), dictionary), study(SCORED, with_hdl).plan.increment
    )

    assert [block.name for block in found.blocks] == ["b", "c", "d"]
    assert found.left_out == rows


def test_patients_of_an_age_that_the_score_is_not_for_are_left_out(study, with_hdl, dictionary):
    aged = {name: dict(columns) | {"age": columns["age"].copy()} for name, columns in with_hdl.items()}
    aged["b"]["age"][:20] = 75.0

    assert scored_cohort(study(SCORED, aged, dictionary), study(SCORED, with_hdl).plan.increment).left_out == 20


def test_nobody_with_a_score_means_too_few_patients(tables, with_hdl, dictionary):
    empty = {name: dict(columns) | {"hdl": np.full(columns["hdl"].size, np.nan)} for name, columns in with_hdl.items()}

    assert tables(SCORED, empty, dictionary)["skipped"]["increment"] == "too_few_patients"


def test_rules_are_judged_again_on_the_patients_with_a_score(tables, with_hdl, dictionary):
    changed = {name: dict(columns) | {"hdl": columns["hdl"].copy()} for name, columns in with_hdl.items()}
    left = 5  # of the third grade's patients, over all hospitals
    for columns in changed.values():
        third = np.flatnonzero(columns["grade"] == 2)
        columns["hdl"][third[left:]] = np.nan
        left = 0

    assert tables(SCORED, changed, dictionary)["skipped"]["increment"] == "small_cell"


@pytest.mark.parametrize("name", ScoreName.__args__)
def test_every_score_of_a_plan_is_in_the_registry_with_the_same_inputs(name):
    spec = ScoreSpec(name=name, inputs={"age": "age"}, region="low" if name in REGIONAL else None)

    score = registered_score(spec)

    assert {INPUT_OF[wanted.name] for wanted in score.inputs} == set(SCORE_INPUTS[name])
    for wanted in score.inputs:
        known = INPUT_OF[wanted.name]
        assert wanted.is_flag == (known in FLAGS)
        assert wanted.is_flag or wanted.unit in QUANTITIES[known]


def test_every_score_of_the_registry_can_be_named_in_a_plan():
    regions = ("low", "moderate", "high", "very_high")
    named = {
        registered_score(ScoreSpec(name=name, inputs={"age": "age"}, region=region)).name
        for name in SCORE_INPUTS
        for region in (regions if name in REGIONAL else (None,))
    }

    assert named == set(SCORES)
    assert find_score("score2_low").name in named
