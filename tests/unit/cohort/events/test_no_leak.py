"""Nothing that happened, or was written down, at or after an outcome ever reaches a factor: adversarial sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from heartify.protocol.dictionary import Column

PICKS = ("last", "first", "mean", "median", "minimum", "maximum")


def after_index(pick: str) -> str:
    window = "window_days = [-365, 365]\nafter_index = true\n"
    return f'kind = "measurement"\ncodes = ["LOINC:8480-6"]\n{window}pick = "{pick}"'


@pytest.fixture
def derive_every_pick(derive: Callable[..., Any], columns: dict[str, Column]) -> Callable[..., Any]:
    """Derive the systolic pressure by each of the picks, in one column each."""

    def run(folder: Path, *, kind: str) -> Any:
        column = {pick: replace(columns["systolic"], name=pick) for pick in PICKS}
        rules = {pick: after_index(pick) for pick in PICKS}
        return derive(folder, f"patient event {' '.join(PICKS)}", kind=kind, columns=column, **rules)

    return run


def test_no_pick_takes_an_omop_measurement_on_or_after_the_outcomes_day(
    omop: Any, derive_every_pick: Callable[..., Any]
) -> None:
    for key, late in ((1, "2015-08-01"), (2, "2015-08-02"), (3, "2015-12-01")):
        omop.person(key).period(key).condition(key, "2015-08-01")
        omop.measurement(key, "2015-07-31", 120).measurement(key, late, 200).measurement(key, late, 60)

    derived = derive_every_pick(omop.write(), kind="omop")

    factors = dict.fromkeys(PICKS, 120.0)
    assert derived.rows == [{"patient": str(key), "event": True, **factors} for key in (1, 2, 3)]
    assert {derived.report.columns[pick].counts["held-back"] for pick in PICKS} == {6}


DATES = [
    ("2015-08-02", "2015-08-01", True),
    ("2015-08-01", "2015-08-01", False),
    ("2015-08-01T18:00:00Z", "2015-08-01T06:00:00Z", False),
    # 04:30 UTC on the 2nd, written as the 1st: after the outcome at 01:00 UTC on the 2nd.
    ("2015-08-02T01:00:00Z", "2015-08-01T23:30:00-05:00", False),
    # 20:00 UTC on the 1st, written as the 2nd: the measurement at 22:00 UTC on the 1st comes after it.
    ("2015-08-02T09:00:00+13:00", "2015-08-01T22:00:00Z", False),
    ("2015-08-02T01:00:00Z", "2015-08-01T23:30:00+02:00", True),
    ("2015-08-15", "2015-08", False),
    ("2015-09-01", "2015-08", True),
    ("2015-10-01", "2015", False),
]


def test_no_time_zone_and_no_partial_date_carries_a_fhir_measurement_past_the_outcome(
    fhir: Any, derive_every_pick: Callable[..., Any]
) -> None:
    for number, (outcome, measured, _) in enumerate(DATES):
        key = f"p{number}"
        fhir.patient(key).watched(key).condition(key, outcome).systolic(key, measured, 150)

    derived = derive_every_pick(fhir.write(), kind="fhir")

    used = [150.0 if is_used else None for _, _, is_used in DATES]
    for pick in PICKS:
        assert [row[pick] for row in derived.rows] == used
        assert derived.report.columns[pick].counts["held-back"] == used.count(None)
    assert all(row["event"] for row in derived.rows)


@pytest.mark.parametrize("outcome", ["2015-06-01", "2015-05-31", "2015-06", "2015", "2015-06-02T00:30:00+02:00"])
def test_a_patient_whose_outcome_may_be_at_or_before_the_index_date_is_left_out(
    fhir: Any, derive: Callable[..., Any], outcome: str
) -> None:
    fhir.patient("a").watched("a").condition("a", outcome).systolic("a", "2015-06-01", 150)
    fhir.patient("b").watched("b")

    derived = derive(fhir.write(), "patient systolic event", kind="fhir")

    assert list(derived.by_patient()) == ["b"]
    assert derived.report.excluded["outcome-before-index"] == 1


def test_a_measurement_on_the_index_date_is_used_when_the_outcome_is_on_the_next_day(
    omop: Any, derive: Callable[..., Any]
) -> None:
    omop.person(1).period(1).condition(1, "2015-06-02").measurement(1, "2015-06-01", 131)

    derived = derive(omop.write(), "patient systolic event", kind="omop")

    assert derived.rows == [{"patient": "1", "systolic": 131.0, "event": True}]


def test_a_measurement_after_the_index_date_is_left_out_although_no_outcome_follows(
    omop: Any, derive: Callable[..., Any]
) -> None:
    omop.person(1).period(1).measurement(1, "2015-06-02", 131).measurement(1, "2014-05-31", 132)

    derived = derive(omop.write(), "patient systolic event", kind="omop")

    assert derived.rows == [{"patient": "1", "systolic": None, "event": False}]


@pytest.mark.parametrize(
    ("onset", "recorded", "has_it"),
    [
        ("2014-01-01", "2014-02-01", True),
        ("2014-01-01", None, True),
        (None, "2014-02-01", True),
        ("2014-01-01", "2016-02-01", False),
        ("2014-01-01", "2015-06-02", False),
        ("2014-01-01", "2015-06-01", True),
        ("2015", "2015-03-01", False),
        ("2014", "2014-03-01", True),
    ],
)
def test_a_condition_counts_only_when_it_had_begun_and_was_recorded_by_the_index_date(
    fhir: Any, derive: Callable[..., Any], onset: str | None, recorded: str | None, has_it: bool
) -> None:
    more = {"recordedDate": recorded} if recorded else {}
    fhir.patient("a").watched("a").condition("a", onset, "44054006", **more)

    derived = derive(fhir.write(), "patient diabetes", kind="fhir")

    assert derived.rows == [{"patient": "a", "diabetes": has_it}]


def test_a_condition_recorded_after_the_outcome_is_held_back_inside_a_window_after_the_index_date(
    fhir: Any, derive: Callable[..., Any]
) -> None:
    rule = 'kind = "condition"\ncodes = ["SNOMED:44054006"]\nwindow_days = [-365, 365]\nafter_index = true'
    for key, recorded in (("early", "2015-07-30"), ("late", "2015-08-02")):
        fhir.patient(key).watched(key).condition(key, "2015-08-01")
        fhir.condition(key, "2015-03-01", "44054006", recordedDate=recorded)

    derived = derive(fhir.write(), "patient diabetes event", kind="fhir", diabetes=rule)

    assert {key: row["diabetes"] for key, row in derived.by_patient().items()} == {"early": True, "late": False}
    assert derived.report.columns["diabetes"].counts["held-back"] == 1


def test_the_earliest_of_several_outcomes_limits_every_factor(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1).condition(1, "2015-09-01").condition(1, "2015-07-01", 201826)
    omop.measurement(1, "2015-06-20", 120).measurement(1, "2015-07-15", 180)
    outcome = 'kind = "outcome"\ncodes = ["OMOP:201826"]\nhorizon_days = 1000'
    column = {"diabetes": Column(name="diabetes", title="Diabetes", datatype="boolean", role="outcome")}

    derived = derive(
        omop.write(),
        "patient systolic event diabetes",
        kind="omop",
        systolic=after_index("last"),
        diabetes=outcome,
        columns=column,
    )

    assert derived.rows == [{"patient": "1", "systolic": 120.0, "event": True, "diabetes": True}]


def test_an_outcome_beyond_the_horizon_still_limits_the_factors(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1).condition(1, "2015-08-01").measurement(1, "2015-08-02", 180)
    outcome = 'kind = "outcome"\ncodes = ["OMOP:4329847"]\nhorizon_days = 30'

    derived = derive(omop.write(), "patient systolic event", kind="omop", systolic=after_index("last"), event=outcome)

    assert derived.rows == [{"patient": "1", "systolic": None, "event": False}]


def test_death_as_an_outcome_limits_the_factors_too(fhir: Any, derive: Callable[..., Any]) -> None:
    fhir.patient("a", deceasedDateTime="2015-08-01T10:00:00+00:00").watched("a", end="2015-08-01")
    fhir.systolic("a", "2015-07-31", 120).systolic("a", "2015-08-01", 30).systolic("a", "2015-08-03", 200)
    outcome = 'kind = "outcome"\ndeath = true\nhorizon_days = 365'

    derived = derive(fhir.write(), "patient systolic event", kind="fhir", systolic=after_index("last"), event=outcome)

    assert derived.rows == [{"patient": "a", "systolic": 120.0, "event": True}]


def test_a_coded_answer_after_the_outcome_is_held_back(fhir: Any, derive: Callable[..., Any]) -> None:
    rule = (
        'kind = "coded"\ncodes = ["LOINC:72166-2"]\nwindow_days = [-365, 365]\nafter_index = true\n'
        'answers = [{ level = "0", codes = ["SNOMED:266919005"] }, { level = "1", codes = ["SNOMED:8517006"] }]'
    )
    fhir.patient("a").watched("a").condition("a", "2015-08-01")
    for date, code in (("2015-05-01", "266919005"), ("2015-08-02", "8517006")):
        answer = {"coding": [{"system": "http://snomed.info/sct", "code": code}]}
        fhir.observation("a", date, "72166-2", {"valueCodeableConcept": answer})

    derived = derive(fhir.write(), "patient smoking event", kind="fhir", smoking=rule)

    assert derived.rows == [{"patient": "a", "smoking": "0", "event": True}]


def test_an_index_date_by_last_measurement_does_not_depend_on_what_came_later(
    omop: Any, derive: Callable[..., Any]
) -> None:
    index = 'rule = "last_measurement"\ncodes = ["LOINC:8480-6"]\non_or_before = 2015-01-01'
    omop.person(1).period(1).measurement(1, "2013-05-01", 120).measurement(1, "2014-05-01", 130)
    omop.measurement(1, "2016-05-01", 190).condition(1, "2015-05-01")

    derived = derive(omop.write(), "patient systolic event days", kind="omop", index=index)

    assert derived.rows == [{"patient": "1", "systolic": 130.0, "event": True, "days": 365}]
