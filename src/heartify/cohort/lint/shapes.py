"""Find columns whose values have a suspicious shape: always the same, an outcome that never varies, clipped at a limit.

Also times that are not positive, and dates that lie in the future or before 1900. The caller says which day it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np

from heartify.cohort.lint.batch_view import BatchView, Numbers
from heartify.cohort.lint.findings import Finding, describe_share
from heartify.cohort.lint.watch import Seen
from heartify.protocol.column_naming import is_age
from heartify.protocol.dictionary import Column, DataDictionary

MIN_ROWS = 50
"""Fewer may be alike by chance: a level of nine patients in ten fills fifty rows once in two hundred cohorts."""
CLIPPED_SHARE = 0.01
"""Less than this share of the rows at a limit doesn't change what a study finds."""
MIN_CLIPPED = 10
PILE = 3
"""Clipping piles values up at the limit: more than this many times the commonest value beside it."""
BESIDE = 0.1
"""How much of the spread (5th to 95th percentile) counts as beside a limit."""
_EPOCH = dt.date(1970, 1, 1)
_FIRST_DAY = (dt.date(1900, 1, 1) - _EPOCH).days


class ConstantWatch:
    """Find columns, and outcomes, that have one value only."""

    def __init__(self, dictionary: DataDictionary) -> None:
        self._columns = dictionary.published_columns
        self._lowest = {column.name: np.inf for column in self._columns}
        self._highest = {column.name: -np.inf for column in self._columns}

    def add(self, batch: BatchView) -> None:
        """Keep the ends of each column; they are compared and never told."""
        for name, lowest in self._lowest.items():
            known = batch.known(name)
            if len(known):
                self._lowest[name] = min(lowest, float(known.min()))
                self._highest[name] = max(self._highest[name], float(known.max()))

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield a finding for each column that doesn't vary."""
        for column in self._columns:
            if seen.known[column.name] < MIN_ROWS or self._lowest[column.name] != self._highest[column.name]:
                continue
            if column.role == "outcome":
                message, hint = "all patients have the same outcome", "check how events were found, and their coding"
                yield Finding("outcome-constant", column.name, message, hint)
            else:
                message, hint = "it has the same value in all rows", "leave the column out, or look for a failed join"
                yield Finding("constant", column.name, message, hint)


class TimeWatch:
    """Find times that are not positive and dates that can't be."""

    def __init__(self, dictionary: DataDictionary, today: dt.date | None) -> None:
        self._times = [
            column.name
            for column in dictionary.published_columns
            if column.role == "time" and column.datatype in {"number", "integer"}
        ]
        self._dates = [column.name for column in dictionary.published_columns if column.datatype == "date"]
        self._today = np.inf if today is None else (today - _EPOCH).days
        self._not_positive = dict.fromkeys(self._times, 0)
        self._early = dict.fromkeys(self._dates, 0)
        self._late = dict.fromkeys(self._dates, 0)

    def add(self, batch: BatchView) -> None:
        """Count times and dates that can't be."""
        for name in self._times:
            self._not_positive[name] += int(np.count_nonzero(batch.numbers(name) <= 0))
        for name in self._dates:
            self._early[name] += int(np.count_nonzero(batch.numbers(name) < _FIRST_DAY))
            self._late[name] += int(np.count_nonzero(batch.numbers(name) > self._today))

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield a finding for each column with such rows."""
        kinds = (
            ("time-not-positive", self._not_positive, "the time is zero or negative", "check the index date"),
            ("date-before-1900", self._early, "the date is before 1900", "look for codes of 'not known'"),
            ("date-in-future", self._late, "the date lies in the future", "look for typing errors and planned dates"),
        )
        for code, counts, message, hint in kinds:
            for name, count in counts.items():
                if count:
                    yield Finding(code, name, f"in {describe_share(count, seen.rows)} {message}", hint)


def lint_limits(dictionary: DataDictionary, seen: Seen) -> Iterator[Finding]:
    """Yield a finding for each measurement that was clipped at a declared limit.

    Counts and scores touch their limits by nature, so only columns with a unit are looked at; zero is a natural end,
    and ages are clipped on purpose.
    """
    for column in dictionary.published_columns:
        if column.unit == "1" or (column.minimum is None and column.maximum is None):
            continue
        values = seen.sample.known(column.name)
        limits = [column.minimum, None if is_age(column) else column.maximum]
        if any(limit is not None and limit != 0 and _is_clipped(values, limit) for limit in limits):
            yield _clipped_finding(column)


def _is_clipped(values: Numbers, limit: float) -> bool:
    at_limit = int(np.count_nonzero(values == limit))
    if at_limit < max(MIN_CLIPPED, CLIPPED_SHARE * len(values)) or at_limit == len(values):
        return False
    low, high = np.percentile(values, (5, 95))
    beside = values[(values != limit) & (np.abs(values - limit) <= BESIDE * max(high - low, abs(limit) * 0.01))]
    commonest = int(np.unique(beside, return_counts=True)[1].max()) if len(beside) else 0
    return at_limit > PILE * max(1, commonest)


def _clipped_finding(column: Column) -> Finding:
    return Finding(
        "limits-touch",
        column.name,
        "many values lie exactly at a declared limit",
        "if the source cut them off there, say so in the description, or make them missing",
    )
