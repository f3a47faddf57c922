from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heartify.protocol.dictionary import Column, check_ucum
from heartify.protocol.plausible_ranges import RANGES

RNG = np.random.default_rng(3)
CHOLESTEROL_MMOL = RNG.normal(5.4, 1.0, 400).clip(2.5, 9)
CHOLESTEROL = CHOLESTEROL_MMOL * 38.67
SYSTOLIC = RNG.normal(135, 18, 400).round().clip(90, 220)
DIASTOLIC = RNG.normal(82, 9, 400).round().clip(50, 120)


def with_first(values: Any, *first: float) -> np.ndarray:
    return np.concatenate([first, values[len(first) :]])


@pytest.mark.parametrize(
    ("values", "loinc", "unit", "looks_like"),
    [
        (CHOLESTEROL_MMOL, "2093-3", "mg/dL", "mmol/L"),
        (CHOLESTEROL, "14647-2", "mmol/L", "mg/dL"),
        (RNG.normal(1.7, 0.1, 200), "8302-2", "cm", "m"),
        (RNG.normal(170, 10, 200), "8302-2", "m", "cm"),
        (RNG.normal(18, 2, 200), "8480-6", "mm[Hg]", "kPa"),
        (RNG.normal(80, 10, 200), "2160-0", "mg/dL", "umol/L"),
        (RNG.normal(40, 5, 200), "4548-4", "%", "mmol/mol"),
        (RNG.normal(5.5, 1, 200), "2345-7", "mg/dL", "mmol/L"),
        (RNG.normal(1300, 100, 200), "8480-6", "mm[Hg]", "ten times too high"),
        (RNG.normal(10, 0.5, 200), "8480-6", "mm[Hg]", "ten times too low"),
        (RNG.normal(9000, 100, 200), "8480-6", "mm[Hg]", "check the unit"),
    ],
)
def test_a_wrong_unit_is_suspected_and_the_likely_one_named(
    values: Any, loinc: str, unit: str, looks_like: str, findings: Any, column: Any
) -> None:
    suspicions = findings((column("x", loinc=loinc, unit=unit), values))

    assert [finding.name for finding in suspicions] == ["unit-suspect:x"]
    assert looks_like in suspicions[0].hint


@pytest.mark.parametrize(
    ("values", "loinc", "unit"),
    [
        (CHOLESTEROL_MMOL, "14647-2", "mmol/L"),
        (CHOLESTEROL, "2093-3", "mg/dL"),
        (RNG.normal(62, 9, 200).clip(20, 89), "30525-0", "a"),
        (SYSTOLIC, "8480-6", "mm[Hg]"),
        (RNG.lognormal(0.4, 1.1, 2000), "30522-7", "mg/L"),
        (RNG.normal(82, 16, 2000).clip(40, 240), "29463-7", "kg"),
        (RNG.lognormal(5.5, 1.4, 2000), "33762-6", "pg/mL"),
    ],
)
def test_the_right_unit_gives_no_finding(values: Any, loinc: str, unit: str, found: Any, column: Any) -> None:
    assert found((column("x", loinc=loinc, unit=unit), values)) == []


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (RNG.normal(21000, 3000, 200), "age-in-days"),
        (RNG.normal(650, 90, 200), "age-in-months"),
        (RNG.integers(1935, 1975, 200), "birth-year-as-age"),
        (RNG.normal(2e6, 100, 200), "unit-suspect"),
    ],
)
def test_an_age_that_is_none_in_years_is_found_by_name_alone(values: Any, code: str, found: Any, column: Any) -> None:
    assert found((column("age", unit="a"), values))[0] == f"{code}:age"
    assert found((column("age", unit="a"), RNG.normal(60, 8, 200).clip(20, 89))) == []


def test_a_unit_that_does_not_belong_to_the_code_is_found(found: Any, column: Any) -> None:
    assert found((column("x", loinc="2093-3", unit="mmol/L"), CHOLESTEROL_MMOL)) == ["unit-code:x"]


@pytest.mark.parametrize(
    ("loinc", "unit", "values", "scale"),
    [
        ("2093-3", "mg/dL", CHOLESTEROL, 1 / 38.67),
        ("14647-2", "mmol/L", CHOLESTEROL_MMOL, 38.67),
        ("2345-7", "mg/dL", RNG.normal(100, 12, 400), 1 / 18.016),
        ("2160-0", "mg/dL", RNG.normal(0.95, 0.15, 400), 88.42),
    ],
)
def test_one_row_in_a_hundred_in_another_unit_is_found(
    loinc: str, unit: str, values: Any, scale: float, findings: Any, column: Any
) -> None:
    mixed = with_first(values, *(values[:4] * scale))

    suspicions = findings((column("x", loinc=loinc, unit=unit), mixed))

    assert [finding.name for finding in suspicions] == ["unit-mixed:x"]
    assert findings((column("x", loinc=loinc, unit=unit), values)) == []


def test_a_few_low_glucose_values_are_no_other_unit(found: Any, column: Any) -> None:
    glucose = np.r_[RNG.normal(100, 12, 2000), 19, 21, 18]

    assert found((column("x", loinc="2345-7", unit="mg/dL"), glucose)) == []


def test_rows_in_kilopascal_are_not_taken_for_misplaced_decimals(found: Any, column: Any) -> None:
    kilopascal = with_first(SYSTOLIC, *(SYSTOLIC[:20] * 0.133322).round(1))
    tenth = with_first(SYSTOLIC, *(SYSTOLIC[:20] / 10).round())
    pressure = column("x", loinc="8480-6", unit="mm[Hg]")

    assert found((pressure, kilopascal)) == ["pressure-unit-mixed:x"]
    assert found((pressure, tenth)) == ["pressure-tenth:x"]
    assert found((pressure, SYSTOLIC)) == []


@pytest.mark.parametrize("loinc", ["8480-6", "8462-4"])
@pytest.mark.parametrize(("factor", "code"), [(10, "pressure-times-ten"), (0.1, "pressure-tenth")])
def test_a_single_pressure_with_a_misplaced_decimal_is_found(
    loinc: str, factor: float, code: str, findings: Any, column: Any
) -> None:
    values = SYSTOLIC if loinc == "8480-6" else DIASTOLIC
    normal = 120 if loinc == "8480-6" else 80

    suspicions = findings((column("x", loinc=loinc, unit="mm[Hg]"), with_first(values, normal * factor)))

    assert [finding.name for finding in suspicions] == [f"{code}:x"]
    assert suspicions[0].message.startswith("fewer than 10 rows")


def test_a_misplaced_decimal_of_another_quantity_is_found(found: Any, column: Any) -> None:
    height = RNG.normal(170, 9, 300)

    assert found((column("x", loinc="8302-2", unit="cm"), with_first(height, 1720))) == ["decimal-shift:x"]
    assert found((column("x", loinc="8302-2", unit="cm"), with_first(height, 17.2))) == ["decimal-shift:x"]
    assert found((column("x", loinc="8302-2", unit="cm"), height)) == []


def test_some_heights_in_metres_are_found(found: Any, column: Any) -> None:
    height = RNG.normal(170, 9, 300)

    assert found((column("x", loinc="8302-2", unit="cm"), with_first(height, *height[:6] / 100))) == ["unit-mixed:x"]


def test_an_impossible_value_and_an_impossible_code_are_told_apart(found: Any, column: Any) -> None:
    pressure = column("x", loinc="8480-6", unit="mm[Hg]")

    assert found((pressure, with_first(SYSTOLIC, 14020))) == ["impossible-value:x"]
    assert found((pressure, with_first(SYSTOLIC, -150))) == ["impossible-value:x"]
    assert found((pressure, with_first(SYSTOLIC, 9999))) == ["missing-code-as-value:x"]
    assert found((pressure, with_first(SYSTOLIC, -9))) == ["missing-code-as-value:x"]


def test_zeros_that_stand_for_missing_are_found(found: Any, column: Any) -> None:
    cholesterol = column("x", loinc="2093-3", unit="mg/dL")

    assert found((cholesterol, np.r_[np.zeros(150), CHOLESTEROL])) == ["zero-as-missing:x"]
    assert found((cholesterol, np.r_[0, CHOLESTEROL])) == ["zero-as-missing:x"]
    assert found((cholesterol, np.zeros(20))) == ["zero-as-missing:x"]


def test_sodium_in_equivalents_is_the_same_number(found: Any, column: Any) -> None:
    sodium = RNG.normal(140, 3, 200)

    assert found((column("x", loinc="2951-2", unit="mmol/L"), sodium)) == []
    assert found((column("x", loinc="2951-2", unit="mmol/L"), with_first(sodium, 14.0))) == ["decimal-shift:x"]


def test_a_column_without_a_known_code_or_with_few_values_is_left_alone(found: Any, column: Any) -> None:
    assert found((column("x", unit="mg/dL"), CHOLESTEROL_MMOL)) == []
    assert found((column("x", loinc="2093-3", unit="mg/dL"), [5.0, 6.0, 4.0, 5.0])) == []
    assert found((column("x", loinc="2093-3", unit="mg/dL"), [None] * 30)) == []


def test_the_table_of_ranges_is_consistent() -> None:
    for entry in RANGES:
        check_ucum(entry.unit, where=entry.quantity)
        assert entry.value[0] <= entry.median[0] < entry.median[1] <= entry.value[1]
        for loinc in entry.loincs:  # the check digit is verified by the column
            Column(name="x", title="x", datatype="number", role="factor", unit=entry.unit, loinc=loinc)
