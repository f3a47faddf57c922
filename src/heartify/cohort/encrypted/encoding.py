"""From a column in table form to its stored values, each checked against the dictionary's limits.

Runs in the hospital on plaintext. A value that the stored form can't hold exactly is refused, never rounded, with one
exception: `precision = "single"` is the steward's order to round to the nearest single precision number. Messages name
columns and never hold a value.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heartify.cohort.encrypted.bit_planes import CodeArray, code_type, pack
from heartify.cohort.encrypted.stored_form import INT32_MISSING, INT64_MISSING, MAX_EXACT_INTEGER, StoredForm
from heartify.errors import InputError
from heartify.protocol.dictionary import Column

StoredArray: TypeAlias = npt.NDArray[np.float64 | np.float32 | np.int64 | np.int32 | np.unsignedinteger]

_TYPES = {"float64": "<f8", "float32": "<f4", "int64": "<i8", "int32": "<i4"}
_MISSING = {"float64": np.nan, "float32": np.nan, "int64": INT64_MISSING, "int32": INT32_MISSING}


def stored_type(form: StoredForm) -> np.dtype[np.generic]:
    """Return the type of stored values in memory, before codes are packed."""
    return code_type(form.width_bits) if form.kind == "codes" else np.dtype(_TYPES[form.kind])


def missing_values(form: StoredForm, rows: int) -> StoredArray:
    """Return so many missing values, for padding."""
    missing = form.missing_code if form.kind == "codes" else _MISSING[form.kind]
    return np.full(rows, missing, stored_type(form))


def encode_values(values: pa.Array, column: Column, form: StoredForm) -> StoredArray:
    """Convert a column in table form to stored values; nulls, and NaN in a number, are missing.

    Raises InputError when a value is outside of the limits, or has more decimal places than declared.
    """
    if column.datatype == "number":
        return _encode_numbers(pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False), column, form)
    if column.datatype == "category":
        values = values.indices
    known = ~values.is_null().to_numpy(zero_copy_only=False)
    whole = pc.fill_null(values.cast(pa.int32() if column.datatype == "date" else pa.int64()), 0)
    return _encode_whole_numbers(whole.to_numpy(zero_copy_only=False), known, column, form)


def pack_values(values: StoredArray, form: StoredForm) -> bytes:
    """Return the bytes of stored values, whose number is a multiple of 512."""
    if form.kind == "codes":
        codes: CodeArray = values.astype(code_type(form.width_bits), copy=False)
        return pack(codes, form.width_bits)
    return values.tobytes()


def _encode_whole_numbers(
    values: npt.NDArray[np.int64 | np.int32], known: npt.NDArray[np.bool_], column: Column, form: StoredForm
) -> StoredArray:
    inside = values[known]
    if inside.size and not (form.low <= inside.min().item() and inside.max().item() <= form.high):
        _refuse_limits(column)
    stored = missing_values(form, values.size)
    stored[known] = inside - int(form.low) if form.kind == "codes" else inside
    return stored


def _encode_numbers(values: npt.NDArray[np.float64], column: Column, form: StoredForm) -> StoredArray:
    known = ~np.isnan(values)
    numbers = values[known]
    steps = _whole_steps(numbers, column)
    stored = missing_values(form, values.size)
    if form.kind == "codes":
        if steps.size and not (form.low <= steps.min() and steps.max() <= form.high):
            _refuse_limits(column)
        stored[known] = (steps - form.low).astype(np.int64)
        return stored
    if numbers.size and not _is_within(numbers, column):
        _refuse_limits(column)
    with np.errstate(over="ignore"):
        stored[known] = numbers
    if not np.isfinite(stored[known]).all():
        _refuse_limits(column)
    return stored


def _whole_steps(numbers: npt.NDArray[np.float64], column: Column) -> npt.NDArray[np.float64]:
    """Return numbers in units of the last declared decimal place.

    Raises InputError when a number isn't the double nearest to a decimal of so many places.
    """
    if column.decimals is None:
        return numbers
    step = 10.0**column.decimals
    with np.errstate(over="ignore"):
        steps = np.rint(numbers * step)
    # Beyond 2^53 steps, doubles are further apart than decimals are: each is the nearest to one of them.
    if not ((steps / step == numbers) | (np.abs(steps) > MAX_EXACT_INTEGER)).all():
        raise InputError(
            f"column '{column.name}': a value has more than the declared {column.decimals} decimal places",
            hint="declare more decimals, or leave them out",
        )
    return steps


def _is_within(numbers: npt.NDArray[np.float64], column: Column) -> bool:
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    return bool(np.isfinite(numbers).all() and low <= numbers.min() and numbers.max() <= high)


def _refuse_limits(column: Column) -> None:
    raise InputError(f"column '{column.name}': a value is outside the dictionary's limits", hint="correct either")
