"""Look for direct identifiers in the plaintext before it is encrypted: by column name, by pattern, by shape.

A linter, not a proof of anonymity: it finds what HIPAA Safe Harbor (45 CFR 164.514(b)(2)) lists as far as typed columns
can hold it: names, contact data, postcodes, full dates, ages over 89, record numbers, free text. Columns of role `id`
are exempt because they are never written. A finding names the column and never a value.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator

import numpy as np

from heartify.cohort.lint.batch_view import BatchView, Mask, Numbers
from heartify.cohort.lint.findings import Finding, describe_share
from heartify.cohort.lint.identifying_names import LEAVE_OUT, lint_name
from heartify.cohort.lint.identifying_texts import identifying_kind
from heartify.cohort.lint.watch import Seen
from heartify.protocol.column_naming import is_age
from heartify.protocol.dictionary import Column, DataDictionary

MAX_AGE_YEARS = 89
MIN_UNIQUE_ROWS = 20
MANY_LEVELS = 50
NEARLY_ALL = 0.9
"""A pattern is the column's pattern when more than this share of the values has it; other shares are coincidence."""
NEARLY_DISTINCT = 0.99
"""Record numbers are all different but for duplicates; measurements in thousands of patients repeat."""
MIN_NEARLY_DISTINCT_ROWS = 1000
MIN_POSTCODES = 10

_UNITS_IN_A_YEAR = {"a": 1.0, "mo": 12.0, "d": 365.25}


class AgeAndDateWatch:
    """Count ages over 89 and full dates, in every row."""

    def __init__(self, dictionary: DataDictionary) -> None:
        self._ages = [column for column in dictionary.published_columns if is_age(column)]
        self._dates = [column for column in dictionary.published_columns if column.datatype == "date"]
        self._old = {column.name: 0 for column in self._ages}
        self._full = {column.name: 0 for column in self._dates}

    def add(self, batch: BatchView) -> None:
        """Count the rows of a batch."""
        for column in self._ages:
            years = batch.numbers(column.name) / _UNITS_IN_A_YEAR.get(column.unit, 1.0)
            # 89.x years are 89; the rule is about ages of 90 and more.
            self._old[column.name] += int(np.count_nonzero(years >= MAX_AGE_YEARS + 1))
        for column in self._dates:
            days = batch.known(column.name).astype(np.int64).astype("datetime64[D]")
            self._full[column.name] += int(np.count_nonzero(days != days.astype("datetime64[Y]").astype(days.dtype)))

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield a finding for each column with such rows."""
        for name, count in self._old.items():
            if count:
                share = describe_share(count, seen.known[name])
                yield Finding("age-over-89", name, f"{share} hold ages over 89", "recode them as 90")
        for name, count in self._full.items():
            # The first of January in every row is a year, which may be told.
            if count or not seen.known[name]:
                yield Finding("full-date", name, "full dates identify people", "publish a year or a duration")


def lint_identifiers(dictionary: DataDictionary, seen: Seen) -> Iterator[Finding]:
    """Yield the findings on direct identifiers in the columns that would be written."""
    for column in dictionary.published_columns:
        yield from lint_name(column)
        if column.datatype == "category":
            yield from _lint_levels(column, seen)
        elif column.datatype in {"number", "integer"}:
            yield from _lint_numbers(column, seen)


def _lint_levels(column: Column, seen: Seen) -> Iterator[Finding]:
    """Lint level codes (they are in the public dictionary, labels too) and how many levels the rows have."""
    texts = [text.strip() for level in column.levels for text in (level.code, level.label)]
    kinds = collections.Counter(kind for kind in map(identifying_kind, texts) if kind is not None)
    for kind, count in kinds.items():
        # Labels such as 'Typical Angina' look like a person; many of them would not.
        if kind != "person" or count > MANY_LEVELS // 5:
            yield Finding(f"pattern-{kind}", column.name, f"a level looks like a {kind}", LEAVE_OUT)
    if any(len(code) > 40 or len(code.split()) > 4 for code in column.level_codes):
        yield Finding("free-text", column.name, "a level code looks like free text", "recode it to short codes")
    used = sum(count > 0 for count in seen.level_counts[column.name].values())
    if len(column.levels) > MANY_LEVELS and used > seen.known[column.name] / 5:
        yield Finding("id-like", column.name, "most rows have a level of their own", LEAVE_OUT)


def _lint_numbers(column: Column, seen: Seen) -> Iterator[Finding]:
    values = seen.sample.known(column.name)
    if len(values) == 0 or np.any(values != np.floor(values)):
        return
    if np.mean(_look_like_dates(values)) > NEARLY_ALL:
        yield Finding("pattern-date", column.name, "its numbers look like dates", "publish a year or a duration")
    elif np.mean(np.abs(values) >= 1e8) > NEARLY_ALL:
        yield Finding("pattern-number", column.name, "its numbers are as long as phone or record numbers", LEAVE_OUT)
    elif column.unit != "1":
        return  # a measurement
    elif _is_id_like(values, is_whole=len(values) == seen.known[column.name]):
        yield Finding("id-like", column.name, "nearly every row has a number of its own", LEAVE_OUT)
    elif _look_like_postcodes(values):
        yield Finding("pattern-postcode", column.name, "its numbers look like postcodes", "publish a larger region")


def _is_id_like(values: Numbers, *, is_whole: bool) -> bool:
    """Tell whether whole numbers are (nearly) all different, or count the rows (5 or more)."""
    distinct = len(np.unique(values))
    if len(values) >= MIN_NEARLY_DISTINCT_ROWS and distinct >= NEARLY_DISTINCT * len(values):
        return True
    if distinct < len(values):
        return False
    counts_rows = is_whole and len(values) >= 5 and values.max() - values.min() == len(values) - 1
    return len(values) >= MIN_UNIQUE_ROWS or bool(counts_rows)


def _look_like_dates(values: Numbers) -> Mask:
    """Tell which whole numbers read as YYYYMMDD of the years 1900 to 2099."""
    year, rest = np.divmod(values, 10_000)
    month, day = np.divmod(rest, 100)
    return (year >= 1900) & (year < 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)


def _look_like_postcodes(values: Numbers) -> bool:
    """Tell whether all whole numbers have five digits (a leading zero may be lost), or four that are no years."""
    distinct = np.unique(values)
    if len(distinct) < MIN_POSTCODES:
        return False
    has_five = np.mean((values >= 10_000) & (values <= 99_999)) > NEARLY_ALL and distinct[0] >= 1000
    has_four = distinct[0] >= 1000 and distinct[-1] <= 9999 and np.mean((values >= 1900) & (values < 2100)) < 0.5
    return bool((has_five and distinct[-1] <= 99_999) or has_four)
