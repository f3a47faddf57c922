"""OMOP and FHIR sources of any shape: order makes no difference, nothing later than an outcome reaches a factor, and
whatever a file holds, the answer is rows or an InputError that doesn't quote it.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from heartify.cohort.events.event_dates import parse_fhir_date
from heartify.cohort.events.event_rows import open_events
from heartify.cohort.events.mapping import parse_mapping
from heartify.cohort.steward_dictionary import CatalogueDetails, StewardDictionary
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary

CANARY = "Zaphod4711"
INDEX = dt.date(2015, 6, 1)
PICKS = ("last", "first", "mean", "median", "minimum", "maximum")
FACTORS = (*PICKS, "diabetes", "smoking")
# A derivation takes about a tenth of a second: few examples in the ordinary run.
FEW = settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

DICTIONARY = DataDictionary(
    title="Any",
    description="",
    columns=(
        Column(name="patient", title="P", datatype="category", role="id"),
        *(
            Column(name=pick, title=pick, datatype="number", role="factor", unit="mm[Hg]", minimum=0, maximum=400)
            for pick in PICKS
        ),
        Column(name="diabetes", title="D", datatype="boolean", role="factor"),
        Column(name="smoking", title="S", datatype="boolean", role="factor"),
        Column(name="event", title="E", datatype="boolean", role="outcome"),
        Column(name="days", title="T", datatype="integer", role="time", unit="d"),
    ),
)
WINDOW = "window_days = [-400, 400]\nafter_index = true\n"
MAPPING = (
    '[source]\nkind = "KIND"\n[index]\nrule = "fixed_date"\ndate = 2015-06-01\n'
    '[[columns]]\nname = "patient"\nkind = "id"\n'
    + "".join(
        f'[[columns]]\nname = "{pick}"\nkind = "measurement"\ncodes = ["LOINC:8480-6"]\n{WINDOW}pick = "{pick}"\n'
        for pick in PICKS
    )
    + f'[[columns]]\nname = "diabetes"\nkind = "condition"\ncodes = ["SNOMED:44054006", "OMOP:201826"]\n{WINDOW}'
    f'[[columns]]\nname = "smoking"\nkind = "coded"\ncodes = ["LOINC:72166-2"]\n{WINDOW}'
    'answers = [{ level = "true", codes = ["SNOMED:1", "OMOP:1"] }, '
    '{ level = "false", codes = ["SNOMED:2", "OMOP:2"] }]\n'
    '[[columns]]\nname = "event"\nkind = "outcome"\ncodes = ["SNOMED:22298006", "OMOP:4329847"]\nhorizon_days = 300\n'
    '[[columns]]\nname = "days"\nkind = "time"\noutcome = "event"\n'
)
Resource = dict[str, Any]


def derive(files: dict[str, bytes], kind: str) -> list[dict[str, Any]]:
    steward = StewardDictionary(dictionary=DICTIONARY, sources={}, catalogue=CatalogueDetails())
    mapping = parse_mapping(MAPPING.replace("KIND", kind), file="mapping.toml")
    with tempfile.TemporaryDirectory() as place:
        folder, work = Path(place) / "source", Path(place) / "work"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        try:
            with open_events(str(folder), mapping, steward, work_folder=work) as rows:
                return pa.Table.from_batches(list(rows.batches())).to_pylist()
        finally:
            assert list(work.glob("*")) == []


def bulk_files(resources: Iterable[Resource]) -> dict[str, bytes]:
    files: dict[str, bytes] = {"Patient.0.ndjson": b""}
    for number, resource in enumerate(resources):
        name = f"{resource['resourceType']}.{number % 3}.ndjson"
        files[name] = files.get(name, b"") + json.dumps(resource).encode() + b"\n"
    return files


def patient(key: str) -> list[Resource]:
    visits = [
        {"resourceType": "Encounter", "id": f"{key}-{day}", "period": {"start": day, "end": day}} | about(key)
        for day in ("2010-01-01", "2019-01-01")
    ]
    return [{"resourceType": "Patient", "id": key, "gender": "male", "birthDate": "1950-01-01"}, *visits]


def about(key: str) -> Resource:
    return {"subject": {"reference": f"Patient/{key}"}}


def concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def event(kind: str, key: str, date: str, number: float, identity: str) -> Resource:
    if kind in {"44054006", "22298006"}:
        condition = {"resourceType": "Condition", "id": identity, "onsetDateTime": date}
        return condition | about(key) | {"code": concept("http://snomed.info/sct", kind)}
    value: Resource = {"valueQuantity": {"value": number, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}
    if kind == "72166-2":
        value = {"valueCodeableConcept": concept("http://snomed.info/sct", str(1 + int(number) % 2))}
    observation = {"resourceType": "Observation", "id": identity, "effectiveDateTime": date}
    return observation | about(key) | {"code": concept("http://loinc.org", kind)} | value


DAYS = st.integers(-500, 700).map(lambda days: (INDEX + dt.timedelta(days=days)).isoformat())
ZONES = st.integers(-14, 14).map(lambda hours: f"{'-' if hours < 0 else '+'}{abs(hours):02}:00")
INSTANTS = st.builds(lambda day, hour, zone: f"{day}T{hour:02}:30:00{zone}", DAYS, st.integers(0, 23), ZONES)
DATES = st.one_of(DAYS, INSTANTS, DAYS.map(lambda day: day[:7]), DAYS.map(lambda day: day[:4]))
KINDS = st.sampled_from(["8480-6", "8480-6", "8480-6", "44054006", "72166-2", "22298006"])
EVENTS = st.lists(
    st.tuples(KINDS, st.sampled_from(["a", "b"]), DATES, st.integers(60, 250).map(float)), min_size=3, max_size=25
)


def resources_of(events: list[tuple[str, str, str, float]]) -> list[Resource]:
    made = [event(kind, key, date, number, f"e{position}") for position, (kind, key, date, number) in enumerate(events)]
    return [*patient("a"), *patient("b"), *patient("z"), *made]


@FEW
@given(EVENTS, st.randoms(use_true_random=False))
def test_the_order_of_files_and_lines_makes_no_difference(
    events: list[tuple[str, str, str, float]], order: random.Random
) -> None:
    resources = resources_of(events)
    shuffled = order.sample(resources, len(resources))

    assert derive(bulk_files(shuffled), "fhir") == derive(bulk_files(resources), "fhir")


LATER = st.tuples(KINDS, st.integers(0, 500), st.one_of(st.none(), INSTANTS.map(lambda instant: instant[10:])))


@FEW
@given(EVENTS, st.integers(2, 300), st.lists(LATER, min_size=1, max_size=10))
@example([("8480-6", "a", "2015-05-01", 120.0)] * 3, 10, [("8480-6", 0, "T23:30:00-14:00")])
@example([("8480-6", "a", "2015-05-01", 120.0)] * 3, 10, [("22298006", 0, None), ("8480-6", 0, None)])
def test_no_event_at_or_after_an_outcome_changes_a_factor(
    events: list[tuple[str, str, str, float]], outcome: int, later: list[tuple[str, int, str | None]]
) -> None:
    day = INDEX + dt.timedelta(days=outcome)
    before = resources_of([*events, ("22298006", "a", day.isoformat(), 0.0)])
    added = []
    for position, (kind, days, clock) in enumerate(later):
        # Written a day later when it has a time: whatever the zone, it isn't before the outcome's day in UTC.
        date = (day + dt.timedelta(days=days + (clock is not None))).isoformat() + (clock or "")
        added.append(event(kind, "a", date, 77.0, f"late{position}"))

    without, with_later = (derive(bulk_files(resources), "fhir") for resources in (before, [*before, *added]))

    assert factors(with_later) == factors(without)


def factors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in ("patient", *FACTORS)} for row in rows]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(INSTANTS, INSTANTS)
def test_of_two_instants_the_one_that_is_not_earlier_never_looks_strictly_earlier(first: str, second: str) -> None:
    one, other = parse_fhir_date(first), parse_fhir_date(second)

    assert one is not None
    assert other is not None
    if dt.datetime.fromisoformat(first) >= dt.datetime.fromisoformat(second):
        assert not one.latest < other.earliest


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(CANARY)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
_OBSERVED = ["status", "code", "effectiveDateTime", "effectivePeriod", "valueQuantity", "valueInteger", "component"]
_OTHERS = ["birthDate", "gender", "deceasedBoolean", "deceasedDateTime", "onsetDateTime", "recordedDate", "issued"]
FIELDS = st.sampled_from(["resourceType", "id", "subject", *_OBSERVED, *_OTHERS])
TYPES = st.sampled_from(["Patient", "Observation", "Condition", "Encounter"])
LINES = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda kind, fields: json.dumps({"resourceType": kind, "id": "x", **about("a"), **fields}).encode(),
        TYPES,
        st.dictionaries(FIELDS, VALUES, max_size=5),
    ),
)


@FEW
@given(TYPES, st.lists(LINES, max_size=4))
def test_any_line_works_or_is_refused_without_being_quoted(kind: str, lines: list[bytes]) -> None:
    files = bulk_files(resources_of([]))
    files[f"{kind}.9.ndjson"] = b"\n".join(lines)

    refused_or_derived(files, "fhir")


def refused_or_derived(files: dict[str, bytes], kind: str) -> None:
    try:
        rows, said = derive(files, kind), ""
    except InputError as exc:
        rows, said = [], f"{exc.message} {exc.hint}"
    assert rows or said
    assert CANARY not in said


OMOP = {
    "PERSON.csv": ("person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth", "1,8507,1950,1,1"),
    "OBSERVATION_PERIOD.csv": (
        "person_id,observation_period_start_date,observation_period_end_date",
        "1,2010-01-01,2019-01-01",
    ),
    "MEASUREMENT.csv": (
        "measurement_id,person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id,unit_source_value",
        "1,1,3004249,2015-01-01,120,8876,",
    ),
    "CONDITION_OCCURRENCE.csv": (
        "condition_occurrence_id,person_id,condition_concept_id,condition_start_date",
        "1,1,201826,2014-01-01",
    ),
    "DEATH.csv": ("person_id,death_date", "1,2019-01-01"),
}
CELLS = st.one_of(
    st.sampled_from(["", "1", "2", "8507", "3004249", "8876", "0", "2015-01-01", "2015-02-30", "9999-12-31", "1e308"]),
    st.just(CANARY),
    st.text(max_size=6),
)


@FEW
@given(st.sampled_from(sorted(OMOP)), st.lists(st.lists(CELLS, min_size=1, max_size=7), max_size=3))
def test_any_cell_of_a_table_works_or_is_refused_without_being_quoted(table: str, rows: list[list[str]]) -> None:
    files = {name: f"{header}\n{row}\n" for name, (header, row) in OMOP.items()}
    files[table] += "".join(",".join(row) + "\n" for row in rows)

    refused_or_derived({name: text.encode("utf-8", "surrogatepass") for name, text in files.items()}, "omop")


@pytest.mark.parametrize("kind", ["fhir", "omop"])
def test_the_untouched_source_gives_rows(kind: str) -> None:
    omop = {name: f"{header}\n{row}\n".encode() for name, (header, row) in OMOP.items()}
    files = bulk_files(resources_of([("8480-6", "a", "2015-01-01", 120.0)])) if kind == "fhir" else omop

    rows = derive(files, kind)

    assert rows[0]["last"] == 120.0
