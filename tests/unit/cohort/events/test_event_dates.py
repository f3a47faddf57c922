"""FHIR dates with every doubt kept."""

from __future__ import annotations

import datetime as dt

import pytest

from heartify.cohort.events.event_dates import middle, parse_fhir_date


@pytest.mark.parametrize(
    ("text", "day", "earliest", "latest"),
    [
        ("2015-03-01", "2015-03-01", "2015-03-01", "2015-03-01"),
        ("2015-03", None, "2015-03-01", "2015-03-31"),
        ("2016-02", None, "2016-02-01", "2016-02-29"),
        ("2015", None, "2015-01-01", "2015-12-31"),
        ("2015-03-01T10:00:00Z", "2015-03-01", "2015-03-01", "2015-03-01"),
        ("2015-03-01T10:00Z", "2015-03-01", "2015-03-01", "2015-03-01"),
        ("2015-03-01T23:30:00-05:00", "2015-03-01", "2015-03-01", "2015-03-02"),
        ("2015-03-01T00:30:00.125+02:00", "2015-03-01", "2015-02-28", "2015-03-01"),
        ("2016-12-31T23:59:60Z", "2016-12-31", "2016-12-31", "2016-12-31"),
        ("2015-03-01T10:00:00", "2015-03-01", "2015-03-01", "2015-03-01"),
    ],
)
def test_a_date_knows_its_day_and_between_which_days_it_lies(
    text: str, day: str | None, earliest: str, latest: str
) -> None:
    date = parse_fhir_date(text)

    assert date is not None
    assert date.day == (None if day is None else dt.date.fromisoformat(day))
    assert (date.earliest.isoformat(), date.latest.isoformat()) == (earliest, latest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "15",
        "0000",
        "2015-13",
        "2015-02-29",
        "2015-3-1",
        "2015-03-01T",
        "2015-03-01T24:00:00Z",
        "2015-03-01T10:00:00+15:00",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:00:00-10:00",
        "2015-03-01 10:00:00",
        "٢٠١٥-03-01",
        "2015-03-01\n",
        "2015-03-01T10:00:00." + "0" * 40 + "Z",
    ],
)
def test_what_is_no_date_of_fhir_is_none(text: str) -> None:
    assert parse_fhir_date(text) is None


@pytest.mark.parametrize(
    ("text", "day"), [("2015", "2015-07-01"), ("2015-03", "2015-03-15"), ("2015-03-02", "2015-03-02")]
)
def test_a_birth_date_stands_in_the_middle_of_what_is_known(text: str, day: str) -> None:
    date = parse_fhir_date(text)

    assert date is not None
    assert middle(date).isoformat() == day
