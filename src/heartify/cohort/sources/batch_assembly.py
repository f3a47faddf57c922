"""The last step of every source: values of the columns become one record batch in table form, or faults by row.

Values are float64 whatever the datatype (a level's code, days since 1970), NaN where missing: all are exact there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from heartify.cohort.sources.bound_columns import BoundColumn
from heartify.cohort.sources.faults import Faults
from heartify.cohort.sources.numeric_values import FaultsByRow, Values
from heartify.cohort.table_form import table_type
from heartify.errors import InputError
from heartify.protocol.dictionary import Column

LOOK_AHEAD_ROWS = 1_000_000
"""After a first fault so many rows more are searched for others, and no more: a large source takes minutes."""


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """One column's rows of a batch: the array in table form, and the faults, whose rows are null in it."""

    array: pa.Array
    faults: FaultsByRow = field(default_factory=dict)


def build_array(column: Column, values: Values) -> pa.Array:
    """Return the values as the column's Arrow type, NaN as null."""
    missing = np.isnan(values)
    if column.datatype == "number":
        return pa.array(values, pa.float64(), mask=missing)
    codes = np.where(missing, 0.0, values)
    if column.datatype == "integer":
        return pa.array(codes.astype(np.int64), pa.int64(), mask=missing)
    if column.datatype == "boolean":
        return pa.array(codes.astype(np.bool_), pa.bool_(), mask=missing)
    indices = pa.array(codes.astype(np.int32), pa.int32(), mask=missing)
    if column.datatype == "date":
        return indices.view(pa.date32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(column.level_codes, pa.string()))


def build_column(bound: BoundColumn, values: Values, faults: FaultsByRow) -> ColumnBatch:
    """Return a column that is no id; rows with a fault become null."""
    if faults:
        values = values.copy()
        values[list(faults)] = np.nan
    return ColumnBatch(build_array(bound.column, values), faults)


def build_ids(ids: Sequence[str | None]) -> ColumnBatch:
    """Return an id column; every text is an id."""
    return ColumnBatch(pa.array(ids, pa.string()))


def assemble_batch(
    columns: Sequence[tuple[BoundColumn, ColumnBatch]], faults: Faults, where: Callable[[int], str]
) -> pa.RecordBatch | None:
    """Return the batch, or None after noting its faults in the order of rows; `where` names a row of the batch.

    Raises InputError when there are too many faults.
    """
    found = [
        (row, position, expected) for position, (_, part) in enumerate(columns) for row, expected in part.faults.items()
    ]
    for row, position, expected in sorted(found):
        faults.add(f"{where(row)}, {columns[position][0].label}", expected)
    if found:
        return None
    schema = pa.schema([pa.field(bound.column.name, table_type(bound.column)) for bound, _ in columns])
    return pa.RecordBatch.from_arrays([part.array for _, part in columns], schema=schema)


def yield_sound(
    batches: Iterable[tuple[int, pa.RecordBatch | None]], faults: Faults, *, may_be_empty: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the batches, each given with its number of rows, until there is a fault; then look for others.

    Raises InputError when there are faults, or no rows at all.
    """
    after_fault, empty = 0, True
    for rows, batch in batches:
        empty = False
        if batch is not None and not faults:
            yield batch
            continue
        after_fault += rows
        if after_fault > LOOK_AHEAD_ROWS:
            break
    faults.check()
    if empty and not may_be_empty:
        raise InputError(f"{faults.name}: there are columns but no row of data", hint="one row for each patient")
