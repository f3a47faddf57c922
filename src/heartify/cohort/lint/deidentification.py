"""Look for direct identifiers in the plaintext before it is encrypted: by column name, by pattern, by shape.

A linter, not a proof of anonymity: it finds what HIPAA Safe Harbor (45 CFR 164.514(b)(2)) lists as far as typed columns
can hold it: names, contact data, postcodes, full dates, ages over 89, record numbers, free text. Columns of role `id`
are exempt because they are never written. A finding names the column and never a value.
"""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heartify.cohort.lint.findings import Finding
from heartify.cohort.table_form import known_numbers
from heartify.protocol.column_naming import is_age, words_of
from heartify.protocol.dictionary import Column, DataDictionary

MAX_AGE_YEARS = 89
MIN_UNIQUE_ROWS = 20
MANY_LEVELS = 50

_UNITS_IN_A_YEAR = {"a": 1.0, "mo": 12.0, "d": 365.25}
_LEAVE_OUT = "leave the column out, or give it the role id (ids are not written)"

# Words of a column name, and pairs of words, that announce a direct identifier.
_IDENTIFYING_WORDS = {
    "name": "name surname firstname lastname forename initials",
    "contact": "email mail phone telephone tel mobile fax url website",
    "address": "address street city town zip zipcode postcode postal plz gps latitude longitude",
    "record-number": "id ids pid mrn ssn nhs passport license licence iban insurance uuid patientid subjectid",
    "birth-date": "dob birthdate birthday",
}
_IDENTIFYING_PAIRS = {("date", "birth"): "birth-date", ("birth", "date"): "birth-date", ("social", "security"): "ssn"}

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_PHONE = re.compile(r"\+?[0-9(][0-9 ()/.-]{6,}[0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})")
_POSTCODE = re.compile(r"[A-Za-z]{1,2}[0-9][0-9A-Za-z]? ?[0-9][A-Za-z]{2}|[0-9]{5}(?:-[0-9]{4})?")
_PERSON = re.compile(r"[A-Z][a-zäöüéèáíóúñç'-]+,? (?:[A-Z]\.? )?[A-Z][a-zäöüéèáíóúñç'-]+")
_CODE_PATTERNS = (("email", _EMAIL), ("date", _DATE), ("phone", _PHONE), ("postcode", _POSTCODE), ("person", _PERSON))


def lint_identifiers(table: pa.Table, dictionary: DataDictionary) -> tuple[Finding, ...]:
    """Return the findings on direct identifiers in the columns that would be written."""
    findings: list[Finding] = []
    for column in dictionary.published_columns:
        values = table.column(column.name)
        findings += _lint_name(column)
        if column.datatype == "date":
            findings.append(
                Finding("full-date", column.name, "full dates identify people", "publish a year or a duration")
            )
        elif column.datatype == "category":
            findings += _lint_levels(column, values)
        elif column.datatype in {"number", "integer"}:
            findings += _lint_numbers(column, known_numbers(values))
    return tuple(findings)


def _lint_name(column: Column) -> Iterator[Finding]:
    words = words_of(column.name)
    kinds = [kind for kind, listed in _IDENTIFYING_WORDS.items() if set(words) & set(listed.split())]
    significant = [word for word in words if word != "of"]
    kinds += [_IDENTIFYING_PAIRS[pair] for pair in itertools.pairwise(significant) if pair in _IDENTIFYING_PAIRS]
    for kind in dict.fromkeys(kinds):
        yield Finding(f"identifier-{kind}", column.name, "its name announces a direct identifier", _LEAVE_OUT)


def _lint_levels(column: Column, values: pa.ChunkedArray) -> Iterator[Finding]:
    """Lint level codes (they are in the public dictionary, labels too) and how many levels the rows have."""
    texts = [text.strip() for level in column.levels for text in (level.code, level.label)]
    kinds = collections.Counter(kind for kind in map(_kind_of_text, texts) if kind is not None)
    for kind, count in kinds.items():
        # Labels such as 'Typical Angina' look like a person; many of them would not.
        if kind != "person" or count > MANY_LEVELS // 5:
            yield Finding(f"pattern-{kind}", column.name, f"a level looks like a {kind}", _LEAVE_OUT)
    if any(len(code) > 40 or len(code.split()) > 4 for code in column.level_codes):
        yield Finding("free-text", column.name, "a level code looks like free text", "recode it to short codes")
    known = len(values) - values.null_count
    if len(column.levels) > MANY_LEVELS and pc.count_distinct(values.cast(pa.string())).as_py() > known / 5:
        yield Finding("id-like", column.name, "most rows have a level of their own", _LEAVE_OUT)


def _kind_of_text(text: str) -> str | None:
    """Return the first kind of identifier that the whole text looks like."""
    return next((kind for kind, pattern in _CODE_PATTERNS if pattern.fullmatch(text)), None)


def _lint_numbers(column: Column, values: npt.NDArray[np.float64]) -> Iterator[Finding]:
    if is_age(column):
        years = values / _UNITS_IN_A_YEAR.get(column.unit, 1.0)
        # 89.x years are 89; the rule is about ages of 90 and more.
        if np.any(years >= MAX_AGE_YEARS + 1):
            yield Finding("age-over-89", column.name, "there are ages over 89", "recode them as 90")
    if len(values) == 0 or np.any(values != np.floor(values)):
        return
    if np.mean(_look_like_dates(values)) > 0.9:
        yield Finding("pattern-date", column.name, "its numbers look like dates", "publish a year or a duration")
    elif np.mean(np.abs(values) >= 1e8) > 0.9:
        yield Finding("pattern-number", column.name, "its numbers are as long as phone or record numbers", _LEAVE_OUT)
    elif _is_id_like(values):
        yield Finding("id-like", column.name, "every row has a number of its own", _LEAVE_OUT)


def _is_id_like(values: npt.NDArray[np.float64]) -> bool:
    """Tell whether whole numbers are all different (20 rows or more), or count the rows (5 or more)."""
    if len(values) >= MIN_UNIQUE_ROWS and len(np.unique(values)) == len(values):
        return True
    return len(values) >= 5 and bool(np.all(np.diff(values) == 1))


def _look_like_dates(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell which whole numbers read as YYYYMMDD of the years 1900 to 2099."""
    year, rest = np.divmod(values, 10_000)
    month, day = np.divmod(rest, 100)
    return (year >= 1900) & (year < 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
