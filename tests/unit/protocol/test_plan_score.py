"""A published score in a plan: its inputs by name, their columns, units and levels, and every way to get them wrong."""

from __future__ import annotations

import pytest

from heartify.errors import InputError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.plan import parse_plan, parse_plan_toml
from heartify.protocol.plan_analyses import ScoreName
from heartify.protocol.plan_check import check_plan_fits
from heartify.protocol.plan_scores import FLAGS, QUANTITIES, SCORE_INPUTS

LEVELS = (Level(code="1", label="female"), Level(code="2", label="male"))


def column(name: str, datatype: str, **more: object) -> Column:
    return Column(name=name, title=name, datatype=datatype, role=more.pop("role", "factor"), **more)  # type: ignore[arg-type]


DICTIONARY = DataDictionary(
    title="t",
    description="",
    columns=(
        column("age", "number", unit="a"),
        column("age_days", "integer", unit="d"),
        column("gender", "category", levels=LEVELS),
        column("smoke", "integer"),
        column("pressure", "number", unit="mm[Hg]"),
        column("pulse", "number", unit="/min"),
        column("treated", "boolean"),
        column("diabetes", "boolean"),
        column("bmi", "number", unit="kg/m2"),
        column("tc", "number", unit="mmol/L"),
        column("hdl", "number", unit="mg/dL"),
        column("hdl_molar", "number", unit="umol/L"),
        column("event", "boolean", role="outcome"),
    ),
)

BMI_INPUTS = {
    "age": '"age"',
    "male": '{ column = "gender", equals = "2" }',
    "sbp": '"pressure"',
    "bp_treated": '"treated"',
    "smoker": '{ column = "smoke", equals = "1" }',
    "diabetes": '"diabetes"',
    "bmi": '"bmi"',
}
LIPIDS = {"total_cholesterol": '"tc"', "hdl_cholesterol": '"hdl"'}
SCORE2_INPUTS = {name: BMI_INPUTS[name] for name in ("age", "male", "sbp", "smoker", "diabetes")} | LIPIDS


def plan_toml(name: str, inputs: dict[str, str], extra: str = "") -> str:
    mapped = "\n".join(f"{key} = {value}" for key, value in inputs.items())
    return f"""
title = "Score"
purpose = "health-research"
outcome = {{ column = "event", equals = "1" }}
factors = [{{ name = "pulse", column = "pulse" }}]
[increment]
factors = ["pulse"]
[increment.score]
name = "{name}"
{extra}
[increment.score.inputs]
{mapped}
"""


@pytest.mark.parametrize(
    ("name", "inputs", "extra"),
    [
        ("framingham-2008-bmi", BMI_INPUTS, ""),
        ("framingham-2008-bmi", BMI_INPUTS | {"age": '"age_days"'}, ""),
        ("framingham-2008-lipid", {k: v for k, v in (BMI_INPUTS | LIPIDS).items() if k != "bmi"}, ""),
        ("score2", SCORE2_INPUTS, 'region = "very_high"'),
    ],
)
def test_a_score_with_all_its_inputs_in_known_units_fits(name, inputs, extra):
    plan = parse_plan_toml(plan_toml(name, inputs, extra))

    check_plan_fits(plan, DICTIONARY)

    assert {"gender", "smoke", "pressure"} <= set(plan.columns())
    assert parse_plan(encode_canonical(plan)) == plan


@pytest.mark.parametrize(
    ("name", "inputs", "extra", "message"),
    [
        ("framingham-2008-bmi", {k: v for k, v in BMI_INPUTS.items() if k != "bmi"}, "", "bmi"),
        ("framingham-2008-bmi", BMI_INPUTS | {"statin": '"treated"'}, "", "statin"),
        ("framingham-2008-bmi", BMI_INPUTS | {"age": '{ column = "age", equals = "1" }'}, "", "quantity"),
        ("framingham-2008-bmi", BMI_INPUTS, 'region = "low"', "region"),
        ("score2", SCORE2_INPUTS, "", "region"),
        ("qrisk", BMI_INPUTS, "", "qrisk"),
    ],
)
def test_a_plan_with_a_wrong_score_is_refused(name, inputs, extra, message):
    with pytest.raises(InputError, match=message):
        parse_plan_toml(plan_toml(name, inputs, extra))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sbp": '"pulse"'}, "in /min"),
        ({"sbp": '"gender"'}, "quantity"),
        ({"bmi": '"absent"'}, "does not have"),
        ({"male": '"gender"'}, "yes or no"),
        ({"smoker": '"smoke"'}, "yes or no"),
        ({"male": '{ column = "gender", equals = "3" }'}, "no level"),
        ({"male": '{ column = "absent", equals = "3" }'}, "does not have"),
    ],
)
def test_a_column_that_is_no_such_input_is_refused(changed, message):
    plan = parse_plan_toml(plan_toml("framingham-2008-bmi", BMI_INPUTS | changed))

    with pytest.raises(InputError, match=message):
        check_plan_fits(plan, DICTIONARY)


def test_cholesterol_in_another_unit_is_refused_and_not_guessed():
    inputs = SCORE2_INPUTS | {"hdl_cholesterol": '"hdl_molar"'}
    plan = parse_plan_toml(plan_toml("score2", inputs, 'region = "low"'))

    with pytest.raises(InputError, match="umol/L"):
        check_plan_fits(plan, DICTIONARY)


def test_every_score_that_a_plan_can_name_has_inputs_that_are_quantities_or_flags():
    assert set(ScoreName.__args__) == set(SCORE_INPUTS)
    assert {name for inputs in SCORE_INPUTS.values() for name in inputs} == set(QUANTITIES) | FLAGS
    assert set(QUANTITIES).isdisjoint(FLAGS)
