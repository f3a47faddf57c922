"""How each datatype lies on disk: fixed-width, never null, missing values as one reserved value.

Writer (hospital) and reader (enclave) share this, so it imports numpy and pyarrow only. With plain encoding, no
compression, no statistics and no null map, the size of a file tells the number of padded rows and the width of the
type, and nothing about values: not how many are missing, not how many are distinct (docs/adr/0005).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heartify.protocol.dictionary import Column, Datatype
from heartify.protocol.manifest import ROW_GROUP_ROWS

ROWS_FIELD = b"heartify.rows"
"""Footer entry (encrypted like everything else) with the true number of rows of a part, as 20 decimal digits."""

ROWS_DIGITS = 20

StoredArray: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.int64] | npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class StoredForm:
    """Arrow type on disk, bytes for each value, and the value that means missing (None: not a number)."""

    arrow_type: pa.DataType
    width_bytes: int
    missing: int | None


_FORMS: dict[Datatype, StoredForm] = {
    "number": StoredForm(pa.float64(), 8, None),
    "integer": StoredForm(pa.int64(), 8, -(2**63)),
    "boolean": StoredForm(pa.int32(), 4, -1),
    "category": StoredForm(pa.int32(), 4, -1),
    "date": StoredForm(pa.int32(), 4, -(2**31)),
}

MAX_EXACT_INTEGER = 2**53
"""Integers beyond are refused at ingest, so that the enclave's float64 holds every one exactly."""


def stored_form(column: Column) -> StoredForm:
    """Return the stored form of a column's datatype."""
    return _FORMS[column.datatype]


def stored_schema(column: Column) -> pa.Schema:
    """Return the schema of a file: one required column."""
    return pa.schema([pa.field(column.name, stored_form(column).arrow_type, nullable=False)])


def encode_row_count(rows: int) -> bytes:
    """Return the footer entry for a part's true number of rows: always 20 digits, so that its length tells nothing."""
    return str(rows).zfill(ROWS_DIGITS).encode("ascii")


def max_file_bytes(column: Column, padded_rows: int) -> int:
    """Return a bound on the size of a part's file: the values, and headroom for headers and footer."""
    row_groups = -(-padded_rows // ROW_GROUP_ROWS)
    return padded_rows * stored_form(column).width_bytes + 4096 + 1024 * row_groups


def is_missing(values: StoredArray, column: Column) -> npt.NDArray[np.bool_]:
    """Return which stored values mean missing."""
    missing = stored_form(column).missing
    return np.isnan(values) if missing is None else np.asarray(values == missing)


def has_valid_values(values: StoredArray, column: Column) -> bool:
    """Tell whether all stored values that are not missing are possible: finite, within limits, a known level."""
    # Smallest and largest suffice, and no copy is made of a float column: fmin and fmax pass over not-a-number.
    known = values if column.datatype == "number" else values[~is_missing(values, column)]
    if len(known) == 0:
        return True
    # As Python numbers, so that an integer beyond 2^53 is not rounded before it is compared.
    smallest, largest = np.fmin.reduce(known).item(), np.fmax.reduce(known).item()
    if np.isnan(smallest):
        return True
    low, high = _limits(column)
    return bool(np.isfinite(smallest) and np.isfinite(largest) and low <= smallest and largest <= high)


def _limits(column: Column) -> tuple[float, float]:
    """Return the inclusive limits of stored values that are not missing."""
    if column.datatype == "boolean":
        return 0, 1
    if column.datatype == "category":
        return 0, len(column.levels) - 1
    widest = MAX_EXACT_INTEGER if column.datatype == "integer" else np.inf
    low = -widest if column.minimum is None else max(-widest, column.minimum)
    high = widest if column.maximum is None else min(widest, column.maximum)
    return low, high
