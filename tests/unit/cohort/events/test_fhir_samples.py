"""Real rows through FHIR: Framingham's values come back as they were, and Synthea's bulk export is read as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from heartify.protocol.dictionary import Column

from .framingham_as_fhir import write_framingham

NAMES = "patient age male smoking systolic cholesterol bmi glucose diabetes event days"
INDEX = 'rule = "first_measurement"\ncodes = ["LOINC:8480-6"]\nminimum_age = 30'


def measured(code: str) -> str:
    window = "window_days = [-365, 4000]\nafter_index = true"
    return f'kind = "measurement"\ncodes = ["LOINC:{code}"]\n{window}\npick = "last"'


RULES = {
    "systolic": measured("8480-6"),
    "cholesterol": measured("2093-3"),
    "bmi": measured("39156-5"),
    "glucose": measured("2345-7"),
    "smoking": 'kind = "coded"\ncodes = ["LOINC:72166-2"]\nwindow_days = [0, 0]\n'
    'answers = [{ level = "0", codes = ["SNOMED:266919005"] }, { level = "2", codes = ["SNOMED:449868002"] }]',
    "event": 'kind = "outcome"\ncodes = ["SNOMED:53741008"]\nhorizon_days = 3652',
}


def number(name: str, unit: str, decimals: int) -> Column:
    return Column(name=name, title=name, datatype="number", role="factor", unit=unit, decimals=decimals)


def test_framingham_comes_back_from_fhir_as_it_was(
    shared_data: Path, tmp_path: Path, derive: Callable[..., Any], columns: dict[str, Column]
) -> None:
    rows = write_framingham(shared_data / "framingham_4240.csv", tmp_path / "framingham", rows=600)
    more = {
        "cholesterol": replace(columns["cholesterol"], unit="mg/dL", minimum=50, maximum=900, decimals=0),
        "bmi": number("bmi", "kg/m2", 2),
        "glucose": number("glucose", "mg/dL", 0),
    }

    derived = derive(tmp_path / "framingham", NAMES, kind="fhir", index=INDEX, columns=more, **RULES)

    assert len(derived.rows) == 600
    for position, (found, row) in enumerate(zip(derived.rows, rows, strict=True)):
        known = {name: None if row[name] in {"", "NA"} else float(row[name]) for name in ("totChol", "BMI", "glucose")}
        assert found == {
            "patient": f"fram-{position:05}",
            "age": int(row["age"]),
            "male": row["male"] == "1",
            "smoking": "2" if row["currentSmoker"] == "1" else "0",
            "systolic": float(row["sysBP"]),
            "cholesterol": known["totChol"],
            "bmi": known["BMI"],
            "glucose": known["glucose"],
            "diabetes": row["diabetes"] == "1",
            "event": row["TenYearCHD"] == "1",
            "days": 1 + position % 3650 if row["TenYearCHD"] == "1" else 3652,
        }
    events = sum(row["TenYearCHD"] == "1" for row in rows)
    assert events > 50
    counts = derived.report.columns["cholesterol"].counts
    assert counts["outside-limits"] == events  # the measurements planted after the outcome
    assert counts["converted"] > 250


def test_measurements_planted_after_the_outcome_are_held_back_when_they_are_plausible(
    shared_data: Path, tmp_path: Path, derive: Callable[..., Any], columns: dict[str, Column]
) -> None:
    rows = write_framingham(shared_data / "framingham_4240.csv", tmp_path / "framingham", rows=200)
    wide = {"cholesterol": replace(columns["cholesterol"], unit="mg/dL", minimum=50, maximum=1000, decimals=0)}

    derived = derive(
        tmp_path / "framingham", "patient cholesterol event", kind="fhir", index=INDEX, columns=wide, **RULES
    )

    values = [row["cholesterol"] for row in derived.rows]
    assert values == [None if row["totChol"] in {"", "NA"} else float(row["totChol"]) for row in rows]
    held_back = derived.report.columns["cholesterol"].counts["held-back"]
    assert held_back == sum(row["TenYearCHD"] == "1" for row in rows) > 10


@pytest.fixture
def synthea(shared_data: Path) -> Path:
    folder = shared_data / "fhir_synthea_10"
    if not folder.is_dir():
        pytest.skip("the FHIR sample is absent: ../shared/data/fhir_synthea_10")
    return folder


def resources(folder: Path, pattern: str) -> list[dict[str, Any]]:
    lines = [line for path in sorted(folder.glob(pattern)) for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.strip()]


def test_the_synthea_export_gives_the_conditions_that_plain_python_finds(
    synthea: Path, derive: Callable[..., Any]
) -> None:
    patients = {resource["id"]: resource for resource in resources(synthea, "Patient.*")}
    visits: dict[str, list[str]] = {}
    for encounter in resources(synthea, "Encounter.*"):
        key = encounter["subject"]["reference"].removeprefix("Patient/")
        visits.setdefault(key, []).append(encounter["period"]["start"][:10])
    anemic = {
        (condition["subject"]["reference"].removeprefix("Patient/"), condition["onsetDateTime"][:10])
        for condition in resources(synthea, "Condition.*")
        if condition["code"]["coding"][0]["code"] == "271737000"
    }

    derived = derive(
        synthea,
        "patient male diabetes",
        kind="fhir",
        index='rule = "first_visit"\nminimum_age = 40',
        diabetes='kind = "condition"\ncodes = ["SNOMED:271737000"]',
    )

    wanted = {}
    for key, dates in visits.items():
        if key in patients:
            born = patients[key]["birthDate"]
            fortieth = f"{int(born[:4]) + 40}{born[4:]}"
            first = min((date for date in dates if date >= fortieth), default=None)
            if first is not None:
                wanted[key] = {
                    "patient": key,
                    "male": patients[key]["gender"] == "male",
                    "diabetes": any(who == key and date <= first for who, date in anemic),
                }
    assert derived.by_patient() == wanted
    assert len(wanted) >= 5
    assert derived.report.patients == len(patients)
