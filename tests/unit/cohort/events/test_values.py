"""Values of measurements and answers: units, comparators, limits, picks; every fault is counted, none repaired."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from heartify.errors import InputError
from heartify.protocol.dictionary import Column

CHOLESTEROL = 'kind = "measurement"\ncodes = ["LOINC:2093-3"]\nwindow_days = [-365, 0]\npick = "'
SYSTOLIC = 'kind = "measurement"\ncodes = ["LOINC:8480-6"]\nwindow_days = [-365, 0]\npick = "last"\n'
MGDL, MMOLL, KPA, UNKNOWN = 8840, 8753, 44777602, 777


def test_each_row_is_converted_from_its_own_unit(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1).person(2).period(2)
    omop.measurement(1, "2015-01-01", 200, concept=3027114, unit_concept_id=MGDL)
    omop.measurement(2, "2015-01-01", 5.2, concept=3027114, unit_concept_id=MMOLL)
    omop.measurement(1, "2015-01-01", 16, unit_concept_id=KPA)

    derived = derive(omop.write(), "patient systolic cholesterol", kind="omop")

    assert derived.rows == [
        {"patient": "1", "systolic": 120.0, "cholesterol": 5.17},
        {"patient": "2", "systolic": None, "cholesterol": 5.2},
    ]
    assert derived.report.columns["cholesterol"].counts["converted"] == 1
    assert derived.report.columns["systolic"].counts["converted"] == 1


def test_every_fault_of_a_row_is_counted_under_its_name_and_gives_no_value(
    omop: Any, derive: Callable[..., Any]
) -> None:
    omop.person(1).period(1)
    for value, more in (
        ("", {}),
        (120, {"unit_concept_id": 0}),
        (120, {"unit_concept_id": UNKNOWN}),
        (120, {"unit_concept_id": MGDL}),
        (120, {"unit_concept_id": 0, "unit_source_value": "mmHg"}),
        (120, {"operator_concept_id": 4171756}),
        (120, {"operator_concept_id": 999}),
        (0, {}),
        (1200, {}),
    ):
        omop.measurement(1, "2015-01-01", value, **more)

    derived = derive(omop.write(), "patient systolic", kind="omop")

    assert derived.rows == [{"patient": "1", "systolic": None}]
    assert derived.report.columns["systolic"].counts == {
        "events": 9,
        "converted": 0,
        "without-value": 1,
        "without-unit": 1,
        "other-unit": 3,
        "with-comparator": 2,
        "outside-limits": 2,
        "held-back": 0,
    }


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"unit_concept_id": 0}, 'without_unit = "refuse"'),
        ({"unit_concept_id": UNKNOWN}, 'other_units = "refuse"'),
        ({"operator_concept_id": 4172704}, 'comparators = "refuse"'),
    ],
)
def test_a_mapping_can_refuse_what_would_be_counted(
    omop: Any, derive: Callable[..., Any], more: dict[str, int], refusal: str
) -> None:
    omop.person(1).period(1).measurement(1, "2015-01-01", 123, **more)
    source = omop.write()

    counted = derive(source, "patient systolic", kind="omop", systolic=SYSTOLIC)

    assert counted.rows == [{"patient": "1", "systolic": None}]
    with pytest.raises(InputError, match=r"column 'systolic': 1 event") as error:
        derive(source, "patient systolic", kind="omop", systolic=SYSTOLIC + refusal)
    assert "123" not in error.value.message


def test_a_unit_can_be_assumed_and_a_comparators_limit_be_used(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1).measurement(1, "2015-01-01", 16, unit_concept_id="")
    omop.person(2).period(2).measurement(2, "2015-01-01", 260, operator_concept_id=4172704)
    rule = SYSTOLIC + 'assume_unit = "kPa"\ncomparators = "use_limit"'

    derived = derive(omop.write(), "patient systolic", kind="omop", systolic=rule)

    assert [row["systolic"] for row in derived.rows] == [120.0, 260.0]


@pytest.mark.parametrize(
    ("pick", "value"),
    [("last", 5.0), ("first", 4.0), ("mean", 5.33), ("median", 5.0), ("minimum", 4.0), ("maximum", 7.0)],
)
def test_each_pick_takes_its_value(omop: Any, derive: Callable[..., Any], pick: str, value: float) -> None:
    omop.person(1).period(1)
    for date, number in (("2015-03-01", 7), ("2015-01-01", 4), ("2015-06-01", 5), ("2014-05-31", 1.5)):
        omop.measurement(1, date, number, concept=3027114, unit_concept_id=MMOLL)

    derived = derive(omop.write(), "patient cholesterol", kind="omop", cholesterol=f'{CHOLESTEROL}{pick}"')

    assert derived.rows == [{"patient": "1", "cholesterol": value}]


def test_the_time_of_day_orders_measurements_of_one_day(fhir: Any, derive: Callable[..., Any]) -> None:
    fhir.patient("a").watched("a")
    fhir.systolic("a", "2015-06-01T12:00:00Z", 140).systolic("a", "2015-06-01T13:00:00+02:00", 150)

    derived = derive(fhir.write(), "patient systolic", kind="fhir")

    assert derived.rows == [{"patient": "a", "systolic": 140.0}]


def test_a_whole_number_column_is_rounded_after_the_mean(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1).measurement(1, "2015-01-01", 120.4).measurement(1, "2015-01-02", 121.4)
    column = Column(name="systolic", title="Systolic", datatype="integer", role="factor", unit="mm[Hg]")
    rule = SYSTOLIC.replace("last", "mean")

    derived = derive(omop.write(), "patient systolic", kind="omop", systolic=rule, columns={"systolic": column})

    assert derived.rows == [{"patient": "1", "systolic": 121}]


def test_a_plain_number_needs_no_unit(fhir: Any, derive: Callable[..., Any]) -> None:
    fhir.patient("a").watched("a").observation("a", "2015-01-01", "8480-6", {"valueInteger": 7})
    column = Column(name="systolic", title="Score", datatype="integer", role="factor")

    derived = derive(fhir.write(), "patient systolic", kind="fhir", columns={"systolic": column})

    assert derived.rows == [{"patient": "a", "systolic": 7}]


def answer(*codes: str) -> dict[str, Any]:
    codings = [{"system": "http://snomed.info/sct", "code": code} for code in codes]
    return {"valueCodeableConcept": {"coding": codings}}


def test_an_answer_becomes_its_level_and_one_that_is_not_listed_is_passed_over_and_counted(
    fhir: Any, derive: Callable[..., Any]
) -> None:
    for key in "abc":
        fhir.patient(key).watched(key)
    fhir.observation("a", "2015-01-01", "72166-2", answer("8517006", "1"))
    fhir.observation("a", "2015-02-01", "72166-2", answer("266927001"))
    fhir.observation("b", "2015-02-01", "72166-2", answer("8517006", "449868002"))

    derived = derive(fhir.write(), "patient smoking", kind="fhir")

    assert {key: row["smoking"] for key, row in derived.by_patient().items()} == {"a": "1", "b": None, "c": None}
    assert derived.report.columns["smoking"].counts["without-value"] == 2


def test_an_omop_answer_is_its_value_concept(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1)
    row = {"observation_id": 1, "person_id": 1, "observation_concept_id": 43054909, "observation_date": "2015-01-01"}
    omop.add("OBSERVATION", row | {"value_as_concept_id": 4276526})

    derived = derive(omop.write(), "patient smoking", kind="omop")

    assert derived.rows == [{"patient": "1", "smoking": "2"}]
    assert "SNOMED:8517006" in derived.report.codes_not_found


def test_sexes_become_their_levels_and_an_unknown_one_is_missing(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1, sex=8507).period(1).person(2, sex=8532).period(2).person(3, sex=0).period(3)

    derived = derive(omop.write(), "patient male", kind="omop")

    assert [row["male"] for row in derived.rows] == [True, False, None]


def test_a_prefix_of_icd_codes_finds_every_code_below_it(fhir: Any, omop: Any, derive: Callable[..., Any]) -> None:
    rule = 'kind = "condition"\ncodes = ["ICD10CM:I21*"]'
    for key, code in (("a", "I21.9"), ("b", "I22.0")):
        fhir.patient(key).watched(key)
        coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}
        fhir.condition(key, "2014-01-01", code={"coding": [coding]})
    for key, concept in ((1, 501), (2, 502)):
        omop.person(key).period(key).condition(key, "2014-01-01", 0, condition_source_concept_id=concept)
    for concept, code in ((501, "I21.9"), (502, "I22.0")):
        omop.add("CONCEPT", {"concept_id": concept, "vocabulary_id": "ICD10CM", "concept_code": code})

    of_fhir = derive(fhir.write(), "patient diabetes", kind="fhir", diabetes=rule)
    of_omop = derive(omop.write(), "patient diabetes", kind="omop", diabetes=rule)

    assert [row["diabetes"] for row in of_fhir.rows] == [True, False]
    assert [row["diabetes"] for row in of_omop.rows] == [True, False]


def test_a_code_that_no_concept_is_known_for_is_refused(omop: Any, derive: Callable[..., Any]) -> None:
    omop.person(1).period(1)
    rule = 'kind = "condition"\ncodes = ["SNOMED:44054006"]'

    with pytest.raises(InputError, match="no concept is known for SNOMED:44054006"):
        derive(omop.write(), "patient diabetes", kind="omop", diabetes=rule)
