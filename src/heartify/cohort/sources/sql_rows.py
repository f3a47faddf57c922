"""A database's table or query as patients' rows, each value checked as a CSV cell is.

Columns that the database calls null are missing, and so are the declared missing codes. Faults name the row, from 1 in
the stated order, and never show a value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from heartify.cohort.dictionary_toml import ColumnSource
from heartify.cohort.sources.batch_assembly import ColumnBatch, assemble_batch, build_column, build_ids, yield_sound
from heartify.cohort.sources.bound_columns import bind_columns, find_positions
from heartify.cohort.sources.faults import Faults
from heartify.cohort.sources.sql_table import SqlTable
from heartify.cohort.sources.text_columns import TextColumn, texts_of_a_column
from heartify.protocol.dictionary import DataDictionary


class SqlRows:
    """Rows of a table or of one ordered SELECT. Holds a connection and a transaction until it is closed.

    `sources` says which columns have another name or unit there; `ignore` names columns that the dictionary leaves out
    on purpose. Raises UsageError for an unusable URL, InputError or ServiceError when it can't be read.
    """

    def __init__(
        self,
        url: str,
        dictionary: DataDictionary,
        *,
        table: str | None = None,
        query: str | None = None,
        sources: Mapping[str, ColumnSource] = MappingProxyType({}),
        ignore: Collection[str] = (),
        password_file: Path | None = None,
    ) -> None:
        self._dictionary = dictionary
        self._bound = bind_columns(dictionary, sources)
        ids = [bound.source_name for bound in self._bound if bound.column.role == "id"]
        self._table = SqlTable(url, table=table, query=query, password_file=password_file, order=ids)
        self._positions = self._find_positions(frozenset(ignore))

    @property
    def name(self) -> str:
        """The table's name, or `query`."""
        return self._table.name

    @property
    def dictionary(self) -> DataDictionary:
        """The dictionary that every batch follows."""
        return self._dictionary

    def fingerprint(self) -> str | None:
        """Return None: a database doesn't tell whether its rows have changed."""
        return None

    def fraction_read(self) -> float | None:
        """Return None: how many rows there are is not known before they are read."""
        return None

    def close(self) -> None:
        """End transaction and connection."""
        self._table.close()

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield the rows in table form, beginning with row `start_row`, all in the object's one transaction.

        Raises InputError with up to 20 faults, or when the database fails.
        """
        faults = Faults(self.name)
        yield from yield_sound(self._convert(start_row, faults), faults, may_be_empty=start_row > 0)

    def _convert(self, start_row: int, faults: Faults) -> Iterator[tuple[int, pa.RecordBatch | None]]:
        cached = texts_of_a_column(len(self._bound))
        columns = [TextColumn(bound, decimal=".", cached_texts=cached) for bound in self._bound]
        first = start_row + 1
        for texts in self._table.batches(start_row):
            parts = [_read_column(column, texts[place]) for column, place in zip(columns, self._positions, strict=True)]
            read = list(zip(self._bound, parts, strict=True))
            yield len(texts[0]), assemble_batch(read, faults, partial(_name_row, first))
            first += len(texts[0])

    def _find_positions(self, ignore: frozenset[str]) -> list[int]:
        try:
            return find_positions(self._table.names, self._bound, ignore, Faults(self.name), "result")
        except BaseException:
            self.close()
            raise


def _read_column(column: TextColumn, texts: list[str | None]) -> ColumnBatch:
    if column.bound.column.role == "id":
        return build_ids(column.read_ids(texts))
    return build_column(column.bound, *column.read_values(texts))


def _name_row(first: int, row: int) -> str:
    return f"row {first + row}"
