"""Parquet as texts, for drafting a dictionary: each value in its natural text form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from heartify.cohort.sources.natural_text import NoTextError, texts_of_array
from heartify.cohort.sources.parquet_files import ParquetFiles, read_guarded
from heartify.errors import InputError


class ParquetRaw:
    """The texts of a Parquet file or a folder of them. Raises InputError when it can't be read as a flat table."""

    def __init__(self, path: Path) -> None:
        self._files = ParquetFiles(path)
        schemas = dict(self._files.schemas())
        first = next(iter(schemas.values()))
        self._names = tuple(first.names)
        if len(set(self._names)) != len(self._names):
            raise InputError(f"{self.name}: two columns have one name", hint="rename one of them")
        for file, schema in schemas.items():
            if tuple(schema.names) != self._names:
                raise InputError(f"{file}: its columns are not those of the first file", hint="one schema in a folder")
            for field in schema:
                _check_flat(file, field)

    @property
    def name(self) -> str:
        """The file's or folder's name."""
        return self._files.name

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._names

    def fraction_read(self) -> float | None:
        """Return how many of all rows the running iteration has read."""
        return min(1.0, self._files.rows_done / self._files.rows) if self._files.rows else 1.0

    def batches(self) -> Iterator[dict[str, list[str | None]]]:
        """Yield the texts, None for null and not-a-number.

        Raises InputError when a file is damaged.
        """
        for found in self._files.batches(self._names):
            arrays = zip(self._names, found.batch.columns, strict=True)
            yield {name: read_guarded(found.file, texts_of_array, array) for name, array in arrays}


def _check_flat(file: str, field: pa.Field) -> None:
    try:
        texts_of_array(pa.array([], field.type))
    except (NoTextError, pa.ArrowException, NotImplementedError):
        readable = False
    else:
        readable = True
    if not readable:
        raise InputError(
            f"{file}: column '{field.name[:64]}' has the type {str(field.type)[:64]}, which is not read",
            hint="one plain value in a cell: write a table without nested columns",
        )
