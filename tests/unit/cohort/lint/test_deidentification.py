from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.lint.deidentification import lint_identifiers
from heartify.cohort.lint.publication import check_publishable
from heartify.errors import InputError
from heartify.protocol.canonical import digest_of
from heartify.protocol.column_naming import words_of
from heartify.protocol.dictionary import Column, DataDictionary, Level

RNG = np.random.default_rng(5)
SALT = b"s" * 32


def dictionary(**fields: Any) -> DataDictionary:
    column = Column(**({"name": "x", "title": "x", "datatype": "integer", "role": "factor"} | fields))
    return DataDictionary(title="t", description="", columns=(column,))


def findings(values: Any, **fields: Any) -> list[str]:
    declared = dictionary(**fields)
    column = declared.columns[0]
    if column.datatype == "category" and column.role != "id":
        indices = pa.array(values, pa.int32())
        values = pa.DictionaryArray.from_arrays(indices, pa.array(column.level_codes))
    return [finding.name for finding in lint_identifiers(pa.table({column.name: values}), declared)]


def coded(*codes: str) -> tuple[Level, ...]:
    return tuple(Level(code=code, label=f"label of {code}") for code in codes)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("surname", "identifier-name"),
        ("patientName", "identifier-name"),
        ("e_mail", "identifier-contact"),
        ("phone_home", "identifier-contact"),
        ("ZIP", "identifier-address"),
        ("postcode", "identifier-address"),
        ("patient_id", "identifier-record-number"),
        ("MRN", "identifier-record-number"),
        ("dob", "identifier-birth-date"),
        ("date_of_birth", "identifier-birth-date"),
        ("BirthDate", "identifier-birth-date"),
    ],
)
def test_a_name_that_announces_an_identifier_is_found(name: str, code: str) -> None:
    assert findings([1, 1, 1], name=name) == [f"{code}:{name}"]


@pytest.mark.parametrize(
    "name", ["age", "sex", "trestbps", "oldpeak", "hidden", "candidate", "renamed", "valid", "idh1"]
)
def test_a_harmless_name_is_not_found(name: str) -> None:
    assert findings([1, 1, 2], name=name) == []


def test_full_dates_are_found() -> None:
    assert findings(pa.array([0, 1], pa.date32()), datatype="date") == ["full-date:x"]


def test_dates_and_record_numbers_written_as_numbers_are_found() -> None:
    assert findings([19500103, 19620228, 19991231] * 10) == ["pattern-date:x"]
    assert findings([4915112345678, 4915187654321] * 10) == ["pattern-number:x"]


def test_whole_numbers_that_are_all_different_are_found() -> None:
    assert findings(RNG.permutation(1000)[:30]) == ["id-like:x"]
    assert findings([17, 18, 19, 20, 21]) == ["id-like:x"]
    assert findings(np.arange(40) + 0.5, datatype="number") == []
    assert findings([120, 130, 120, 140] * 10) == []


def test_ages_over_89_are_found_in_each_unit_of_time() -> None:
    assert findings([60, 90, 60], name="age", unit="a") == ["age-over-89:age"]
    assert findings([60, 89, 60], name="age", unit="a") == []
    assert findings([89.9, 60.5], name="age", unit="a", datatype="number") == []
    assert findings([33000, 20000, 20000], name="age", unit="d") == ["age-over-89:age"]
    assert findings([95, 95, 60], name="weight", unit="kg") == []
    assert findings([95, 95, 60], name="age", unit="kg") == []
    assert findings(pa.array([True, False]), name="age", datatype="boolean") == []


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        (("ann@example.org", "b"), "pattern-email:x"),
        (("+49 151 1234567", "b"), "pattern-phone:x"),
        (("SW1A 1AA", "b"), "pattern-postcode:x"),
        (("10115", "10117"), "pattern-postcode:x"),
        (("1950-01-03", "b"), "pattern-date:x"),
        (("03.01.1950", "b"), "pattern-date:x"),
        (("came in with pain since yesterday", "b"), "free-text:x"),
        (tuple(f"{first}a Nilson" for first in map(str.upper, "abcdefghijk")), "pattern-person:x"),
    ],
)  # fmt: skip
def test_a_level_that_looks_like_an_identifier_is_found(codes: tuple[str, ...], found: str) -> None:
    assert findings([0, 1, 1, 0], datatype="category", levels=coded(*codes)) == [found]


def test_clinical_levels_are_not_found() -> None:
    labels = ("Typical Angina", "Atypical Angina", "Non-anginal pain", "Asymptomatic")
    levels = tuple(Level(code=str(code), label=label) for code, label in enumerate(labels))

    assert findings([0, 1, 2, 3], datatype="category", levels=levels) == []


def test_a_category_with_a_level_for_each_row_is_found() -> None:
    levels = coded(*(f"c{number}" for number in range(60)))

    assert findings(list(range(60)), datatype="category", levels=levels) == ["id-like:x"]
    assert findings([0, 1, 2] * 100, datatype="category", levels=levels) == []


def test_columns_of_role_id_are_exempt_because_they_are_not_written() -> None:
    columns = (
        Column(name="patient_id", title="x", datatype="category", role="id"),
        Column(name="x", title="x", datatype="number", role="factor"),
    )
    table = pa.table({"patient_id": ["ann@example.org"], "x": [1.5]})

    assert lint_identifiers(table, DataDictionary(title="t", description="", columns=columns)) == ()


def test_words_of_a_name_are_found_in_every_spelling() -> None:
    split = [words_of(name) for name in ("date_of_birth", "dateOfBirth", "DateOfBirth", "DATE.OF.BIRTH", "HR2max")]

    assert split == [("date", "of", "birth")] * 4 + [("hr", "2", "max")]


def test_each_finding_must_be_accepted_by_name_with_a_reason() -> None:
    declared = dictionary(name="age", unit="a")
    table = pa.table({"age": pa.array([60, 95, 60], pa.int64())})
    reason = "ethics board approved ages up to 99"

    report = check_publishable(table, declared, {"age-over-89:age": reason}, salt=SALT)

    assert [(entry.name, entry.reason) for entry in report.accepted] == [("age-over-89:age", reason)]
    assert report.digest() == digest_of(report)
    assert report.digest() != check_publishable(table, declared, {"age-over-89:age": reason}, salt=b"t" * 32).digest()
    with pytest.raises(InputError, match="age-over-89:age: there are ages over 89"):
        check_publishable(table, declared, {}, salt=SALT)
    with pytest.raises(InputError, match="reason for accepting 'age-over-89:age' is missing"):
        check_publishable(table, declared, {"age-over-89:age": "   ok    "}, salt=SALT)
    with pytest.raises(InputError, match="were not found: full-date:age"):
        check_publishable(table, declared, {"age-over-89:age": reason, "full-date:age": reason}, salt=SALT)


def test_a_finding_holds_no_value_of_a_patient() -> None:
    declared = dictionary(name="age", unit="a")

    with pytest.raises(InputError) as caught:
        check_publishable(pa.table({"age": pa.array([60, 97, 60], pa.int64())}), declared, {}, salt=SALT)

    assert "97" not in caught.value.message
