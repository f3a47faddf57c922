"""Find persons who are there twice, and rows without a person: by id, and by rows that agree in every column.

Ids and rows are counted by their hashes, all of them up to millions, a random part beyond. Chance makes equal rows
where columns are few and coarse, so equal rows are only doubted when there are many more of them than chance makes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from heartify.cohort.lint.batch_view import BatchView
from heartify.cohort.lint.findings import Finding, describe_share
from heartify.cohort.lint.hash_counts import MAX_DISTINCT, HashCounts
from heartify.cohort.lint.stable_hashes import RowHasher, hash_texts
from heartify.cohort.lint.watch import Seen
from heartify.protocol.dictionary import DataDictionary

MIN_EQUAL_PAIRS = 3
"""One or two equal pairs of rows may be chance even where it seems unlikely."""
BEYOND_CHANCE = 10
"""Columns depend on each other, which makes more equal rows than the product of their shares says."""
MAX_CHANCE_PER_ROW = 0.01
"""Where chance makes an equal pair in every hundred rows, equal rows say nothing."""
MIN_KNOWN_COLUMNS = 2
"""Rows with nothing known are alike without being one person."""


class IdWatch:
    """Count how often each id of one id column occurs, and how often it is missing."""

    def __init__(self, name: str, *, max_distinct: int = MAX_DISTINCT) -> None:
        self._name = name
        self._counts = HashCounts(max_distinct=max_distinct)
        self._missing = 0

    def add(self, batch: BatchView) -> None:
        """Count the ids of a batch; blanks around an id do not matter."""
        ids = batch.ids(self._name)
        self._missing += batch.rows - len(ids)
        self._counts.add(hash_texts(ids))

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield doubts about repeated and missing ids."""
        counts = self._counts.counts()
        factor = self._counts.sampling_factor
        repeated = int(counts[counts > 1].sum()) * factor
        if repeated:
            estimated = "" if factor == 1 else ", estimated from a part of the ids"
            yield Finding(
                "duplicate-person",
                self._name,
                f"{describe_share(repeated, seen.rows)} share their id with another row{estimated}",
                "keep one row a patient; the rules on changes between versions count persons by it",
            )
        if self._missing:
            yield Finding(
                "missing-id",
                self._name,
                f"{describe_share(self._missing, seen.rows)} have no id",
                "give each patient an id; opt-outs can't be applied without it",
            )


class EqualRowsWatch:
    """Count rows that agree in every published column."""

    def __init__(self, dictionary: DataDictionary, *, max_distinct: int = MAX_DISTINCT // 4) -> None:
        self._names = [column.name for column in dictionary.published_columns]
        self._hasher = RowHasher(self._names)
        self._counts = HashCounts(max_distinct=max_distinct)

    def add(self, batch: BatchView) -> None:
        """Count the rows of a batch that have at least two known values."""
        known = np.zeros(batch.rows, np.int64)
        for name in self._names:
            known += ~np.isnan(batch.numbers(name))
        self._counts.add(self._hasher.hash_rows(batch)[known >= MIN_KNOWN_COLUMNS])

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield one when there are many more equal rows than chance makes."""
        counts = self._counts.counts()
        factor = self._counts.sampling_factor
        pairs = float((counts * (counts - 1) // 2).sum()) * factor
        expected = seen.rows * (seen.rows - 1) / 2 * _chance_of_equality(seen.sample, self._names)
        if expected > MAX_CHANCE_PER_ROW * seen.rows or pairs < max(MIN_EQUAL_PAIRS, BEYOND_CHANCE * expected):
            return
        repeated = int(counts[counts > 1].sum()) * factor
        yield Finding(
            "duplicate-rows",
            "cohort",
            f"{describe_share(repeated, seen.rows)} are equal to another row in every published column",
            "look for patients who were exported twice",
        )


def _chance_of_equality(sample: BatchView, names: list[str]) -> float:
    """Return the probability that two patients agree in every column if the columns were independent."""
    chance = 1.0
    for name in names:
        # NaN is one value here: two missing values are equal.
        counts = np.unique(sample.numbers(name), return_counts=True, equal_nan=True)[1].astype(np.float64)
        rows = counts.sum()
        if rows > 1:
            chance *= float((counts * (counts - 1)).sum() / (rows * (rows - 1)))
    return chance
