"""A plan against a data dictionary: every way in which a column may not be used."""

from __future__ import annotations

import pytest

from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose
from heartify.protocol.plan_check import check_plan_fits

LEVELS = (Level(code="1", label="typical"), Level(code="4", label="none"))


def column(name: str, datatype: str, role: str = "factor", **more: object) -> Column:
    return Column(name=name, title=name, datatype=datatype, role=role, **more)  # type: ignore[arg-type]


DICTIONARY = DataDictionary(
    title="t",
    description="",
    columns=(
        column("patient", "category", "id"),
        column("visit", "date", "factor"),
        column("followup", "number", "time"),
        column("age", "number", unit="a"),
        column("vessels", "integer"),
        column("male", "boolean"),
        column("cp", "category", levels=LEVELS),
        column("event", "boolean", "outcome"),
        column("clinic", "category", "filter", levels=LEVELS),
    ),
)


def plan(factor: FactorSpec, outcome: OutcomeSpec | None = None) -> Plan:
    return Plan(
        title="t",
        purpose=Purpose.STATISTICS,
        outcome=outcome or OutcomeSpec(column="event", equals="1"),
        factors=(factor,),
    )


def factor(name: str, equals: str | None = None) -> FactorSpec:
    return FactorSpec(name="f", column=name, equals=equals)


@pytest.mark.parametrize(
    "good",
    [
        factor("age"),
        factor("vessels"),
        factor("male"),
        factor("event"),
        factor("cp", "4"),
        factor("cp", "4.0"),
        factor("clinic", "1"),
        factor("male", "0"),
        factor("vessels", "2"),
        factor("age", "-2.5"),
    ],
)
def test_usable_factors_pass(good):
    check_plan_fits(plan(good), DICTIONARY)


@pytest.mark.parametrize(
    "good",
    [
        OutcomeSpec(column="event", equals="1"),
        OutcomeSpec(column="age", above=65.0),
        OutcomeSpec(column="vessels", above=0),
        OutcomeSpec(column="cp", equals="4"),
    ],
)
def test_usable_outcomes_pass(good):
    check_plan_fits(plan(factor("male"), good), DICTIONARY)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (factor("chol"), "factor 'f' uses the column 'chol', which the dataset does not have"),
        (factor("patient", "1"), "'patient', whose role or datatype does not allow it"),
        (factor("visit"), "'visit', whose role or datatype does not allow it"),
        (factor("followup"), "'followup', whose role or datatype does not allow it"),
        (factor("cp"), "uses the category 'cp' as a number"),
        (factor("cp", "2"), "equals '2', which is no level of 'cp'"),
        (factor("cp", "04"), "equals '04', which is no level of 'cp'"),
        (factor("male", "true"), "a boolean equals '0' or '1', got 'true'"),
        (factor("age", "old"), "equals 'old', which is not a number"),
        (factor("age", "nan"), "not a number"),
        (factor("age", "inf"), "not a number"),
        (factor("age", "1_0"), "not a number"),
        (factor("age", " 1"), "not a number"),
        (factor("age", "1\n"), "not a number"),
        (factor("age", ""), "not a number"),
        (factor("age", "1e3"), "not a number"),
        (factor("age", "\u0661"), "not a number"),
    ],
)
def test_unusable_factor_is_refused(wrong, words):
    with pytest.raises(InputError) as refused:
        check_plan_fits(plan(wrong), DICTIONARY)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (OutcomeSpec(column="death", equals="1"), "the outcome uses the column 'death'"),
        (OutcomeSpec(column="patient", equals="1"), "does not allow it"),
        (OutcomeSpec(column="visit", equals="2020-01-01"), "does not allow it"),
        (OutcomeSpec(column="event", above=0), "'event' is a boolean"),
        (OutcomeSpec(column="cp", above=0), "'cp' is a category"),
        (OutcomeSpec(column="cp", equals="9"), "no level of 'cp'"),
        (OutcomeSpec(column="event", equals="yes"), "a boolean equals '0' or '1'"),
    ],
)
def test_unusable_outcome_is_refused(wrong, words):
    with pytest.raises(InputError) as refused:
        check_plan_fits(plan(factor("male"), wrong), DICTIONARY)
    assert words in str(refused.value)


def test_the_hint_lists_columns_but_no_ids():
    with pytest.raises(InputError) as refused:
        check_plan_fits(plan(factor("chol")), DICTIONARY)

    assert "age" in str(refused.value.hint)
    assert "patient" not in str(refused.value.hint)
