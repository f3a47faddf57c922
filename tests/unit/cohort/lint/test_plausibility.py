from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.lint.plausibility import RANGES, check_plausible, lint_units
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, check_ucum

RNG = np.random.default_rng(3)


def cohort(values: Any, **fields: Any) -> tuple[pa.Table, DataDictionary]:
    column = Column(**({"name": "x", "title": "x", "datatype": "number", "role": "factor"} | fields))
    dictionary = DataDictionary(title="t", description="", columns=(column,))
    return pa.table({"x": pa.array(values, pa.float64())}), dictionary


def names(table: pa.Table, dictionary: DataDictionary) -> list[str]:
    return [finding.name.replace(f":{finding.column}", "") for finding in lint_units(table, dictionary)]


CHOLESTEROL_MMOL = RNG.normal(5.4, 1.0, 200).clip(2.5, 9)


@pytest.mark.parametrize(
    ("values", "loinc", "unit", "looks_like"),
    [
        (CHOLESTEROL_MMOL, "2093-3", "mg/dL", "mmol/L"),
        (CHOLESTEROL_MMOL * 38.67, "14647-2", "mmol/L", "mg/dL"),
        (RNG.normal(1.7, 0.1, 200), "8302-2", "cm", "m"),
        (RNG.normal(170, 10, 200), "8302-2", "m", "cm"),
        (RNG.normal(18, 2, 200), "8480-6", "mm[Hg]", "kPa"),
        (RNG.normal(21000, 3000, 200), "30525-0", "a", "d"),
        (RNG.normal(80, 10, 200), "2160-0", "mg/dL", "umol/L"),
        (RNG.normal(40, 5, 200), "4548-4", "%", "mmol/mol"),
        (RNG.normal(5.5, 1, 200), "2345-7", "mg/dL", "mmol/L"),
        (RNG.normal(1300, 100, 200), "8480-6", "mm[Hg]", "check the unit"),
    ],
)
def test_a_wrong_unit_is_suspected_and_the_likely_one_named(
    values: Any, loinc: str, unit: str, looks_like: str
) -> None:
    table, dictionary = cohort(values, loinc=loinc, unit=unit)

    findings = lint_units(table, dictionary)

    assert [finding.name for finding in findings] == ["unit-suspect:x"]
    assert looks_like in findings[0].hint


def test_the_right_unit_gives_no_finding() -> None:
    for values, loinc, unit in (
        (CHOLESTEROL_MMOL, "14647-2", "mmol/L"),
        (CHOLESTEROL_MMOL * 38.67, "2093-3", "mg/dL"),
        (RNG.normal(62, 9, 200), "30525-0", "a"),
        (RNG.normal(135, 18, 200), "8480-6", "mm[Hg]"),
    ):
        assert names(*cohort(values, loinc=loinc, unit=unit)) == []


def test_age_is_known_by_its_name_without_a_code() -> None:
    table = pa.table({"age": RNG.normal(21000, 3000, 50)})
    column = Column(name="age", title="Age", datatype="number", role="factor", unit="a")

    findings = lint_units(table, DataDictionary(title="t", description="", columns=(column,)))

    assert [finding.name for finding in findings] == ["unit-suspect:age"]


def test_a_unit_that_does_not_belong_to_the_code_is_found() -> None:
    assert names(*cohort(CHOLESTEROL_MMOL, loinc="2093-3", unit="mmol/L")) == ["unit-code"]


def test_rows_in_another_unit_are_found() -> None:
    mixed = np.concatenate([CHOLESTEROL_MMOL[:20], CHOLESTEROL_MMOL * 38.67])

    assert names(*cohort(mixed, loinc="2093-3", unit="mg/dL")) == ["unit-mixed"]


def test_zeros_that_stand_for_missing_are_found() -> None:
    half = np.concatenate([np.zeros(150), CHOLESTEROL_MMOL * 38.67])

    assert names(*cohort(half, loinc="2093-3", unit="mg/dL")) == ["zero-as-missing"]
    assert names(*cohort(np.zeros(20), loinc="2093-3", unit="mg/dL")) == ["zero-as-missing"]


def test_swapped_pressures_are_found() -> None:
    systolic, diastolic = RNG.normal(135, 10, 100), RNG.normal(80, 8, 100)
    columns = tuple(
        Column(name=name, title=name, datatype="number", role="factor", unit="mm[Hg]", loinc=loinc)
        for name, loinc in (("sbp", "8480-6"), ("dbp", "8462-4"))
    )
    dictionary = DataDictionary(title="t", description="", columns=columns)
    some_swapped = pa.table({"sbp": np.r_[systolic[:90], diastolic[90:]], "dbp": np.r_[diastolic[:90], systolic[90:]]})

    assert lint_units(pa.table({"sbp": systolic, "dbp": diastolic}), dictionary) == ()
    assert [finding.name for finding in lint_units(some_swapped, dictionary)] == ["pressure-swapped:sbp"]


def test_a_column_without_a_known_code_or_with_few_values_is_left_alone() -> None:
    assert names(*cohort(CHOLESTEROL_MMOL, unit="mg/dL")) == []
    assert names(*cohort([5.0, 6.0, 4.0, 5.0], loinc="2093-3", unit="mg/dL")) == []
    assert names(*cohort([None] * 30, loinc="2093-3", unit="mg/dL")) == []


def test_a_finding_is_an_input_error_unless_accepted_by_its_name() -> None:
    table, dictionary = cohort(CHOLESTEROL_MMOL, loinc="2093-3", unit="mg/dL")

    check_plausible(table, dictionary, accept_findings=("unit-suspect:x",))
    with pytest.raises(InputError, match=r"unit-suspect:x.*not plausible for total cholesterol in mg/dL") as caught:
        check_plausible(table, dictionary)
    with pytest.raises(InputError, match="accepted findings that were not found: unit-suspect:y"):
        check_plausible(table, dictionary, accept_findings=("unit-suspect:x", "unit-suspect:y"))

    assert f"{np.median(CHOLESTEROL_MMOL):.1f}" not in caught.value.message


def test_the_table_of_ranges_is_consistent() -> None:
    for entry in RANGES:
        check_ucum(entry.unit, where=entry.quantity)
        assert entry.value[0] <= entry.median[0] < entry.median[1] <= entry.value[1]
        for loinc in entry.loincs:  # the check digit is verified by the column
            Column(name="x", title="x", datatype="number", role="factor", unit=entry.unit, loinc=loinc)
