"""The Synthea sample of OHDSI, derived a second time in plain Python, without SQL and without Heartify's readers."""

from __future__ import annotations

import csv
import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from heartify.cohort.events.omop_concepts import LOINC_CONCEPTS, UNIT_CONCEPTS
from heartify.protocol.dictionary import Column

ANEMIA, BRONCHITIS = 439777, 260139
INDEX = dt.date(2015, 6, 1)


@pytest.fixture
def sample(shared_data: Path) -> Path:
    folder = shared_data / "omop_synthea27nj"
    if not folder.is_dir():
        pytest.skip("the OMOP sample is absent: ../shared/data/omop_synthea27nj")
    return folder


def table(sample: Path, name: str) -> list[dict[str, str]]:
    with (sample / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text[:10])


def columns() -> dict[str, Column]:
    def number(name: str, unit: str) -> Column:
        return Column(name=name, title=name, datatype="number", role="factor", unit=unit, decimals=3)

    return {
        "weight": number("weight", "[lb_av]"),
        "pressure": number("pressure", "mm[Hg]"),
        "glucose": number("glucose", "mmol/L"),
        "anemia": Column(name="anemia", title="Anemia", datatype="boolean", role="factor"),
        "ill": Column(name="ill", title="Bronchitis", datatype="boolean", role="outcome"),
        "until": Column(name="until", title="Days", datatype="integer", role="time", unit="d"),
    }


RULES = {
    "weight": 'kind = "measurement"\ncodes = ["LOINC:29463-7"]\nwindow_days = [-1000, 0]\npick = "last"',
    "pressure": 'kind = "measurement"\ncodes = ["OMOP:3004249"]\nwindow_days = [-2000, 0]\npick = "mean"',
    "glucose": 'kind = "measurement"\ncodes = ["LOINC:2339-0"]\nwindow_days = [-2000, 400]\npick = "maximum"\n'
    "after_index = true",
    "anemia": 'kind = "condition"\ncodes = ["SNOMED:271737000"]',
    "ill": f'kind = "outcome"\ncodes = ["OMOP:{BRONCHITIS}"]\nhorizon_days = 1500\ndeath = true',
    "until": 'kind = "time"\noutcome = "ill"',
}
NAMES = "patient age male weight pressure glucose anemia ill until"


def expected(sample: Path) -> dict[str, dict[str, object]]:
    """Derive the same rows by hand."""
    periods = {row["person_id"]: row for row in table(sample, "OBSERVATION_PERIOD")}
    deaths = {row["person_id"]: day(row["death_date"]) for row in table(sample, "DEATH")}
    measured: dict[tuple[str, str], list[tuple[dt.date, int, float]]] = defaultdict(list)
    for row in table(sample, "MEASUREMENT"):
        if row["value_as_number"]:
            entry = (day(row["measurement_date"]), int(row["measurement_id"]), float(row["value_as_number"]))
            measured[row["person_id"], row["measurement_concept_id"]].append(entry)
    conditions: dict[tuple[str, str], list[dt.date]] = defaultdict(list)
    for row in table(sample, "CONDITION_OCCURRENCE"):
        conditions[row["person_id"], row["condition_concept_id"]].append(day(row["condition_start_date"]))
    rows = {}
    for person in table(sample, "PERSON"):
        key = person["person_id"]
        birth = day(person["birth_datetime"])
        start, end = (day(periods[key][f"observation_period_{name}_date"]) for name in ("start", "end"))
        outcomes = sorted(conditions[key, str(BRONCHITIS)] + ([deaths[key]] if key in deaths else []))
        if not start <= INDEX <= end or (outcomes and outcomes[0] <= INDEX):
            continue
        horizon = INDEX + dt.timedelta(days=1500)
        happened = bool(outcomes) and outcomes[0] <= min(horizon, end)
        stop = outcomes[0] if happened else min(horizon, end)

        def values(concept: int, low: int, high: int, key: str = key, outcomes=outcomes) -> list[float]:
            return [
                value
                for date, _, value in sorted(measured[key, str(concept)])
                if low <= (date - INDEX).days <= high and not (outcomes and date >= outcomes[0])
            ]

        weight, pressure = values(3025315, -1000, 0), values(3004249, -2000, 0)
        glucose = values(3000483, -2000, 400)
        rows[key] = {
            "patient": key,
            "age": INDEX.year - birth.year - ((INDEX.month, INDEX.day) < (birth.month, birth.day)),
            "male": person["gender_concept_id"] == "8507",
            "weight": weight[-1] / 0.45359237 if weight else None,
            "pressure": sum(pressure) / len(pressure) if pressure else None,
            "glucose": max(glucose) / 18.016 if glucose else None,
            "anemia": any(date <= INDEX for date in conditions[key, str(ANEMIA)]),
            "ill": happened,
            "until": (stop - INDEX).days,
        }
    return rows


def test_the_sample_gives_the_rows_that_plain_python_gives(sample: Path, derive: Callable) -> None:
    wanted = expected(sample)

    derived = derive(sample, NAMES, kind="omop", columns=columns(), **RULES)

    found = derived.by_patient()
    assert list(found) == sorted(wanted, key=int)
    assert len(found) >= 10
    for key, row in wanted.items():
        assert {**found[key], "weight": 0, "pressure": 0, "glucose": 0} == {
            **row,
            "weight": 0,
            "pressure": 0,
            "glucose": 0,
        }
        for name in ("weight", "pressure"):
            assert found[key][name] == (None if row[name] is None else pytest.approx(row[name], abs=0.0006))
        assert found[key]["glucose"] == (None if row["glucose"] is None else pytest.approx(row["glucose"], rel=2e-3))
    assert any(row["ill"] for row in wanted.values())
    assert any(not row["ill"] for row in wanted.values())
    assert derived.report.patients == 28
    assert sum(derived.report.excluded.values()) == 28 - len(found)


def test_the_built_in_concepts_are_those_of_the_vocabulary(sample: Path) -> None:
    concepts = {(row["vocabulary_id"], row["concept_code"]): int(row["concept_id"]) for row in table(sample, "CONCEPT")}

    codes = {code: concept for (vocabulary, code), concept in concepts.items() if vocabulary == "LOINC"}
    units = {concept: code for (vocabulary, code), concept in concepts.items() if vocabulary == "UCUM"}

    assert {code: codes[code] for code in LOINC_CONCEPTS if code in codes} == {
        code: concept for code, concept in LOINC_CONCEPTS.items() if code in codes
    }
    assert len(set(LOINC_CONCEPTS) & set(codes)) >= 15
    assert {concept: units.get(concept) for concept in UNIT_CONCEPTS} == UNIT_CONCEPTS
