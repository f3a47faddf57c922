"""FHIR R4 bulk files: panels, dates, statuses, references, duplicates, compression, and lines that are refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heartify.errors import InputError

CANARY = "Zaphod-4711"


def component(code: str, value: float, unit: str = "mm[Hg]") -> dict[str, Any]:
    quantity = {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": unit}
    return {"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "valueQuantity": quantity}


def test_a_blood_pressure_panel_gives_its_components_and_so_does_a_stand_alone_one(
    fhir: Any, derive: Callable[..., Any]
) -> None:
    fhir.patient("a").watched("a").patient("b").watched("b")
    panel = {"component": [component("8462-4", 80), component("8480-6", 125)]}
    fhir.observation("a", "2015-01-01", "85354-9", panel)
    fhir.systolic("b", "2015-01-01", 135)

    derived = derive(fhir.write(), "patient systolic", kind="fhir")

    assert [row["systolic"] for row in derived.rows] == [125.0, 135.0]


@pytest.mark.parametrize(
    ("dates", "is_used"),
    [
        ({"effectiveDateTime": "2015-06-01T23:59:00+00:00"}, True),
        ({"effectiveInstant": "2015-06-01T10:00:00Z"}, True),
        ({"effectivePeriod": {"start": "2015-05-31", "end": "2015-06-01"}}, True),
        ({"effectivePeriod": {"start": "2015-05-31", "end": "2015-06-02"}}, False),
        ({"effectivePeriod": {"start": "2015-05-31"}}, False),
        ({"effectivePeriod": {"end": "2015-05-31"}}, True),
        ({"issued": "2015-06-01T10:00:00Z"}, True),
        ({"effectiveDateTime": "2014-01-01", "issued": "2015-06-01T10:00:00Z"}, False),
        ({"effectiveDateTime": "2015-05"}, True),
        ({"effectiveDateTime": "2015-06"}, False),
        ({"effectiveDateTime": "2015"}, False),
        ({}, False),
    ],
)
def test_the_date_of_an_observation_is_when_its_value_was_known(
    fhir: Any, derive: Callable[..., Any], dates: dict[str, Any], is_used: bool
) -> None:
    fhir.patient("a").watched("a").systolic("a", "2015-01-01", 130)
    del fhir.resources[-1]["effectiveDateTime"]
    fhir.resources[-1].update(dates)

    derived = derive(fhir.write(), "patient systolic", kind="fhir")

    assert derived.rows == [{"patient": "a", "systolic": 130.0 if is_used else None}]


@pytest.mark.parametrize(
    ("status", "is_used"),
    [("final", True), ("amended", True), ("entered-in-error", False), ("cancelled", False)],
)
def test_an_observation_entered_in_error_or_cancelled_is_ignored_and_counted(
    fhir: Any, derive: Callable[..., Any], status: str, is_used: bool
) -> None:
    fhir.patient("a").watched("a").systolic("a", "2015-01-01", 130, status=status)

    derived = derive(fhir.write(), "patient systolic", kind="fhir")

    assert derived.rows == [{"patient": "a", "systolic": 130.0 if is_used else None}]
    assert derived.report.ignored.get("entered-in-error-or-cancelled", 0) == (0 if is_used else 1)


@pytest.mark.parametrize(
    ("status", "is_used"), [("confirmed", True), ("provisional", True), ("refuted", False), ("entered-in-error", False)]
)
def test_a_condition_that_was_refuted_is_ignored(
    fhir: Any, derive: Callable[..., Any], status: str, is_used: bool
) -> None:
    fhir.patient("a").watched("a")
    fhir.condition("a", "2014-01-01", "44054006", verificationStatus={"coding": [{"code": status}]})

    derived = derive(fhir.write(), "patient diabetes", kind="fhir")

    assert derived.rows == [{"patient": "a", "diabetes": is_used}]


@pytest.mark.parametrize(
    ("reference", "is_about_a"),
    [
        ("Patient/a", True),
        ("urn:uuid:a", True),
        ("https://fhir.hospital.example/r4/Patient/a", True),
        ("Patient/a/_history/2", True),
        ("Group/a", False),
        ("Patient/../a", False),
        ("", False),
    ],
)
def test_a_reference_names_the_patient_in_each_usual_form(
    fhir: Any, derive: Callable[..., Any], reference: str, is_about_a: bool
) -> None:
    fhir.patient("a").watched("a").systolic("a", "2015-01-01", 130, subject={"reference": reference})

    derived = derive(fhir.write(), "patient systolic", kind="fhir")

    assert derived.rows == [{"patient": "a", "systolic": 130.0 if is_about_a else None}]
    assert derived.report.ignored.get("not-about-a-patient", 0) == (0 if is_about_a else 1)


def test_observations_of_a_patient_who_is_not_there_are_counted(fhir: Any, derive: Callable[..., Any]) -> None:
    fhir.patient("a").watched("a").systolic("b", "2015-01-01", 130)

    derived = derive(fhir.write(), "patient systolic", kind="fhir")

    assert derived.rows == [{"patient": "a", "systolic": None}]
    assert derived.report.ignored["of-unknown-patients"] == 1


def test_several_files_of_a_type_plain_and_gzip_are_one_source(fhir: Any, derive: Callable[..., Any]) -> None:
    folder = fhir.patient("a").watched("a").systolic("a", "2015-01-01", 130).write()
    more = {**fhir.resources[0], "id": "b"}
    (folder / "Patient.001.ndjson.gz").write_bytes(gzip.compress(json.dumps(more).encode()))
    (folder / "Patient-2.ndjson").write_bytes(b"\xef\xbb\xbf" + json.dumps({**more, "id": "c"}).encode() + b"\r\n\r\n")
    (folder / "PatientNotes.ndjson").write_text("no FHIR")

    derived = derive(folder, "patient age", kind="fhir", source="observed_until = 2020-01-01")

    assert list(derived.by_patient()) == ["a"]
    assert derived.report.patients == 3


def test_a_resource_that_stands_in_two_files_counts_once(fhir: Any, derive: Callable[..., Any]) -> None:
    fhir.patient("a").watched("a").systolic("a", "2015-01-01", 130).systolic("a", "2015-02-01", 100)
    folder = fhir.write()
    for name in ("Patient", "Observation", "Encounter"):
        (folder / f"{name}.copy.ndjson").write_bytes((folder / f"{name}.000.ndjson").read_bytes())
    rule = 'kind = "measurement"\ncodes = ["LOINC:8480-6"]\nwindow_days = [-365, 0]\npick = "mean"'

    derived = derive(folder, "patient systolic", kind="fhir", systolic=rule)

    assert derived.rows == [{"patient": "a", "systolic": 115.0}]
    assert derived.report.columns["systolic"].counts["events"] == 2


@pytest.mark.parametrize("kind", ["Patient", "Observation", "Condition"])
def test_a_resource_that_stands_twice_with_different_contents_is_refused(
    fhir: Any, derive: Callable[..., Any], kind: str
) -> None:
    fhir.patient("a").watched("a").systolic("a", "2015-01-01", 130).condition("a", "2014-01-01")
    original = next(resource for resource in fhir.resources if resource["resourceType"] == kind)
    changed = {"Patient": {"birthDate": "1951-01-01"}, "Observation": {"issued": "2015-01-02T00:00:00Z"}}
    fhir.add(original | changed.get(kind, {"onsetDateTime": "2014-01-02"}))

    with pytest.raises(InputError, match=r"1 record\(s\) stand in the source twice with different contents"):
        derive(fhir.write(), "patient systolic", kind="fhir")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f'{{"resourceType":"Patient","id":"{CANARY}"', "not JSON in UTF-8"),
        (f'{{"resourceType":"Patient","id":["{CANARY}"]}}', "Expected `str`, got `array`"),
        (f'{{"resourceType":"{CANARY}","id":"x"}}', "expected a Patient"),
        (f'{{"resourceType":"Patient","id":"{CANARY} {CANARY}"}}', "not a FHIR id"),
        (f'{{"resourceType":"Patient","id":"x","birthDate":"{CANARY}"}}', "not a date of FHIR"),
        ('{"resourceType":"Patient","id":"x","birthDate":"2015-02-30"}', "not a date of FHIR"),
        ('{"resourceType":"Patient","id":"x","deceasedDateTime":"2015-01-01T10:00:00+99:00"}', "not a date of FHIR"),
        ("[" * 100_000, "nested more than"),
        ('{"resourceType":"Patient","id":"x","gender":"\udcff"}', "not JSON in UTF-8"),
        ("x" * (4 * 1024 * 1024 + 1), "longer than"),
    ],
)
def test_a_bad_line_is_refused_with_file_and_line_and_without_what_stands_there(
    fhir: Any, derive: Callable[..., Any], line: str, expected: str
) -> None:
    folder = fhir.patient("a").watched("a").write()
    with (folder / "Patient.000.ndjson").open("ab") as file:
        file.write(line.encode("utf-8", "surrogateescape"))

    with pytest.raises(InputError) as refusal:
        derive(folder, "patient age", kind="fhir")

    assert refusal.value.message.startswith("Patient.000.ndjson: line 2")
    assert expected in refusal.value.message
    assert CANARY not in refusal.value.message + (refusal.value.hint or "")
    assert refusal.value.__cause__ is None


def test_a_cut_gzip_file_is_refused(fhir: Any, derive: Callable[..., Any]) -> None:
    folder = fhir.patient("a").watched("a").write()
    (folder / "Patient.001.ndjson.gz").write_bytes(gzip.compress(b'{"resourceType":"Patient","id":"b"}\n' * 50)[:-12])

    with pytest.raises(InputError, match="not whole"):
        derive(folder, "patient age", kind="fhir")


def test_a_folder_without_patients_is_refused(tmp_path: Path, derive: Callable[..., Any]) -> None:
    (tmp_path / "Observation.ndjson").write_text("")

    with pytest.raises(InputError, match="no Patient file"):
        derive(tmp_path, "patient age", kind="fhir")
