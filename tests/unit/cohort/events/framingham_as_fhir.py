"""Makes FHIR R4 resources of the rows of a Framingham CSV file: a generator, so that no third-party data are committed.

Each patient is examined on one day, with a blood pressure panel, the other measurements on their own, and prevalent
conditions; ten years later stands the end of follow-up, and coronary disease inside them for those who had it.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMINED = dt.date(2005, 3, 1)
Resource = dict[str, Any]

_MEASURED = (
    ("totChol", "2093-3", "mg/dL"),
    ("BMI", "39156-5", "kg/m2"),
    ("heartRate", "8867-4", "/min"),
    ("glucose", "2345-7", "mg/dL"),
)
_SMOKES = {"1": "449868002", "0": "266919005"}


def write_framingham(csv_file: Path, folder: Path, *, rows: int) -> list[dict[str, str]]:
    """Write the first rows as bulk files, with odd patients' cholesterol in mmol/L; return the rows."""
    folder.mkdir()
    with csv_file.open(newline="") as file:
        chosen = [row for row, _ in zip(csv.DictReader(file), range(rows), strict=False)]
    files: dict[str, list[str]] = {}
    for number, row in enumerate(chosen):
        for resource in resources_of(number, row):
            files.setdefault(resource["resourceType"], []).append(json.dumps(resource))
    for kind, lines in files.items():
        half = len(lines) // 2
        (folder / f"{kind}.000.ndjson").write_text("\n".join(lines[:half]) + "\n")
        (folder / f"{kind}.001.ndjson").write_text("\n".join(lines[half:]) + "\n")
    return chosen


def resources_of(number: int, row: dict[str, str]) -> Iterator[Resource]:
    """Yield one patient's resources."""
    key = f"fram-{number:05}"
    born = EXAMINED.replace(year=EXAMINED.year - int(row["age"])) - dt.timedelta(days=number % 300)
    gender = "male" if row["male"] == "1" else "female"
    yield {"resourceType": "Patient", "id": key, "gender": gender, "birthDate": born.isoformat()}
    yield _visit(key, "first", EXAMINED)
    yield _visit(key, "last", EXAMINED + dt.timedelta(days=3652))
    pressures = [_component("8480-6", row["sysBP"]), _component("8462-4", row["diaBP"])]
    yield _observation(key, "bp", "85354-9", {"component": pressures})
    yield _observation(key, "smoking", "72166-2", {"valueCodeableConcept": _snomed(_SMOKES[row["currentSmoker"]])})
    for name, code, unit in _MEASURED:
        if row[name] not in {"", "NA"}:
            value = float(row[name])
            is_molar = name == "totChol" and number % 2 == 1
            quantity = _quantity(value * 0.02586, "mmol/L") if is_molar else _quantity(value, unit)
            yield _observation(key, name.lower(), code, {"valueQuantity": quantity})
    if row["diabetes"] == "1":
        yield _condition(key, "diabetes", "44054006", EXAMINED - dt.timedelta(days=400))
    if row["TenYearCHD"] == "1":
        onset = EXAMINED + dt.timedelta(days=1 + number % 3650)
        yield _condition(key, "chd", "53741008", onset)
        late = _quantity(999.0, "mg/dL")
        after = {"effectiveDateTime": (onset + dt.timedelta(days=1)).isoformat()}
        yield _observation(key, "late", "2093-3", {"valueQuantity": late}) | after


def _observation(key: str, name: str, code: str, value: Resource) -> Resource:
    return {
        "resourceType": "Observation",
        "id": f"{key}-{name}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{key}"},
        "effectiveDateTime": f"{EXAMINED}T09:30:00-05:00",
        **value,
    }


def _component(code: str, value: str) -> Resource:
    quantity = _quantity(float(value), "mm[Hg]")
    return {"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "valueQuantity": quantity}


def _quantity(value: float, unit: str) -> Resource:
    return {"value": value, "system": "http://unitsofmeasure.org", "code": unit}


def _condition(key: str, name: str, code: str, onset: dt.date) -> Resource:
    return {
        "resourceType": "Condition",
        "id": f"{key}-{name}",
        "code": _snomed(code),
        "subject": {"reference": f"urn:uuid:{key}"},
        "onsetDateTime": onset.isoformat(),
    }


def _visit(key: str, name: str, day: dt.date) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": f"{key}-{name}",
        "status": "finished",
        "subject": {"reference": f"Patient/{key}"},
        "period": {"start": day.isoformat(), "end": day.isoformat()},
    }


def _snomed(code: str) -> Resource:
    return {"coding": [{"system": "http://snomed.info/sct", "code": code}]}
