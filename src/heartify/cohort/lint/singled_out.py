"""Find patients who stand alone: rare levels, and rare combinations of what others may know about a person.

Every row is counted, by the hash of its combination. Age in whole years and sex alone are not doubted: the HIPAA
Safe Harbor, 45 CFR 164.514(b)(2), permits both. A finding names columns and shares, never a level or a combination.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from heartify.cohort.lint.batch_view import BatchView
from heartify.cohort.lint.findings import Finding, describe_share
from heartify.cohort.lint.hash_counts import MAX_DISTINCT, HashCounts
from heartify.cohort.lint.quasi_identifiers import quasi_identifier_kind
from heartify.cohort.lint.stable_hashes import RowHasher
from heartify.cohort.lint.watch import Seen
from heartify.protocol.column_naming import is_age
from heartify.protocol.dictionary import DataDictionary

MIN_PATIENTS = 10
"""k: fewer patients than this must not be told apart (SDC profile 1, rule 9)."""
RARE_LEVEL_ROWS = 1000
"""Below this, most clinical categories have a rare level; the disclosure rules of the enclave withhold those cells."""


def lint_rare_levels(dictionary: DataDictionary, seen: Seen) -> Iterator[Finding]:
    """Yield a finding for each category with a level of 1 to 9 patients that could be merged with another.

    A category of two levels can't be merged. In small cohorts only what others may know about a person is doubted.
    """
    for column in dictionary.published_columns:
        if column.datatype != "category":
            continue
        counts = [count for count in seen.level_counts[column.name].values() if count]
        is_known_to_others = quasi_identifier_kind(column) is not None
        if len(counts) < 3 or not (is_known_to_others or seen.rows >= RARE_LEVEL_ROWS):
            continue
        rare = [count for count in counts if count < MIN_PATIENTS]
        if rare:
            yield Finding(
                "rare-level",
                column.name,
                f"it has levels with fewer than {MIN_PATIENTS} patients",
                "merge them with others at the source, or make them missing",
            )


class CombinationWatch:
    """Count the patients who share each combination of quasi-identifiers."""

    def __init__(self, dictionary: DataDictionary, *, max_distinct: int = MAX_DISTINCT // 4) -> None:
        columns = [column for column in dictionary.published_columns if quasi_identifier_kind(column) is not None]
        self._names = [column.name for column in columns]
        self._ages = [column.name for column in columns if is_age(column) and column.unit == "a"]
        kinds = [quasi_identifier_kind(column) for column in columns]
        # One of each, in whole years: nothing to doubt. An age in days is nearly a date of birth.
        self._is_basic = sorted(kind or "" for kind in kinds) == ["age", "sex"] and bool(self._ages)
        self._whole_years = True
        self._hasher = RowHasher(self._names)
        self._counts = HashCounts(max_distinct=max_distinct)

    def add(self, batch: BatchView) -> None:
        """Count the combinations of a batch."""
        if len(self._names) < 2:
            return
        for name in self._ages:
            ages = batch.known(name)
            self._whole_years &= bool(np.all(ages == np.floor(ages)))
        self._counts.add(self._hasher.hash_rows(batch))

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield one when a combination has fewer than k patients."""
        if len(self._names) < 2 or (self._is_basic and self._whole_years):
            return
        counts = self._counts.counts()
        factor = self._counts.sampling_factor
        few = int(counts[counts < MIN_PATIENTS].sum()) * factor
        alone = int(np.count_nonzero(counts == 1)) * factor
        if few == 0:
            return
        estimated = "" if factor == 1 else ", estimated from a part of the combinations"
        yield Finding(
            "unique-combination",
            "+".join(self._names),
            f"{describe_share(few, seen.rows)} share these values with fewer than {MIN_PATIENTS} patients, "
            f"{describe_share(alone, seen.rows)} with nobody{estimated}",
            "publish coarser values (whole years, larger regions, fewer groups), or leave a column out",
        )
