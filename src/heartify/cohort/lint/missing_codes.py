"""Find numbers that mean 'not known' and were not declared so: -9, 99, 999 ... standing apart from all other values.

Zeros and impossible values of known quantities are `plausibility`'s; this looks at every numeric column's sample, with
or without a code. A number counts when it stands alone at an end of the values, or towers over its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from heartify.cohort.lint.batch_view import Numbers
from heartify.cohort.lint.findings import Finding, describe_share
from heartify.cohort.lint.watch import Seen
from heartify.protocol.dictionary import Column, DataDictionary

MISSING_CODES = tuple(
    float(code) for code in (-1, -7, -8, -9, -77, -88, -99, -777, -888, -999, -9999, 888, 999, 9999, 99999, 999999)
)
"""What statistics packages, questionnaires and registries commonly write for 'not known'."""
_IN_RANGE_CODES = (9.0, 77.0, 88.0, 99.0)  # only ever doubted where they stand apart
MIN_OCCURRENCES = 3
"""Once or twice may be a true extreme value; the same extreme value three times rarely is."""
MIN_SHARE = 0.001
"""Where a code is used at all, more than one row in a thousand has it."""
GAP = 0.2
"""A code stands apart when nothing lies in the fifth of its size next to it."""
TOWERS_OVER = 20
"""Rounding to tens or fives makes heaps of up to ten times their neighbours."""
TOWER_SHARE = 0.02


def lint_missing_codes(dictionary: DataDictionary, seen: Seen) -> Iterator[Finding]:
    """Yield a finding for each numeric column that seems to hold a code for 'not known'."""
    for column in dictionary.published_columns:
        if column.datatype in {"number", "integer"} and column.role != "outcome":
            yield from _lint_column(column, seen.sample.known(column.name))


def _lint_column(column: Column, values: Numbers) -> Iterator[Finding]:
    count = sum(_occurrences(values, code) for code in (*MISSING_CODES, *_IN_RANGE_CODES))
    if count:
        yield Finding(
            "missing-code-as-value",
            column.name,
            f"{describe_share(count, len(values))} hold a number that is often written for 'not known' "
            "and stands apart from the others",
            "add it to missing_codes, as the source writes it",
        )


def _occurrences(values: Numbers, code: float) -> int:
    """Return how often a code stands there as a code, 0 when it looks like a value among others."""
    count = int(np.count_nonzero(values == code))
    if count < max(MIN_OCCURRENCES, MIN_SHARE * len(values)) or count == len(values):
        return 0
    return count if _stands_apart(values, code) or _towers(values, code, count) else 0


def _stands_apart(values: Numbers, code: float) -> bool:
    """Tell whether the code is an end of the values with a gap before the next one."""
    # Codes are removed together: a column may use 88 for 'refused' and 99 for 'not known'.
    others = values[~np.isin(values, (*MISSING_CODES, *_IN_RANGE_CODES))]
    if len(others) == 0:
        return False
    if code < 0:
        return bool(np.min(others) >= 0)
    return bool(np.max(others) <= code * (1 - GAP)) and _is_far_beyond(others, code)


def _is_far_beyond(others: Numbers, code: float) -> bool:
    """Tell whether a code is farther above the highest other value than that is above the middle of them."""
    highest = float(np.max(others))
    return code - highest > highest - float(np.median(others))


def _towers(values: Numbers, code: float, count: int) -> bool:
    """Tell whether a code of two digits or more occurs far more often than each of the whole numbers around it."""
    if abs(code) < 77 or count < TOWER_SHARE * len(values):
        return False
    around = [np.count_nonzero(values == code + step) for step in (-3, -2, -1, 1, 2, 3)]
    return count > TOWERS_OVER * (1 + int(max(around)))
