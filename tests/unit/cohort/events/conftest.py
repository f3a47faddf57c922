"""Shared: small OMOP and FHIR sources written by the tests, a dictionary, a mapping, and how rows are read back."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from heartify.cohort.events.derivation import Derivation
from heartify.cohort.events.event_rows import EventRows, open_events
from heartify.cohort.events.mapping import parse_mapping
from heartify.cohort.steward_dictionary import CatalogueDetails, StewardDictionary
from heartify.cohort.table_form import check_table
from heartify.protocol.dictionary import Column, DataDictionary, Level

Row = dict[str, Any]

COLUMNS: dict[str, Column] = {
    "patient": Column(name="patient", title="Patient", datatype="category", role="id"),
    "age": Column(name="age", title="Age", datatype="integer", role="factor", unit="a", minimum=0, maximum=120),
    "male": Column(name="male", title="Male", datatype="boolean", role="factor"),
    "systolic": Column(
        name="systolic",
        title="Systolic pressure",
        datatype="number",
        role="factor",
        unit="mm[Hg]",
        minimum=50,
        maximum=300,
        decimals=1,
        loinc="8480-6",
    ),
    "cholesterol": Column(
        name="cholesterol",
        title="Cholesterol",
        datatype="number",
        role="factor",
        unit="mmol/L",
        minimum=1,
        maximum=20,
        decimals=2,
        loinc="2093-3",
    ),
    "diabetes": Column(name="diabetes", title="Diabetes", datatype="boolean", role="factor"),
    "smoking": Column(
        name="smoking",
        title="Smoking",
        datatype="category",
        role="factor",
        levels=(Level(code="0", label="never"), Level(code="1", label="former"), Level(code="2", label="current")),
    ),
    "event": Column(name="event", title="Infarction or death", datatype="boolean", role="outcome"),
    "days": Column(name="days", title="Days", datatype="integer", role="time", unit="d", minimum=0, maximum=40000),
}
RULES: dict[str, str] = {
    "patient": 'kind = "id"',
    "age": 'kind = "age_at_index"',
    "male": 'kind = "sex"\nmale = "true"\nfemale = "false"',
    "systolic": 'kind = "measurement"\ncodes = ["LOINC:8480-6"]\nwindow_days = [-365, 0]\npick = "last"',
    "cholesterol": 'kind = "measurement"\ncodes = ["LOINC:2093-3"]\nwindow_days = [-365, 0]\npick = "last"',
    "diabetes": 'kind = "condition"\ncodes = ["SNOMED:44054006", "OMOP:201826"]',
    "smoking": 'kind = "coded"\ncodes = ["LOINC:72166-2"]\nwindow_days = [-365, 0]\nanswers = [\n'
    '  { level = "0", codes = ["SNOMED:266919005", "OMOP:4144272"] },\n'
    '  { level = "1", codes = ["SNOMED:8517006", "OMOP:4310250"] },\n'
    '  { level = "2", codes = ["SNOMED:449868002", "OMOP:4276526"] },\n]',
    "event": 'kind = "outcome"\ncodes = ["SNOMED:22298006", "OMOP:4329847"]\nhorizon_days = 1000',
    "days": 'kind = "time"\noutcome = "event"',
}
FIXED = 'rule = "fixed_date"\ndate = 2015-06-01'


def steward_of(columns: Iterable[Column]) -> StewardDictionary:
    dictionary = DataDictionary(title="Cohort", description="Of a test", columns=tuple(columns))
    return StewardDictionary(dictionary=dictionary, sources={}, catalogue=CatalogueDetails())


def mapping_text(names: Iterable[str], *, kind: str, index: str = FIXED, source: str = "", **rules: str) -> str:
    tables = "\n".join(f'[[columns]]\nname = "{name}"\n{rules.get(name, RULES.get(name, ""))}' for name in names)
    return f'[source]\nkind = "{kind}"\n{source}\n[index]\n{index}\n{tables}\n'


@dataclass
class Derived:
    """The rows of a derivation, by patient key when there is one, and its report."""

    table: pa.Table
    report: Derivation

    @property
    def rows(self) -> list[Row]:
        return self.table.to_pylist()

    def by_patient(self) -> dict[str, Row]:
        return {row["patient"]: row for row in self.rows}


def read(rows: EventRows) -> Derived:
    with rows:
        batches = list(rows.batches())
        report = rows.derivation
    assert report is not None
    table = pa.Table.from_batches(batches)
    check_table(table, rows.dictionary)
    return Derived(table, report)


@pytest.fixture
def columns() -> dict[str, Column]:
    return COLUMNS


@pytest.fixture
def open_rows(tmp_path: Path) -> Callable[..., EventRows]:
    """Open rows of the named columns; the test reads and closes them."""

    def run(place: Path | str, names: str, *, kind: str, index: str = FIXED, **more: Any) -> EventRows:
        mapping = parse_mapping(mapping_text(names.split(), kind=kind, index=index), file="mapping.toml")
        steward = steward_of(COLUMNS[name] for name in names.split())
        return open_events(str(place), mapping, steward, work_folder=tmp_path / "work", **more)

    return run


@pytest.fixture
def derive(tmp_path: Path) -> Callable[..., Derived]:
    """Derive the named columns of COLUMNS from a source folder or address."""

    def run(place: Path | str, names: str, *, kind: str, columns: Mapping[str, Column] | None = None, **more: Any):
        wanted = names.split()
        work = tmp_path / "work"
        mapping = parse_mapping(mapping_text(wanted, kind=kind, **more), file="mapping.toml")
        steward = steward_of({**COLUMNS, **(columns or {})}[name] for name in wanted)
        derived = read(open_events(str(place), mapping, steward, work_folder=work))
        assert list(work.iterdir()) == []
        return derived

    return run


@dataclass
class Omop:
    """OMOP tables in memory, written as CSV files."""

    folder: Path
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def person(self, key: int, *, birth: str = "1950-03-15", sex: int = 8507, **more: Any) -> Omop:
        year, month, day = birth.split("-")
        row = {"person_id": key, "gender_concept_id": sex, "year_of_birth": year, "month_of_birth": month}
        return self.add("PERSON", {**row, "day_of_birth": day, **more})

    def period(self, key: int, start: str = "2010-01-01", end: str = "2020-12-31") -> Omop:
        row = {"observation_period_start_date": start, "observation_period_end_date": end}
        return self.add("OBSERVATION_PERIOD", {"person_id": key, **row})

    def measurement(self, key: int, date: str, value: Any, *, concept: int = 3004249, **more: Any) -> Omop:
        row = {"measurement_id": self.next("MEASUREMENT"), "person_id": key, "measurement_concept_id": concept}
        row |= {"measurement_date": date, "value_as_number": value, "unit_concept_id": 8876, "operator_concept_id": 0}
        return self.add("MEASUREMENT", row | {"unit_source_value": "", "value_as_concept_id": 0} | more)

    def condition(self, key: int, date: str, concept: int = 4329847, **more: Any) -> Omop:
        row = {"condition_occurrence_id": self.next("CONDITION_OCCURRENCE"), "person_id": key}
        return self.add(
            "CONDITION_OCCURRENCE", row | {"condition_concept_id": concept, "condition_start_date": date} | more
        )

    def death(self, key: int, date: str) -> Omop:
        return self.add("DEATH", {"person_id": key, "death_date": date})

    def add(self, table: str, row: Row) -> Omop:
        self.tables.setdefault(table, []).append(row)
        return self

    def next(self, table: str) -> int:
        return len(self.tables.get(table, [])) + 1

    def write(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        for name, rows in self.tables.items():
            with (self.folder / f"{name}.csv").open("w", newline="") as file:
                names = dict.fromkeys(key for row in rows for key in row)
                writer = csv.DictWriter(file, names)
                writer.writeheader()
                writer.writerows(rows)
        return self.folder


@pytest.fixture
def omop(tmp_path: Path) -> Omop:
    """An OMOP source with headers of the tables that a mapping may need, and no rows."""
    folder = tmp_path / "omop"
    folder.mkdir()
    (folder / "DEATH.csv").write_text("person_id,death_date\n")
    (folder / "MEASUREMENT.csv").write_text("measurement_id,person_id,measurement_concept_id,measurement_date\n")
    (folder / "CONDITION_OCCURRENCE.csv").write_text(
        "condition_occurrence_id,person_id,condition_concept_id,condition_start_date\n"
    )
    return Omop(folder)


@dataclass
class Fhir:
    """FHIR resources in memory, written as NDJSON files."""

    folder: Path
    resources: list[Row] = field(default_factory=list)

    def patient(self, key: str, *, birth: str = "1950-03-15", gender: str = "male", **more: Any) -> Fhir:
        return self.add({"resourceType": "Patient", "id": key, "gender": gender, "birthDate": birth, **more})

    def observation(self, key: str, date: str, code: str, value: Row, **more: Any) -> Fhir:
        row = {"resourceType": "Observation", "id": f"o{len(self.resources)}", "status": "final"}
        row |= {"code": loinc(code), "subject": {"reference": f"Patient/{key}"}, "effectiveDateTime": date}
        return self.add(row | value | more)

    def systolic(self, key: str, date: str, value: Any, unit: str = "mm[Hg]", **more: Any) -> Fhir:
        return self.observation(key, date, "8480-6", quantity(value, unit), **more)

    def condition(self, key: str, onset: str | None, concept: str = "22298006", **more: Any) -> Fhir:
        row = {"resourceType": "Condition", "id": f"c{len(self.resources)}", "code": snomed(concept)}
        row |= {"subject": {"reference": f"Patient/{key}"}} | ({"onsetDateTime": onset} if onset else {})
        return self.add(row | more)

    def visit(self, key: str, start: str, **more: Any) -> Fhir:
        row = {"resourceType": "Encounter", "id": f"e{len(self.resources)}", "status": "finished"}
        return self.add(
            row | {"subject": {"reference": f"Patient/{key}"}, "period": {"start": start, "end": start}} | more
        )

    def watched(self, key: str, start: str = "2010-01-01", end: str = "2020-12-31") -> Fhir:
        return self.visit(key, start).visit(key, end)

    def add(self, resource: Row) -> Fhir:
        self.resources.append(resource)
        return self

    def write(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        for kind in {resource["resourceType"] for resource in self.resources}:
            lines = [json.dumps(resource) for resource in self.resources if resource["resourceType"] == kind]
            (self.folder / f"{kind}.000.ndjson").write_text("\n".join(lines) + "\n")
        return self.folder


def loinc(code: str) -> Row:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def snomed(code: str) -> Row:
    return {"coding": [{"system": "http://snomed.info/sct", "code": code}]}


def quantity(value: Any, unit: str | None = "mm[Hg]", **more: Any) -> Row:
    coded = {} if unit is None else {"system": "http://unitsofmeasure.org", "code": unit}
    return {"valueQuantity": {"value": value, **coded, **more}}


@pytest.fixture
def fhir(tmp_path: Path) -> Fhir:
    return Fhir(tmp_path / "fhir")
