"""Known faults of public cohorts are found, and ordinary cohorts do not drown their steward."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from heartify.cohort.lint.publication import lint_cohort
from heartify.cohort.sources.csv_source import load_csv
from heartify.protocol.dictionary import DataDictionary

FAULTS_OF_CARDIO = {
    "pressure-times-ten:ap_hi",
    "pressure-tenth:ap_hi",
    "impossible-value:ap_hi",
    "pressure-swapped:ap_hi",
    "zero-as-missing:ap_lo",
    "pressure-times-ten:ap_lo",
    "pressure-tenth:ap_lo",
    "impossible-value:ap_lo",
    "height-weight-swapped:height",
    "duplicate-rows:cohort",
    "unique-combination:age+gender",
}


@pytest.fixture
def cardio(shared_data: Path, cohort: Any, column: Any) -> Any:
    """Build the cardio_train cohort with the given labels of gender 1 and 2 and the given unit of age."""
    with (shared_data / "cardio_train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    cells = {name: [row[name] for row in rows] for name in rows[0]}
    numbers = {name: np.array(values, dtype=np.float64) for name, values in cells.items()}
    measured = {
        "height": {"unit": "cm", "loinc": "8302-2"},
        "weight": {"unit": "kg", "loinc": "29463-7"},
        "ap_hi": {"unit": "mm[Hg]", "loinc": "8480-6"},
        "ap_lo": {"unit": "mm[Hg]", "loinc": "8462-4"},
    }

    def build(first_label: str, second_label: str, *, age_unit: str = "d") -> Any:
        return cohort(
            (column("id", datatype="category", role="id"), cells["id"]),
            (column("age", unit=age_unit), numbers["age"]),
            (column("gender", ("1", first_label), ("2", second_label)), numbers["gender"].astype(int) - 1),
            *((column(name, **fields), numbers[name]) for name, fields in measured.items()),
            *((column(name, "1", "2", "3"), numbers[name].astype(int) - 1) for name in ("cholesterol", "gluc")),
            *((column(name, datatype="boolean"), numbers[name] == 1) for name in ("smoke", "alco", "active")),
            (column("cardio", datatype="boolean", role="outcome"), numbers["cardio"] == 1),
        )

    return build


def test_the_known_faults_of_cardio_train_are_found(cardio: Any) -> None:
    assert {finding.name for finding in lint_cohort(*cardio("women", "men"))} == FAULTS_OF_CARDIO


def test_its_gender_is_coded_1_for_women(cardio: Any) -> None:
    found = {finding.name for finding in lint_cohort(*cardio("men", "women"))}

    assert found == FAULTS_OF_CARDIO | {"sex-coding-flipped:gender"}


def test_its_ages_are_days(cardio: Any) -> None:
    assert "age-in-days:age" in {finding.name for finding in lint_cohort(*cardio("women", "men", age_unit="a"))}


def test_framingham_has_one_finding(shared_data: Path, cohort: Any, column: Any) -> None:
    with (shared_data / "framingham_4240.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    cells = {
        name: np.array([float(row[name]) if row[name] not in {"", "NA"} else np.nan for row in rows])
        for name in rows[0]
    }
    measured = {
        "age": {"unit": "a"},
        "cigsPerDay": {"unit": "/d"},
        "totChol": {"unit": "mg/dL", "loinc": "2093-3"},
        "sysBP": {"unit": "mm[Hg]", "loinc": "8480-6"},
        "diaBP": {"unit": "mm[Hg]", "loinc": "8462-4"},
        "BMI": {"unit": "kg/m2", "loinc": "39156-5"},
        "heartRate": {"unit": "/min", "loinc": "8867-4"},
        "glucose": {"unit": "mg/dL", "loinc": "2345-7"},
    }
    flags = set(cells) - set(measured) - {"education"}
    education = [None if np.isnan(value) else int(value) - 1 for value in cells["education"]]
    planted = cohort(
        *((column(name, **fields), cells[name]) for name, fields in measured.items()),
        (column("education", "1", "2", "3", "4"), education),
        *((column(name, datatype="boolean"), [_flag(cell) for cell in cells[name]]) for name in sorted(flags)),
    )

    assert [finding.name for finding in lint_cohort(*planted)] == ["unique-combination:age+education+male"]


def _flag(cell: float) -> bool | None:
    return None if np.isnan(cell) else bool(cell)


@pytest.mark.parametrize("hospital", ["cleveland", "hungarian", "switzerland", "va"])
def test_a_uci_hospital_has_no_finding(hospital: str, shared_data: Path, uci_dictionary: DataDictionary) -> None:
    table = load_csv(shared_data / f"uci_heart_{hospital}.csv", uci_dictionary)

    assert lint_cohort(table, uci_dictionary) == ()


def test_swiss_cholesterol_of_zero_is_found_unless_it_is_declared_missing(
    shared_data: Path, uci_dictionary: DataDictionary
) -> None:
    columns = tuple(msgspec.structs.replace(column, missing_codes=("",)) for column in uci_dictionary.columns)
    naive = msgspec.structs.replace(uci_dictionary, columns=columns)

    found = {finding.name for finding in lint_cohort(load_csv(shared_data / "uci_heart_switzerland.csv", naive), naive)}

    assert found == {"zero-as-missing:chol", "constant:chol"}
