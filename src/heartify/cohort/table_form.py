"""The in-memory table between a source (CSV now, other formats later) and the writer: one Arrow type per datatype.

Every source delivers this form and the writer accepts nothing else, so a new source cannot bypass the dictionary.
Missing values are nulls. It trusts the dictionary and holds plaintext: it must never be logged or stored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, Datatype

_TYPES: dict[Datatype, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "date": pa.date32(),
}


def table_type(column: Column) -> pa.DataType:
    """Return the Arrow type of a column in memory; ids are texts whatever their datatype."""
    return pa.string() if column.role == "id" else _TYPES[column.datatype]


def table_schema(dictionary: DataDictionary) -> pa.Schema:
    """Return the schema that a source must deliver: the dictionary's columns in its order, all nullable."""
    return pa.schema([pa.field(column.name, table_type(column)) for column in dictionary.columns])


def check_table(table: pa.Table, dictionary: DataDictionary) -> None:
    """Check names, order, types and category levels of a table against the dictionary.

    Raises InputError naming the column.
    """
    names = [column.name for column in dictionary.columns]
    if table.column_names != names:
        raise InputError("the table's columns are not those of the dictionary, in its order", hint="read it anew")
    for column in dictionary.columns:
        values = table.column(column.name)
        if values.type != table_type(column):
            raise InputError(f"column '{column.name}': the table has type {values.type}, not {table_type(column)}")
        if pa.types.is_dictionary(values.type) and any(
            tuple(chunk.dictionary.to_pylist()) != column.level_codes for chunk in values.chunks
        ):
            raise InputError(f"column '{column.name}': the table's levels are not those of the dictionary")


def known_numbers(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return the values of a numeric column that are not missing, as float64 of shape (known,)."""
    numbers = pc.cast(values, pa.float64(), safe=False).drop_null().to_numpy()
    return np.asarray(numbers[~np.isnan(numbers)], dtype=np.float64)
