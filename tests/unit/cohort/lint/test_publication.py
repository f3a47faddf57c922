from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import heartify
from heartify.cohort.lint.findings import Finding, describe_share
from heartify.cohort.lint.publication import check_publishable, check_publishable_survey, lint_cohort
from heartify.cohort.rows import TableRows
from heartify.cohort.survey import survey_rows
from heartify.errors import InputError
from heartify.protocol.canonical import digest_of

SALT = b"s" * 32
REASON = "ethics board approved ages up to 99"
NAME = "age-over-89:age"


@pytest.fixture
def old(cohort: Any, column: Any) -> Any:
    return cohort((column("age", datatype="integer", unit="a"), [60, 97, 60]))


def test_each_finding_must_be_accepted_by_name_with_a_reason(old: Any) -> None:
    report = check_publishable(*old, {NAME: f" {REASON} "}, salt=SALT)

    assert [(entry.name, entry.reason) for entry in report.accepted] == [(NAME, REASON)]
    assert report.digest() == digest_of(report)
    assert report.digest() != check_publishable(*old, {NAME: REASON}, salt=b"t" * 32).digest()
    with pytest.raises(InputError, match="age-over-89:age: fewer than 10 rows hold ages over 89"):
        check_publishable(*old, {}, salt=SALT)
    with pytest.raises(InputError, match="reason for accepting 'age-over-89:age' is missing"):
        check_publishable(*old, {NAME: "   ok    "}, salt=SALT)
    with pytest.raises(InputError, match="were not found: full-date:age"):
        check_publishable(*old, {NAME: REASON, "full-date:age": REASON}, salt=SALT)


def test_a_finding_holds_no_value_of_a_patient(old: Any) -> None:
    with pytest.raises(InputError) as caught:
        check_publishable(*old, {}, salt=SALT)

    assert "97" not in caught.value.message


def test_the_report_says_what_was_judged_by_which_release_and_when(cohort: Any, column: Any) -> None:
    table, dictionary = cohort((column("age", datatype="integer", unit="a"), np.arange(20, 88).repeat(2)))
    day = dt.date(2026, 11, 22)
    survey = survey_rows(TableRows(table, dictionary), random=np.random.default_rng(1), today=day)

    report = check_publishable_survey(survey, dictionary, {}, salt=SALT)

    assert (report.rows_rounded, report.date, report.tool_version) == (135, "2026-11-22", heartify.__version__)
    assert report.dictionary_digest == dictionary.digest()
    assert report.accepted == ()
    assert report == check_publishable(table, dictionary, {}, salt=SALT, today=day)


def test_a_table_that_is_not_the_dictionarys_is_refused(old: Any) -> None:
    table, dictionary = old

    with pytest.raises(InputError, match="not int64"):
        lint_cohort(pa.table({"age": [60.0]}), dictionary)
    with pytest.raises(InputError, match="there is no row"):
        lint_cohort(table.slice(0, 0), dictionary)
    assert [finding.name for finding in lint_cohort(table, dictionary)] == [NAME]


def test_shares_are_told_coarsely() -> None:
    assert describe_share(9, 20) == "fewer than 10 rows"
    assert describe_share(10, 5000) == "less than 1 % of the rows"
    assert describe_share(333, 1000) == "about 33 % of the rows"


def test_a_finding_is_named_by_code_and_column() -> None:
    assert Finding("full-date", "visit", "m", "h").name == "full-date:visit"
