from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from heartify.cohort.lint.batch_view import view_of_table
from heartify.cohort.lint.quasi_identifiers import _LOINC, is_sex, quasi_identifier_kind
from heartify.cohort.lint.singled_out import CombinationWatch
from heartify.cohort.lint.watch import Seen

REGIONS = ("north", "east", "south")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sex", "sex"),
        ("Geschlecht", "sex"),
        ("is_female", "sex"),
        ("Region", "place"),
        ("state", "place"),
        ("bundesland", "place"),
        ("ethnicity", "origin"),
        ("native_language", "origin"),
        ("occupation_group", "occupation"),
        ("education", "education"),
        ("maritalStatus", "household"),
        ("year_of_birth", "date"),
        ("mental_state", None),
        ("degree_of_av_block", None),
        ("smoking", None),
        ("cp", None),
        ("essex_score", None),
    ],
)
def test_what_others_may_know_is_recognised_by_name(name: str, kind: str | None, column: Any) -> None:
    assert quasi_identifier_kind(column(name, "a", "b")) == kind


def test_what_others_may_know_is_recognised_by_code_and_type(column: Any) -> None:
    for loinc, kind in _LOINC.items():  # the column verifies the check digit
        assert quasi_identifier_kind(column("x", "a", "b", loinc=loinc)) == kind
    assert quasi_identifier_kind(column("visit", datatype="date")) == "date"
    assert quasi_identifier_kind(column("age", unit="a")) == "age"
    assert quasi_identifier_kind(column("region_volume")) is None
    assert is_sex(column("x", "a", "b", loinc="46098-0"))
    assert not is_sex(column("age", unit="a"))


@pytest.fixture
def people(column: Any, random: Any) -> list[tuple[Any, Any]]:
    return [
        (column("age", datatype="integer", unit="a"), random.integers(60, 65, 3000)),
        (column("sex", "f", "m"), random.integers(0, 2, 3000)),
        (column("region", *REGIONS), random.integers(0, 3, 3000)),
        (column("x"), random.normal(0, 1, 3000)),
    ]


def test_a_patient_who_stands_alone_is_found_and_not_described(findings: Any, people: Any) -> None:
    people[0][1][17] = 41

    suspicions = findings(*people)

    assert [finding.name for finding in suspicions] == ["unique-combination:age+sex+region"]
    assert "fewer than 10 rows share" in suspicions[0].message
    assert not any(text in suspicions[0].message + suspicions[0].hint for text in ("41", *REGIONS))


def test_groups_of_ten_or_more_are_not_found(found: Any, people: Any) -> None:
    assert found(*people) == []


def test_age_in_whole_years_and_sex_alone_may_be_told(found: Any, people: Any, column: Any, random: Any) -> None:
    age, sex, _, other = people
    age[1][:5] = [21, 22, 23, 24, 25]

    assert found(age, sex, other) == []
    exact = (column("age", unit="a"), age[1] + random.random(3000))
    assert found(exact, sex, other) == ["unique-combination:age+sex"]
    in_days = (column("age", unit="d"), age[1] * 365 + random.integers(0, 365, 3000))
    assert found(in_days, sex, other) == ["unique-combination:age+sex"]


def test_dates_and_regions_single_people_out_together(found: Any, people: Any, column: Any, random: Any) -> None:
    days = [dt.date(2020, 1, 1) + dt.timedelta(int(day)) for day in random.integers(0, 2000, 3000)]
    visit = (column("visit", datatype="date"), days)

    assert found(people[2], visit, people[3]) == ["full-date:visit", "unique-combination:region+visit"]
    assert found(visit, people[3]) == ["full-date:visit"]


def test_beyond_the_bound_it_is_estimated_and_the_message_says_so(cohort: Any, people: Any, column: Any) -> None:
    people[0] = (column("age", datatype="integer", unit="d"), np.arange(20_000, 23_000))
    table, dictionary = cohort(*people)
    watch = CombinationWatch(dictionary, max_distinct=700)
    watch.add(view_of_table(table))

    found = list(watch.findings(Seen(3000, {}, {}, view_of_table(table))))

    assert found[0].name == "unique-combination:age+sex+region"
    assert found[0].message.endswith("estimated from a part of the combinations")


@pytest.mark.parametrize(("rare", "expected"), [(9, ["rare-level:region"]), (10, [])])
def test_a_level_of_fewer_than_ten_patients_is_found_where_others_may_know_it(
    rare: int, expected: list[str], findings: Any, column: Any
) -> None:
    values = np.r_[np.zeros(100), np.ones(100), np.full(rare, 2)].astype(int)

    suspicions = findings((column("region", *REGIONS), values))

    assert [finding.name for finding in suspicions] == expected
    assert not any("south" in finding.message for finding in suspicions)


def test_a_rare_clinical_level_is_found_in_cohorts_of_a_thousand(found: Any, column: Any) -> None:
    values = np.r_[np.arange(1200) % 2, np.full(3, 2)]

    assert found((column("pain", "a", "b", "c"), values)) == ["rare-level:pain"]
    assert found((column("pain", "a", "b", "c"), values[400:])) == []
    assert found((column("pain", "a", "b", "c"), values[:1200])) == []


def test_a_level_that_cannot_be_merged_is_left_to_the_disclosure_rules(found: Any, column: Any) -> None:
    assert found((column("sex", "f", "m"), np.r_[np.zeros(6), np.ones(1994)].astype(int))) == []
    assert found((column("sex", "f", "m", "d"), np.r_[np.arange(1994) % 2, np.full(6, 2)])) == ["rare-level:sex"]
