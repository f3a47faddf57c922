"""Who gets an index date and which, who is left out and why, and what outcome and time say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from heartify.errors import InputError
from heartify.protocol.dictionary import Column

ENTRY = {"entry": Column(name="entry", title="Index date", datatype="date", role="factor")}
OUTCOME = 'kind = "outcome"\ncodes = ["OMOP:4329847", "SNOMED:22298006"]\nhorizon_days = 365\n'
DEATH = 'kind = "outcome"\ndeath = true\nhorizon_days = 365\n'


@pytest.fixture
def watched(omop: Any) -> Any:
    """One patient, 40 years old on 2014-05-01, with three measurements, two conditions and three visits."""
    omop.person(1, birth="1974-05-01").period(1, "2012-01-01", "2016-12-31")
    for date in ("2011-06-01", "2013-06-01", "2015-06-01"):
        omop.measurement(1, date, 120)
        omop.add("VISIT_OCCURRENCE", {"visit_occurrence_id": int(date[:4]), "person_id": 1, "visit_start_date": date})
    return omop.condition(1, "2013-02-01", 201826).condition(1, "2014-02-01", 201826)


def entries(derived: Any) -> dict[str, str]:
    return {key: str(row["entry"]) for key, row in derived.by_patient().items()}


@pytest.mark.parametrize(
    ("rule", "day"),
    [
        ('rule = "observation_start"', "2012-01-01"),
        ('rule = "observation_start"\nminimum_history_days = 366', "2013-01-01"),
        ('rule = "first_measurement"\ncodes = ["OMOP:3004249"]', "2013-06-01"),
        ('rule = "first_measurement"\ncodes = ["OMOP:3004249"]\nminimum_history_days = 600', "2015-06-01"),
        ('rule = "first_measurement"\ncodes = ["OMOP:3004249"]\nminimum_age = 40', "2015-06-01"),
        ('rule = "last_measurement"\ncodes = ["OMOP:3004249"]\non_or_before = 2015-01-01', "2013-06-01"),
        ('rule = "last_measurement"\ncodes = ["OMOP:3004249"]\non_or_before = 2015-06-01', "2015-06-01"),
        ('rule = "first_condition"\ncodes = ["OMOP:201826"]', "2013-02-01"),
        ('rule = "first_visit"\nminimum_age = 40', "2015-06-01"),
        ('rule = "fixed_date"\ndate = 2014-05-01\nminimum_age = 40\nmaximum_age = 40', "2014-05-01"),
    ],
)
def test_each_rule_gives_its_day(watched: Any, derive: Callable[..., Any], rule: str, day: str) -> None:
    derived = derive(watched.write(), "patient entry", kind="omop", columns=ENTRY, index=rule, entry='kind = "date"')

    assert entries(derived) == {"1": day}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ('rule = "first_measurement"\ncodes = ["LOINC:8462-4"]', "nothing that the index rule looks for"),
        ('rule = "first_condition"\ncodes = ["OMOP:201826"]\nminimum_history_days = 500', "too short a time"),
        ('rule = "fixed_date"\ndate = 2011-12-31', "outside every observation period"),
        ('rule = "fixed_date"\ndate = 2014-04-30\nminimum_age = 40', "younger than the least age"),
        ('rule = "fixed_date"\ndate = 2015-05-01\nmaximum_age = 40', "older than the greatest age"),
        ('rule = "observation_start"\nminimum_history_days = 4000', "outside every observation period"),
        ('rule = "fixed_date"\ndate = 1970-01-01', "the index date is before birth"),
    ],
)
def test_a_patient_without_index_date_is_counted_under_the_reason(
    watched: Any, derive: Callable[..., Any], rule: str, reason: str
) -> None:
    source = watched.write()

    with pytest.raises(InputError, match="no patient is left") as refusal:
        derive(source, "patient age", kind="omop", index=rule)

    assert "1 left out: " in (refusal.value.hint or "")
    assert reason in (refusal.value.hint or "")


def test_a_first_condition_that_comes_too_early_is_not_replaced_by_the_second(
    watched: Any, derive: Callable[..., Any]
) -> None:
    rule = 'rule = "first_condition"\ncodes = ["OMOP:201826"]\nminimum_history_days = '
    source = watched.write()

    accepted = derive(source, "patient entry", kind="omop", columns=ENTRY, index=rule + "397", entry='kind = "date"')

    assert entries(accepted) == {"1": "2013-02-01"}
    with pytest.raises(InputError, match="no patient is left"):
        derive(source, "patient entry", kind="omop", columns=ENTRY, index=rule + "398", entry='kind = "date"')


def test_the_dead_and_the_contradictory_are_left_out_and_counted(omop: Any, derive: Callable[..., Any]) -> None:
    for key in (1, 2, 3, 4):
        omop.person(key).period(key)
    omop.death(2, "2015-05-31").death(3, "1949-12-31").death(4, "2015-06-01")

    derived = derive(omop.write(), "patient age", kind="omop")

    assert list(derived.by_patient()) == ["1", "4"]
    assert derived.report.excluded["died-before-index"] == 1
    assert derived.report.excluded["death-before-birth"] == 1


def test_a_death_without_a_date_leaves_the_patient_out(fhir: Any, derive: Callable[..., Any]) -> None:
    fhir.patient("a", deceasedBoolean=True).watched("a")
    fhir.patient("b", deceasedBoolean=False).watched("b")

    derived = derive(fhir.write(), "patient age", kind="fhir")

    assert list(derived.by_patient()) == ["b"]
    assert derived.report.excluded["death-date-unknown"] == 1


def test_a_partial_date_of_an_index_event_gives_no_index_date(fhir: Any, derive: Callable[..., Any]) -> None:
    fhir.patient("a").watched("a").condition("a", "2013", "44054006")
    fhir.patient("b").watched("b").condition("b", "2013-04-05", "44054006")
    rule = 'rule = "first_condition"\ncodes = ["SNOMED:44054006"]'

    derived = derive(fhir.write(), "patient entry", kind="fhir", columns=ENTRY, index=rule, entry='kind = "date"')

    assert entries(derived) == {"b": "2013-04-05"}
    assert derived.report.excluded["index-date-partial"] == 1


@pytest.mark.parametrize(
    ("born", "age"), [("1975-06-01", 40), ("1975-06-02", 39), ("1975-05", 40), ("1975", 39), ("1974", 40)]
)
def test_age_is_in_completed_years_from_the_middle_of_what_is_known(
    fhir: Any, derive: Callable[..., Any], born: str, age: int
) -> None:
    fhir.patient("a", birth=born).watched("a")

    derived = derive(fhir.write(), "patient age", kind="fhir")

    assert derived.rows == [{"patient": "a", "age": age}]


@pytest.mark.parametrize(
    ("parts", "age"),
    [
        ({"birth_datetime": "1975-06-02 00:00:00"}, 39),
        ({"month_of_birth": "", "day_of_birth": ""}, 39),
        ({"month_of_birth": "5", "day_of_birth": ""}, 40),
        ({"year_of_birth": "", "month_of_birth": "", "day_of_birth": ""}, None),
    ],
)
def test_an_omop_birth_is_taken_from_the_most_exact_part_there_is(
    omop: Any, derive: Callable[..., Any], parts: dict[str, str], age: int | None
) -> None:
    omop.person(1, birth="1975-05-31", **parts).period(1)

    derived = derive(omop.write(), "patient age", kind="omop")

    assert derived.rows == [{"patient": "1", "age": age}]


@pytest.mark.parametrize(
    ("event", "end", "death", "outcome", "days"),
    [
        ("2015-06-11", "2020-12-31", None, True, 10),
        ("2016-05-31", "2020-12-31", None, True, 365),
        ("2016-06-01", "2020-12-31", None, False, 365),
        (None, "2020-12-31", None, False, 365),
        (None, "2015-09-09", None, False, 100),
        ("2015-09-10", "2015-09-09", None, False, 100),
        (None, "2020-12-31", "2015-07-01", False, 30),
        ("2015-07-01", "2015-07-01", "2015-07-01", True, 30),
    ],
)
def test_the_outcome_is_true_within_horizon_and_observation_and_time_ends_with_either(
    omop: Any,
    derive: Callable[..., Any],
    event: str | None,
    end: str,
    death: str | None,
    outcome: bool,
    days: int,
) -> None:
    omop.person(1).period(1, end=end)
    omop.condition(1, event) if event else None
    omop.death(1, death) if death else None

    derived = derive(omop.write(), "patient event days", kind="omop", event=OUTCOME)

    assert derived.rows == [{"patient": "1", "event": outcome, "days": days}]


@pytest.mark.parametrize(
    ("choice", "rows"),
    [
        ("", {"1": None, "2": False, "3": True, "4": False}),
        ('incomplete_follow_up = "keep"', {"1": False, "2": False, "3": True, "4": False}),
        ('incomplete_follow_up = "missing"', {"1": None, "2": False, "3": True, "4": False}),
        ('incomplete_follow_up = "exclude"', {"2": False, "3": True, "4": False}),
    ],
)
def test_a_short_follow_up_without_outcome_is_what_the_mapping_says(
    omop: Any, derive: Callable[..., Any], choice: str, rows: dict[str, bool | None]
) -> None:
    omop.person(1).period(1, end="2015-12-31").person(2).period(2)
    omop.person(3).period(3, end="2015-12-31").condition(3, "2015-11-01")
    omop.person(4).period(4, end="2015-12-31").death(4, "2015-12-31")

    derived = derive(omop.write(), "patient event", kind="omop", event=OUTCOME + choice)

    assert {key: row["event"] for key, row in derived.by_patient().items()} == rows
    assert derived.report.excluded["follow-up-incomplete"] == 4 - len(rows)


def test_an_outcome_after_the_end_of_observation_is_counted_for_the_steward(
    omop: Any, derive: Callable[..., Any]
) -> None:
    omop.person(1).period(1, end="2015-09-09").condition(1, "2015-10-10")

    derived = derive(omop.write(), "patient event days", kind="omop", event=OUTCOME)

    assert derived.report.columns["event"].counts["after-observation"] == 1


@pytest.mark.parametrize(
    ("onset", "event", "days"),
    [("2015-09", True, None), ("2016", None, None), ("2016-05", True, None), ("2017", False, 365)],
)
def test_a_partial_outcome_date_gives_an_outcome_only_when_it_is_certain_and_never_a_time(
    fhir: Any, derive: Callable[..., Any], onset: str, event: bool | None, days: int | None
) -> None:
    fhir.patient("a").watched("a").condition("a", onset)

    derived = derive(fhir.write(), "patient event days", kind="fhir", event=OUTCOME)

    assert derived.rows == [{"patient": "a", "event": event, "days": days}]


def test_death_is_an_outcome_when_the_mapping_says_so(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1, end="2015-07-01").death(1, "2015-07-01").person(2).period(2)
    omop.person(3).period(3, end="2015-06-01").death(3, "2015-06-01")

    derived = derive(omop.write(), "patient event days", kind="omop", event=DEATH)

    assert derived.rows == [
        {"patient": "1", "event": True, "days": 30},
        {"patient": "2", "event": False, "days": 365},
    ]
    assert derived.report.excluded["outcome-before-index"] == 1


def test_a_time_outside_the_dictionarys_limits_is_missing_and_counted(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1)
    column = Column(name="days", title="Days", datatype="number", role="time", unit="a", maximum=0.5, decimals=3)
    wide = Column(name="days", title="Days", datatype="number", role="time", unit="a", maximum=2, decimals=3)
    source = omop.write()

    narrow = derive(source, "patient event days", kind="omop", event=OUTCOME, columns={"days": column})
    accepted = derive(source, "patient event days", kind="omop", event=OUTCOME, columns={"days": wide})

    assert narrow.rows == [{"patient": "1", "event": False, "days": None}]
    assert narrow.report.columns["days"].counts["outside-limits"] == 1
    assert accepted.rows == [{"patient": "1", "event": False, "days": pytest.approx(0.999)}]


def test_observed_until_takes_the_place_of_the_last_contact(fhir: Any, derive: Callable[..., Any]) -> None:
    fhir.patient("a").visit("a", "2014-01-01").visit("a", "2015-08-01")

    by_contact = derive(fhir.write(), "patient event days", kind="fhir", event=OUTCOME)
    until = derive(fhir.write(), "patient event days", kind="fhir", event=OUTCOME, source="observed_until = 2020-01-01")

    assert by_contact.rows == [{"patient": "a", "event": False, "days": 61}]
    assert until.rows == [{"patient": "a", "event": False, "days": 365}]


def test_patients_come_in_the_order_of_their_keys_numbers_as_numbers(omop: Any, derive: Callable[..., Any]) -> None:
    for key in (10, 9, 100, 1):
        omop.person(key).period(key)

    derived = derive(omop.write(), "patient age", kind="omop")

    assert list(derived.by_patient()) == ["1", "9", "10", "100"]
