from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from heartify.protocol.column_naming import words_of

RNG = np.random.default_rng(5)
INTEGER = {"datatype": "integer"}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("surname", "identifier-name"),
        ("patientName", "identifier-name"),
        ("Nachname", "identifier-name"),
        ("apellido_1", "identifier-name"),
        ("cognome", "identifier-name"),
        ("e_mail", "identifier-contact"),
        ("phone_home", "identifier-contact"),
        ("Telefon", "identifier-contact"),
        ("ZIP", "identifier-address"),
        ("postcode", "identifier-address"),
        ("code_postal", "identifier-address"),
        ("Strasse", "identifier-address"),
        ("patient_id", "identifier-record-number"),
        ("MRN", "identifier-record-number"),
        ("medical_record", "identifier-record-number"),
        ("personnummer", "identifier-record-number"),
        ("social_security", "identifier-ssn"),
        ("dob", "identifier-birth-date"),
        ("date_of_birth", "identifier-birth-date"),
        ("BirthDate", "identifier-birth-date"),
        ("Geburtsdatum", "identifier-birth-date"),
        ("date_de_naissance", "identifier-birth-date"),
    ],
)
def test_a_name_that_announces_an_identifier_is_found(name: str, code: str, found: Any, column: Any) -> None:
    assert f"{code}:{name}" in found((column(name), [1.5, 1.5, 2.5]))


@pytest.mark.parametrize(
    "name",
    [
        "age",
        "sex",
        "trestbps",
        "oldpeak",
        "hidden",
        "candidate",
        "renamed",
        "valid",
        "idh1",
        "lat_im",
        "platelet",
        "cpr",
    ],
)
def test_a_harmless_name_is_not_found(name: str, found: Any, column: Any) -> None:
    assert found((column(name), [1.5, 1.5, 2.5])) == []


def test_full_dates_are_found_and_years_written_as_dates_are_not(found: Any, column: Any) -> None:
    visit = column("visit", datatype="date")

    assert found((visit, [dt.date(2020, 1, 1), dt.date(2020, 1, 2)])) == ["full-date:visit"]
    assert found((visit, [dt.date(1931, 6, 1), None])) == ["full-date:visit"]
    assert found((visit, [None, None])) == ["full-date:visit"]
    assert found((visit, [dt.date(2020, 1, 1), dt.date(1931, 1, 1), None])) == []


def test_dates_and_record_numbers_written_as_numbers_are_found(found: Any, column: Any) -> None:
    assert found((column("x", **INTEGER), [19500103, 19620228, 19991231] * 10)) == ["pattern-date:x"]
    assert found((column("x", **INTEGER), [4915112345678, 4915187654321] * 10)) == ["pattern-number:x"]


def test_numbers_that_look_like_postcodes_are_found(found: Any, column: Any) -> None:
    german, swiss = RNG.choice(RNG.integers(1067, 99998, 40), 300), RNG.choice(RNG.integers(2100, 9658, 40), 300)

    assert found((column("x", **INTEGER), np.maximum(german, 10_000))) == ["pattern-postcode:x"]
    assert found((column("x", **INTEGER), swiss)) == ["pattern-postcode:x"]
    assert found((column("x", **INTEGER), RNG.integers(1935, 1990, 300))) == []
    assert found((column("x", unit="/uL", **INTEGER), swiss)) == []
    assert found((column("x", **INTEGER), swiss // 100)) == []


def test_whole_numbers_that_are_all_different_are_found(found: Any, column: Any) -> None:
    assert found((column("x", **INTEGER), RNG.permutation(1000)[:30])) == ["id-like:x"]
    assert found((column("x", **INTEGER), [19, 17, 21, 20, 18])) == ["id-like:x"]
    assert found((column("x", **INTEGER), np.r_[RNG.permutation(90_000)[:2000], 5, 5])) == ["id-like:x"]
    assert found((column("x"), np.arange(40) + 0.5)) == []
    assert found((column("x", **INTEGER), [120, 130, 120, 140] * 10)) == []
    assert found((column("x", unit="d", **INTEGER), RNG.permutation(1000)[:30])) == []


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        ([60, 90, 60], "a", ["age-over-89:age"]),
        ([60, 89, 60], "a", []),
        ([89.9, 60.5], "a", []),
        ([33000, 20000, 20000], "d", ["age-over-89:age"]),
        ([1080, 700, 650], "mo", ["age-over-89:age"]),
        ([95, 95, 60], "kg", []),
    ],
)
def test_ages_over_89_are_found_in_each_unit_of_time(
    values: Any, unit: str, expected: list[str], found: Any, column: Any
) -> None:
    assert found((column("age", unit=unit), values)) == expected


def test_a_boolean_named_age_is_no_age(found: Any, column: Any) -> None:
    assert found((column("age", datatype="boolean"), [True, False])) == []


@pytest.mark.parametrize(
    ("codes", "name"),
    [
        (("ann@example.org", "b"), "pattern-email:x"),
        (("10.0.0.7", "b"), "pattern-ip:x"),
        (("SW1A 1AA", "b"), "pattern-postcode:x"),
        (("came in with pain since yesterday", "b"), "free-text:x"),
        (tuple(f"{first}a Nilson" for first in map(str.upper, "abcdefghijk")), "pattern-person:x"),
    ],
)
def test_a_level_that_looks_like_an_identifier_is_found(
    codes: tuple[str, ...], name: str, findings: Any, column: Any
) -> None:
    suspicions = findings((column("x", *codes), [0, 1, 1, 0]))

    assert [finding.name for finding in suspicions] == [name]
    assert codes[0] not in suspicions[0].message


def test_clinical_levels_are_not_found(found: Any, column: Any) -> None:
    labels = ("Typical Angina", "Atypical Angina", "Non-anginal pain", "Asymptomatic")

    assert found((column("x", *((str(code), label) for code, label in enumerate(labels))), [0, 1, 2, 3])) == []


def test_a_category_with_a_level_for_each_row_is_found(found: Any, column: Any) -> None:
    many = column("x", *(f"c{number}" for number in range(60)))

    assert found((many, list(range(60)))) == ["id-like:x"]
    assert found((many, [0, 1, 2] * 100)) == []


def test_columns_of_role_id_are_exempt_because_they_are_not_written(found: Any, column: Any) -> None:
    patient = column("patient_id", datatype="category", role="id")

    assert found((patient, ["ann@example.org"]), (column("x"), [1.5])) == []


def test_words_of_a_name_are_found_in_every_spelling() -> None:
    split = [words_of(name) for name in ("date_of_birth", "dateOfBirth", "DateOfBirth", "DATE.OF.BIRTH", "HR2max")]

    assert split == [("date", "of", "birth")] * 4 + [("hr", "2", "max")]
