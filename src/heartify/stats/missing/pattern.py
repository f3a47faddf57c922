"""What is missing where: by column and hospital, jointly, and columns that a hospital never measured.

A column that a hospital never measured is not missing at random there: nothing in that hospital's rows says how its
values relate to the rest. It is flagged here, so that it is refused or the hospital left out, and never imputed.
Counts are exact: rounding and suppression of small ones is the disclosure room's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartify.stats.missing.columns import IncompleteTable, IntArray


@dataclass(frozen=True, slots=True)
class JointPattern:
    """Name the columns missing together (none: complete rows), and the number of rows with exactly that gap."""

    missing: tuple[str, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class NeverMeasured:
    """Name a column and a hospital that has rows but not one value of it."""

    column: str
    hospital: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MissingPattern:
    """Hold missing (columns, hospitals), rows (hospitals,) and complete cases (hospitals,), and the joint patterns.

    Joint patterns come with the most frequent first, then by the columns' order.
    """

    columns: tuple[str, ...]
    hospitals: tuple[str, ...]
    missing: IntArray
    rows: IntArray
    complete: IntArray
    joint: tuple[JointPattern, ...]
    never_measured: tuple[NeverMeasured, ...]

    @property
    def incomplete_fraction(self) -> float:
        """Return the part of all rows with at least one gap: what complete-case analysis would drop."""
        return 1.0 - float(self.complete.sum()) / float(self.rows.sum())


def missing_pattern(table: IncompleteTable) -> MissingPattern:
    """Count the gaps of a table; every count adds up over hospitals."""
    gaps = np.column_stack([column.missing for column in table.columns])
    hospitals = len(table.hospitals)
    rows = np.bincount(table.hospital, minlength=hospitals)
    missing = np.array([np.bincount(table.hospital[gap], minlength=hospitals) for gap in gaps.T])
    complete = np.bincount(table.hospital[~gaps.any(axis=1)], minlength=hospitals)
    never = [NeverMeasured(table.names[c], table.hospitals[h]) for c, h in np.argwhere(missing == rows)]
    return MissingPattern(
        columns=table.names,
        hospitals=table.hospitals,
        missing=missing.astype(np.int64),
        rows=rows.astype(np.int64),
        complete=complete.astype(np.int64),
        joint=_joint_patterns(gaps, table.names),
        never_measured=tuple(never),
    )


def _joint_patterns(gaps: NDArray[np.bool_], names: tuple[str, ...]) -> tuple[JointPattern, ...]:
    patterns, counts = np.unique(gaps, axis=0, return_counts=True)
    found = [
        JointPattern(tuple(name for name, gap in zip(names, pattern, strict=True) if gap), int(count))
        for pattern, count in zip(patterns, counts, strict=True)
    ]
    return tuple(sorted(found, key=lambda joint: (-joint.rows, [names.index(name) for name in joint.missing])))
