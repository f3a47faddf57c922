"""How many patients two versions provably differ in, counted bucket by bucket of digests, in bounded memory.

Who knows two results, one with and one without a patient, knows that patient (disclosure by differencing). So what
counts is what can't have another cause: every rule of `Changes.provable` errs towards fewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heartify.cohort.changes.ledger import Ledger, Words, bucket_ranges

_Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs between two versions: patients when `by_person`, and rows' contents when `same_columns`.

    `common` patients are in both versions, `altered` ones of these have other contents; `smaller` is the number of
    patients of the version that has fewer. Rows are counted with their repetitions.
    """

    by_person: bool
    same_columns: bool
    added: int = 0
    removed: int = 0
    altered: int = 0
    common: int = 0
    smaller: int = 0
    rows_added: int = 0
    rows_removed: int = 0

    @property
    def comparable(self) -> bool:
        """Whether anything can be told at all."""
        return self.by_person or self.same_columns

    @property
    def provable(self) -> int:
        """The number of patients in which the versions differ for certain.

        With ids and the same columns, patients added, removed and altered; but no more than rows differ (ids that are
        drawn anew at each export make all patients look new), and without the altered ones when they are most: that
        is a correction of a whole column, which hides nobody. With ids and other columns, patients added and removed,
        if the versions share at least half of the patients, so that the ids are shown to last. Without ids but with the
        same columns, the larger of rows added and removed: one altered patient is one of each.
        """
        if self.by_person and self.same_columns:
            altered = self.altered if 2 * self.altered <= self.common else 0
            return min(self.added + self.removed + altered, self.rows_added + self.rows_removed)
        if self.by_person:
            return self.added + self.removed if 2 * self.common >= self.smaller else 0
        return max(self.rows_added, self.rows_removed) if self.same_columns else 0


def count_changes(earlier: Ledger, later: Ledger) -> Changes:
    """Compare two ledgers of one dataset; both must have been opened with the dataset's key."""
    before, after = earlier.header, later.header
    by_person = before.id_columns is not None and before.id_columns == after.id_columns
    same_columns = before.declaration == after.declaration
    totals = np.zeros(6, np.int64)
    for first, last in bucket_ranges(max(before.rows, after.rows)):
        if by_person:
            totals[:4] += _count_persons(earlier.persons(first, last), later.persons(first, last))
        if same_columns:
            totals[4:] += _count_rows(earlier.contents(first, last), later.contents(first, last))
    common, altered, persons_before, persons_after = (int(total) for total in totals[:4])
    return Changes(
        by_person=by_person,
        same_columns=same_columns,
        added=persons_after - common,
        removed=persons_before - common,
        altered=altered if same_columns else 0,
        common=common,
        smaller=min(persons_before, persons_after),
        rows_added=int(totals[4]),
        rows_removed=int(totals[5]),
    )


def _count_persons(before: tuple[Words, Words], after: tuple[Words, Words]) -> _Counts:
    """Return the patients in both, those of them with other contents, and the patients of each."""
    (ids_before, sums_before, rows_before), (ids_after, sums_after, rows_after) = _grouped(*before), _grouped(*after)
    common, at_before, at_after = np.intersect1d(ids_before, ids_after, assume_unique=True, return_indices=True)
    same = (sums_before[at_before] == sums_after[at_after]) & (rows_before[at_before] == rows_after[at_after])
    return np.array([common.size, np.count_nonzero(~same), ids_before.size, ids_after.size], np.int64)


def _grouped(persons: Words, contents: Words) -> tuple[Words, Words, _Counts]:
    """Return each patient once, the sum of the digests of his rows, and how many rows he has.

    Sums modulo 2**64 of values that nobody can predict are equal for equal rows in any order; for others, by a chance
    of 2**-64.
    """
    if not persons.size:
        return persons, contents, np.empty(0, np.int64)
    order = np.argsort(persons)
    persons, contents = persons[order], contents[order]
    starts = np.flatnonzero(np.concatenate([[True], persons[1:] != persons[:-1]]))
    return persons[starts], np.add.reduceat(contents, starts), np.diff(np.append(starts, persons.size))


def _count_rows(before: Words, after: Words) -> _Counts:
    """Return the rows that were added and removed, as multisets."""
    values = np.concatenate([before, after])
    signs = np.concatenate([np.full(before.size, -1, np.int64), np.ones(after.size, np.int64)])
    if not values.size:
        return np.zeros(2, np.int64)
    order = np.argsort(values)
    values, signs = values[order], signs[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    surplus = np.add.reduceat(signs, starts)
    return np.array([surplus[surplus > 0].sum(), -surplus[surplus < 0].sum()], np.int64)
