"""Published scores against published worked examples, and against the equations file beside the project."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from heartify.stats import DegenerateOutcomeError, InvalidBlockError, RankDeficientError
from heartify.stats.scores import (
    SCORES,
    FraminghamBmiInputs,
    FraminghamLipidInputs,
    PreventInputs,
    PreventOutcome,
    RiskRegion,
    Score2Inputs,
    find_score,
    framingham_bmi,
    framingham_lipid,
    prevent,
    score2,
    score2_older,
    validate_score,
)
from heartify.stats.scores import framingham as framingham_tables
from heartify.stats.scores.prevent_coefficients import COLUMNS, TEN_YEARS, THIRTY_YEARS
from heartify.stats.scores.score2_equations import FEMALE_40_69, FEMALE_70, MALE_40_69, MALE_70

EQUATIONS = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "risk_equations.json"


@pytest.fixture(scope="module")
def equations():
    if not EQUATIONS.exists():
        pytest.skip("the equations ../shared/data/risk_equations.json are absent")
    return json.loads(EQUATIONS.read_text())


def _column(*values):
    return np.array(values, dtype=float)


LIPID = {  # D'Agostino et al. 2008, the worked examples: a woman of 61, a man of 53
    "age_years": _column(61, 53),
    "male": np.array([False, True]),
    "sbp_mmhg": _column(124, 125),
    "bp_treated": np.array([False, True]),
    "smoker": np.array([True, False]),
    "diabetes": np.array([False, True]),
    "total_cholesterol_mg_dl": _column(180, 161),
    "hdl_cholesterol_mg_dl": _column(47, 55),
}
SCORE2_EXAMPLE = {  # smokers of 50, a man and a woman
    "age_years": _column(50, 50),
    "male": _column(1, 0),
    "sbp_mmhg": _column(140, 140),
    "smoker": _column(1, 1),
    "diabetes": _column(0, 0),
    "total_cholesterol_mmol_l": _column(5.5, 5.5),
    "hdl_cholesterol_mmol_l": _column(1.3, 1.3),
}
PREVENT_EXAMPLE = {  # Khan et al. 2024, supplement, table S25
    "age_years": _column(50),
    "male": _column(0),
    "sbp_mmhg": _column(160),
    "bp_treated": _column(1),
    "smoker": _column(0),
    "diabetes": _column(1),
    "statin": _column(0),
    "total_cholesterol_mg_dl": _column(200),
    "hdl_cholesterol_mg_dl": _column(45),
    "bmi_kg_m2": _column(35),
    "egfr_ml_min_1_73m2": _column(90),
}
EXAMPLES = {"framingham_2008_lipid": LIPID, "score2": SCORE2_EXAMPLE, "prevent": PREVENT_EXAMPLE}


def _example(name):
    if name == "framingham_2008_bmi":
        return {key: LIPID[key] for key in list(LIPID)[:6]} | {"bmi_kg_m2": _column(27, 30)}
    return next(columns for prefix, columns in EXAMPLES.items() if name.startswith(prefix))


def test_framingham_gives_the_published_examples():
    found = framingham_lipid(FraminghamLipidInputs(**LIPID))

    np.testing.assert_allclose(found.risk, [0.1048, 0.1562], atol=5e-5)
    assert found.eligible.all()


def test_score2_gives_the_published_examples():
    found = score2(Score2Inputs(**SCORE2_EXAMPLE), RiskRegion.LOW)

    np.testing.assert_allclose(found.risk, [0.059, 0.042], atol=5e-4)


@pytest.mark.parametrize(
    ("outcome", "ten", "thirty"),
    [
        (PreventOutcome.TOTAL_CVD, 0.147, 0.530),
        (PreventOutcome.ASCVD, 0.092, 0.354),
        (PreventOutcome.HEART_FAILURE, 0.081, 0.390),
    ],
)
def test_prevent_gives_the_published_examples(outcome, ten, thirty):
    inputs = PreventInputs(**PREVENT_EXAMPLE)

    found = [prevent(inputs, outcome, horizon).risk[0] for horizon in (10, 30)]

    assert found == pytest.approx([ten, thirty], abs=5e-4)


def test_all_stored_test_vectors_are_reproduced(equations):
    stored = equations["test_vectors"]
    lipid = framingham_lipid(FraminghamLipidInputs(**LIPID))
    european = score2(Score2Inputs(**SCORE2_EXAMPLE), RiskRegion.LOW)
    uncalibrated = 1 - np.array([0.9605, 0.9776]) ** np.exp(european.linear_predictor)
    found = {
        "FRS female 61y TC180 HDL47 SBP124 untreated smoker noDM": lipid.risk[0],
        "FRS male 53y TC161 HDL55 SBP125 treated nonsmoker DM": lipid.risk[1],
        "SCORE2 male 50 smoker SBP140 TC5.5 HDL1.3 low": [european.risk[0], uncalibrated[0]],
        "SCORE2 female 50 smoker SBP140 TC5.5 HDL1.3 low": [european.risk[1], uncalibrated[1]],
    }
    who = "female 50 SBP160 tx TC200 HDL45 nostatin DM nonsmk eGFR90 BMI35"
    for outcome in PreventOutcome:
        for horizon in (10, 30):
            result = SCORES[f"prevent_{outcome}_{horizon}y"].compute(PREVENT_EXAMPLE)
            found[f"PREVENT base {horizon}y {outcome} {who}"] = result.risk[0]

    assert found.keys() == stored.keys()
    for name, value in stored.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_framingham_coefficients_equal_the_equations_file(equations):
    stored = equations["framingham2008"]
    for model in ("lipid", "bmi"):
        for sex in ("male", "female"):
            table = getattr(framingham_tables, f"{model}_{sex}".upper())
            values = [getattr(table, field.name) for field in fields(table)]
            expected = dict(stored[f"{model}_model"][sex])
            order = ["ln_age", *(["ln_totchol", "ln_hdl"] if model == "lipid" else ["ln_bmi"])]
            order += ["ln_untreated_sbp", "ln_treated_sbp", "smoker", "diabetes", "mean", "S0"]
            assert values == [expected.pop(key) for key in order]
            assert not expected


def test_score2_coefficients_equal_the_equations_file(equations):
    names = {
        "score2": "cage smoking csbp diabetes ctchol chdl "
        "cage_smoking cage_csbp cage_ctchol cage_chdl cage_diabetes S0",
        "score2_op": "age smoking sbp diabetes tchol hdl age_smoking age_sbp age_tchol age_hdl age_diabetes S0 mean_lp",
    }
    tables = {"score2": (MALE_40_69, FEMALE_40_69), "score2_op": (MALE_70, FEMALE_70)}
    for model, order in names.items():
        for sex, table in zip(("male", "female"), tables[model], strict=True):
            expected = dict(equations[model]["coef"][sex])
            values = [getattr(table, field.name) for field in fields(table)][: len(order.split())]
            assert values == [expected.pop(key) for key in order.split()]
            assert not expected
            assert {str(k): list(v) for k, v in table.scales.items()} == equations[model]["scales"][sex]
    assert MALE_40_69.mean == FEMALE_40_69.mean == 0.0


def test_prevent_coefficients_equal_the_equations_file(equations):
    for table, key in ((TEN_YEARS, "base_10yr"), (THIRTY_YEARS, "base_30yr")):
        rows = equations["prevent_base"]["coef"][key]
        for (name, values), row in zip(table.items(), rows, strict=True):
            assert list(values) == [row[column] for column in COLUMNS], name


def test_score2_op_is_the_published_formula_written_out():
    columns = SCORE2_EXAMPLE | {"age_years": _column(80, 75), "diabetes": _column(1, 0)}

    found = score2_older(Score2Inputs(**columns), RiskRegion.HIGH)

    man = 0.0634 * 7 + 0.4245 + 0.3524 - 0.0094 * 10 - 0.0850 * 0.5 + 0.3564 * 0.1
    man += 7 * (-0.0174 - 0.0247 + 0.0005 * 10 - 0.0073 * 0.5 - 0.0091 * 0.1)
    r = 1 - 0.7576 ** np.exp(man - 0.0929)
    assert found.risk[0] == pytest.approx(1 - np.exp(-np.exp(0.08 + 1.15 * np.log(-np.log(1 - r)))), abs=1e-12)
    assert found.eligible.all()


def test_the_bmi_model_is_the_published_formula_written_out():
    found = framingham_bmi(FraminghamBmiInputs(**_example("framingham_2008_bmi")))

    woman = 2.72107 * np.log(61) + 0.51125 * np.log(27) + 2.81291 * np.log(124) + 0.61868 - 26.0145
    assert found.linear_predictor[0] == pytest.approx(woman, abs=1e-12)
    assert found.risk[0] == pytest.approx(1 - 0.94833 ** np.exp(woman), abs=1e-12)


def test_each_spline_of_prevent_bends_at_its_knot():
    def risk(**change):
        return prevent(PreventInputs(**PREVENT_EXAMPLE | change), PreventOutcome.HEART_FAILURE, 10).linear_predictor[0]

    low = risk(sbp_mmhg=_column(100)) - risk(sbp_mmhg=_column(90))
    assert low == pytest.approx(-0.4559771 / 2)
    low = risk(egfr_ml_min_1_73m2=_column(45)) - risk(egfr_ml_min_1_73m2=_column(60))
    assert low == pytest.approx(0.7451638 - 0.1884289 * -0.5)
    assert risk(bmi_kg_m2=_column(30)) - risk(bmi_kg_m2=_column(25)) == pytest.approx(-0.0072294)


@pytest.mark.parametrize("name", SCORES)
def test_every_registered_score_is_named_cited_and_consistent(name):
    score = find_score(name)

    found = score.compute(_example(name))

    assert score.name == name
    assert score.citation
    assert score.outcome
    assert all(needed.unit and needed.description for needed in score.inputs)
    assert ((found.risk > 0) & (found.risk < 1)).all()
    np.testing.assert_allclose(found.log_odds, np.log(found.risk / (1 - found.risk)), atol=1e-12)
    assert not np.isnan(found.linear_predictor).any()


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("framingham_2008_lipid", 30, 74), ("score2_low", 40, 69), ("prevent_ascvd_30y", 30, 59)],
)
def test_ages_outside_are_marked_and_not_lost(name, first, last):
    ages = _column(first - 0.1, first, last + 0.9, last + 1)
    columns = {key: np.repeat(column[:1], 4) for key, column in _example(name).items()} | {"age_years": ages}

    found = find_score(name).compute(columns)

    assert found.eligible.tolist() == [False, True, True, False]
    assert np.isfinite(found.risk).all()


def test_score2_op_has_no_last_age():
    columns = SCORE2_EXAMPLE | {"age_years": _column(69.9, 99)}

    assert find_score("score2_op_low").compute(columns).eligible.tolist() == [False, True]


def test_rows_do_not_influence_each_other():
    whole = score2(Score2Inputs(**SCORE2_EXAMPLE), RiskRegion.HIGH)

    for row in (0, 1):
        alone = Score2Inputs(**{name: column[[row]] for name, column in SCORE2_EXAMPLE.items()})
        assert score2(alone, RiskRegion.HIGH).risk[0] == whole.risk[row]


def test_an_extreme_row_has_a_finite_risk_and_log_odds():
    columns = {key: np.repeat(column[:1], 3) for key, column in LIPID.items()}
    columns["sbp_mmhg"] = _column(120, 120, 1e9)

    found = framingham_lipid(FraminghamLipidInputs(**columns))

    assert found.risk[2] == 1.0
    assert np.isfinite(found.log_odds).all()


def test_a_vanishing_hazard_is_refused():
    columns = {key: np.repeat(column[:1], 3) for key, column in SCORE2_EXAMPLE.items()}
    columns["hdl_cholesterol_mmol_l"] = _column(1.3, 1.3, 1e5)

    with pytest.raises(InvalidBlockError, match="vanishes"):
        score2(Score2Inputs(**columns), RiskRegion.LOW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"total_cholesterol_mg_dl": _column(4.7, 5.0)}, "check the unit"),
        ({"sbp_mmhg": _column(16.5, 17.0)}, "check the unit"),
        ({"sbp_mmhg": _column(120, np.nan)}, "missing"),
        ({"sbp_mmhg": _column(120, -5)}, "positive"),
        ({"sbp_mmhg": _column(120, 130, 140)}, "length"),
        ({"sbp_mmhg": np.array([["1", "2"]])}, "column"),
        ({"sbp_mmhg": np.array([])}, "column"),
        ({"sbp_mmhg": np.array(["120", "secret"])}, "numbers"),
        ({"male": _column(1, 2)}, "0 or 1"),
    ],
)
def test_malformed_columns_are_refused_without_quoting_them(change, message):
    with pytest.raises(InvalidBlockError, match=message) as caught:
        FraminghamLipidInputs(**LIPID | change)

    assert "secret" not in str(caught.value)


def test_missing_unknown_inputs_and_names_are_refused():
    score = find_score("framingham_2008_lipid")

    with pytest.raises(InvalidBlockError, match="missing inputs"):
        score.compute({"age_years": _column(50)})
    with pytest.raises(InvalidBlockError, match="unknown inputs"):
        score.compute(LIPID | {"height": _column(170, 180)})
    with pytest.raises(InvalidBlockError, match="no score"):
        find_score("qrisk3")
    with pytest.raises(InvalidBlockError, match="horizons"):
        prevent(PreventInputs(**PREVENT_EXAMPLE), PreventOutcome.CHD, 20)


def _framingham_cohort(generator, n, scale=1.0):
    columns = {
        "age_years": generator.uniform(25, 80, n),
        "male": generator.random(n) < 0.5,
        "sbp_mmhg": generator.normal(130, 15, n),
        "bp_treated": generator.random(n) < 0.3,
        "smoker": generator.random(n) < 0.25,
        "diabetes": generator.random(n) < 0.1,
        "total_cholesterol_mg_dl": generator.normal(210, 30, n),
        "hdl_cholesterol_mg_dl": generator.uniform(35, 75, n),
    }
    result = framingham_lipid(FraminghamLipidInputs(**columns))
    return result, (generator.random(n) < result.risk * scale).astype(float)


def test_a_score_that_overestimates_twofold_is_found_to_do_so():
    result, y = _framingham_cohort(np.random.default_rng(21), 20_000, scale=0.5)

    found = validate_score(result, y)

    ratio = found.calibration.observed_expected
    assert ratio.ci_low < 0.5 < ratio.ci_high
    assert found.n + found.ineligible == y.size
    assert found.n == result.eligible.sum()
    assert sum(group.n for group in found.groups) == found.n


def test_a_true_score_has_slope_one_and_ratio_one():
    found = validate_score(*_framingham_cohort(np.random.default_rng(22), 20_000))

    assert found.calibration.slope.ci_low < 1.0 < found.calibration.slope.ci_high
    assert found.calibration.observed_expected.ci_low < 1.0 < found.calibration.observed_expected.ci_high
    assert found.auc.auc > 0.7
    assert found.brier.scaled > 0


def test_a_cohort_that_cannot_judge_a_score_is_refused():
    result, y = _framingham_cohort(np.random.default_rng(23), 200)
    too_old = framingham_lipid(FraminghamLipidInputs(**LIPID | {"age_years": _column(90, 95)}))
    twins = framingham_lipid(FraminghamLipidInputs(**{key: np.repeat(v[:1], 4) for key, v in LIPID.items()}))

    with pytest.raises(InvalidBlockError, match="expected y"):
        validate_score(result, y[:-1])
    with pytest.raises(InvalidBlockError, match="age"):
        validate_score(too_old, np.array([0.0, 1.0]))
    with pytest.raises(DegenerateOutcomeError):
        validate_score(result, np.zeros(200))
    with pytest.raises(RankDeficientError):
        validate_score(twins, np.array([0.0, 1.0, 0.0, 1.0]))
