"""Parquet as patients' rows: types mapped strictly onto the dictionary's, values checked as in CSV, row by row.

A null, not-a-number and the declared missing codes are missing values. Faults name the row, from 1, and in a folder
the file; they never show a value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from heartify.cohort.dictionary_toml import ColumnSource
from heartify.cohort.sources.arrow_columns import ArrowColumn
from heartify.cohort.sources.batch_assembly import ColumnBatch, assemble_batch, yield_sound
from heartify.cohort.sources.bound_columns import bind_columns, find_positions
from heartify.cohort.sources.faults import Faults
from heartify.cohort.sources.parquet_files import ArrowBatch, ParquetFiles, read_guarded
from heartify.cohort.sources.text_columns import texts_of_a_column
from heartify.cohort.sources.watched_file import digest_of_parts
from heartify.protocol.dictionary import DataDictionary


class ParquetRows:
    """Rows of a Parquet file, or of a folder of them in the order of their names.

    `sources` says which columns have another name or unit there; `ignore` names columns that the dictionary leaves out
    on purpose. Raises InputError when a file can't be read, or its columns are not those of the dictionary.
    """

    def __init__(
        self,
        path: Path,
        dictionary: DataDictionary,
        *,
        sources: Mapping[str, ColumnSource] = MappingProxyType({}),
        ignore: Collection[str] = (),
    ) -> None:
        self._files = ParquetFiles(path)
        self._dictionary = dictionary
        self._bound = bind_columns(dictionary, sources)
        self._ignore = frozenset(ignore)
        self._check_schemas()

    @property
    def name(self) -> str:
        """The file's or folder's name."""
        return self._files.name

    @property
    def dictionary(self) -> DataDictionary:
        """The dictionary that every batch follows."""
        return self._dictionary

    def fingerprint(self) -> str | None:
        """Return a digest of the files' names, sizes and times, and of all that decides how they are read."""
        options = repr((self._bound, sorted(self._ignore)))
        return digest_of_parts("parquet", self._files.fingerprint(), self._dictionary.digest(), options)

    def fraction_read(self) -> float | None:
        """Return how many of all rows the running iteration has read."""
        return min(1.0, self._files.rows_done / self._files.rows) if self._files.rows else 1.0

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield the rows in table form, beginning with row `start_row` of all files.

        Raises InputError with up to 20 faults. Rows before the first fault may have been yielded by then.
        """
        faults = Faults(self.name)
        columns = self._build_columns()
        names = list(dict.fromkeys(bound.source_name for bound in self._bound))
        batches = (
            (found.batch.num_rows, self._convert(found, columns, faults))
            for found in self._files.batches(names, start_row)
        )
        yield from yield_sound(batches, faults, may_be_empty=start_row > 0)

    def _convert(self, found: ArrowBatch, columns: list[ArrowColumn], faults: Faults) -> pa.RecordBatch | None:
        parts: list[ColumnBatch] = []
        for column in columns:
            array = found.batch.column(column.bound.source_name)
            parts.append(read_guarded(found.file, column.read, array))
        file = f"file {found.file}, " if self._files.is_folder else ""
        return assemble_batch(
            list(zip(self._bound, parts, strict=True)), faults, lambda row: f"{file}row {found.first_row + row}"
        )

    def _check_schemas(self) -> None:
        columns = self._build_columns()
        for file, schema in self._files.schemas():
            faults = Faults(self.name)
            where = f"file {file}" if self._files.is_folder else "schema"
            positions = find_positions(schema.names, self._bound, self._ignore, faults, where)
            for column, position in zip(columns, positions, strict=True):
                expected = column.check_type(schema.field(position).type)
                if expected is not None:
                    faults.add(f"{where}, {column.bound.label}", expected)
            faults.check()

    def _build_columns(self) -> list[ArrowColumn]:
        cached = texts_of_a_column(len(self._bound))
        return [ArrowColumn(bound, cached_texts=cached) for bound in self._bound]
