"""One Arrow array of a typed source against its dictionary column: types are mapped strictly, values checked as in CSV.

A type that the datatype can't hold is refused before a value is read. Numbers go through numpy; everything else by its
distinct values, as texts, through the rules of CSV cells, so that both formats accept the same codes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heartify.cohort.encrypted.stored_form import MAX_EXACT_INTEGER
from heartify.cohort.sources.batch_assembly import ColumnBatch, build_column, build_ids
from heartify.cohort.sources.bound_columns import BoundColumn
from heartify.cohort.sources.natural_text import is_text, texts_of_array
from heartify.cohort.sources.numeric_values import FaultsByRow, Values, finish_numbers
from heartify.cohort.sources.text_columns import EPOCH_ORDINAL, TextColumn

_DAYS = (1 - EPOCH_ORDINAL, 3_652_059 - EPOCH_ORDINAL)
"""First and last day of the years 1 to 9999, as days since 1970."""
_UNITS_OF_A_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


class ArrowColumn:
    """Read the arrays of one bound column."""

    def __init__(self, bound: BoundColumn, *, cached_texts: int) -> None:
        self.bound = bound
        self._texts = TextColumn(bound, decimal=".", cached_texts=cached_texts)
        codes = self._texts.missing_values()
        self._missing = np.array(sorted(codes), dtype=np.float64)

    def check_type(self, kind: pa.DataType) -> str | None:
        """Return what was expected when the column can't come as this type, None when it can."""
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_null(kind) or is_text(kind):
            return None
        role, datatype = self.bound.column.role, self.bound.column.datatype
        expected, accepts = ("texts or whole numbers", _is_number) if role == "id" else _ACCEPTED[datatype]
        return None if accepts(kind) else f"expected {expected}, found the type {str(kind)[:64]}"

    def read(self, array: pa.Array) -> ColumnBatch:
        """Return the column in table form with its faults.

        Raises pa.ArrowException and the like when the array is damaged.
        """
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        column = self.bound.column
        if column.role == "id":
            return build_ids(self._texts.read_ids(texts_of_array(array)))
        if column.datatype in {"number", "integer"} and _is_number(array.type):
            return build_column(self.bound, *self._read_numbers(array))
        if column.datatype == "date" and pa.types.is_temporal(array.type):
            return build_column(self.bound, *self._read_days(array))
        return build_column(self.bound, *self._read_distinct(array))

    def _read_numbers(self, array: pa.Array) -> tuple[Values, FaultsByRow]:
        values = _to_float64(array, whole=self.bound.column.datatype == "integer")
        if pa.types.is_float32(array.type) or pa.types.is_float16(array.type):
            narrow = array.type.to_pandas_dtype()
            values[np.isin(values, self._missing.astype(narrow).astype(np.float64))] = np.nan
            values = _widen(values, narrow, self.bound.column.decimals)
        values[np.isin(values, self._missing)] = np.nan
        return finish_numbers(values, self.bound)

    def _read_days(self, array: pa.Array) -> tuple[Values, FaultsByRow]:
        known = array.is_valid().to_numpy(zero_copy_only=False)
        unit = 1 if pa.types.is_date32(array.type) else _UNITS_OF_A_DAY[getattr(array.type, "unit", "ms")]
        ticks = array.view(pa.int32() if unit == 1 else pa.int64())
        days, rest = np.divmod(pc.fill_null(ticks, 0).to_numpy(zero_copy_only=False), unit)
        values = np.where(known, days.astype(np.float64), np.nan)
        missing = np.isin(values, self._missing) & (rest == 0)
        values[missing] = np.nan
        faults = dict.fromkeys(np.flatnonzero(known & (rest != 0)).tolist(), "expected a date, found a time of day")
        with np.errstate(invalid="ignore"):
            outside = (values < _DAYS[0]) | (values > _DAYS[1])
        faults |= dict.fromkeys(np.flatnonzero(outside).tolist(), "expected a date of the years 1 to 9999")
        return values, faults

    def _read_distinct(self, array: pa.Array) -> tuple[Values, FaultsByRow]:
        encoded = pc.dictionary_encode(array)
        values, expected = self._texts.read_values(texts_of_array(encoded.dictionary))
        indices = pc.fill_null(encoded.indices, len(values)).to_numpy(zero_copy_only=False)
        faulty = np.flatnonzero(np.isin(indices, np.fromiter(expected, np.int64, len(expected))))
        return np.append(values, np.nan)[indices], {row: expected[int(indices[row])] for row in faulty.tolist()}


def _to_float64(array: pa.Array, *, whole: bool) -> Values:
    """Return numbers as float64, NaN for null; whole numbers that it can't hold become infinite."""
    if pa.types.is_decimal(array.type):
        array = pc.cast(array, pa.string())  # through the text, as the direct way doesn't round correctly
    values = np.array(pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if whole and array.type in {pa.int64(), pa.uint64()}:
        too_large = pc.greater(array, pa.scalar(MAX_EXACT_INTEGER, array.type))
        if array.type == pa.int64():
            too_large = pc.or_(too_large, pc.less(array, pa.scalar(-MAX_EXACT_INTEGER, array.type)))
        values[pc.fill_null(too_large, False).to_numpy(zero_copy_only=False)] = np.inf
    return values


def _widen(values: Values, narrow: npt.DTypeLike, decimals: int | None) -> Values:
    """Return narrow floats as the decimals that they stand for, where the dictionary declares decimals."""
    if decimals is None:
        return values
    rounded = np.round(values, decimals)
    with np.errstate(over="ignore", invalid="ignore"):
        same = rounded.astype(narrow) == values.astype(narrow)
    return np.where(same, rounded, values)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_code(kind: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(kind) or _is_number(kind))


def _is_day(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None))


_Accepts = tuple[str, Callable[[pa.DataType], bool]]
_ACCEPTED: dict[str, _Accepts] = {
    "number": ("numbers", _is_number),
    "integer": ("whole numbers", _is_number),
    "boolean": ("booleans, or numbers 0 and 1", _is_code),
    "category": ("texts, or whole numbers as codes", _is_code),
    "date": ("dates, or times without a time zone", _is_day),
}
