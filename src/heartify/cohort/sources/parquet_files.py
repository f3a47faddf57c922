"""One Parquet file, or the files of a folder in the order of their names, read in a stream of Arrow batches.

Footers, types and pages are not trusted: whatever Arrow trips over becomes an InputError without the library's words,
which may quote values. Nothing is held but one batch; row groups before the wanted row are not read at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.sources.watched_file import WatchedFile, digest_of_parts
from heartify.errors import InputError

SUFFIXES = (".parquet", ".pq")
MAX_FILES = 10_000
BATCH_CELLS = 8_000_000
_BUFFER_BYTES = 1024 * 1024
_THRIFT_BYTES = 64 * 1024 * 1024
_DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, KeyError, TypeError)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ArrowBatch:
    """Rows of one file: its name, the number of the first row in it (from 1), and the batch."""

    file: str
    first_row: int
    batch: pa.RecordBatch


class ParquetFiles:
    """The files and their row counts. Raises InputError when one can't be read, or a folder holds none."""

    def __init__(self, path: Path) -> None:
        self.name = path.name or path.resolve().name
        self._files = [WatchedFile(file) for file in _find_files(path, self.name)]
        self._rows = [sum(_row_groups(file, _open(file))) for file in self._files]
        self.rows_done = 0

    @property
    def is_folder(self) -> bool:
        """Tell whether there are several files, which faults then must name."""
        return len(self._files) > 1

    @property
    def rows(self) -> int:
        """The number of rows of all files."""
        return sum(self._rows)

    def fingerprint(self) -> str:
        """Return a digest of all names, sizes and times."""
        return digest_of_parts(*(file.fingerprint() for file in self._files))

    def schemas(self) -> Iterator[tuple[str, pa.Schema]]:
        """Yield each file's name and schema. Raises InputError."""
        for file in self._files:
            opened = _open(file)
            yield file.name, read_guarded(file.name, _schema_of, opened)

    def batches(self, columns: Sequence[str], start_row: int = 0) -> Iterator[ArrowBatch]:
        """Yield the columns' rows from `start_row` of all files on.

        Raises InputError when a file is damaged, or has changed meanwhile.
        """
        self.rows_done = start_row
        batch_rows = max(1, min(BATCH_ROWS, BATCH_CELLS // len(columns)))
        for file, rows in zip(self._files, self._rows, strict=True):
            if start_row >= rows:
                start_row -= rows
                continue
            file.check_unchanged()
            for batch in _read_file(file, columns, start_row, batch_rows):
                self.rows_done += batch.batch.num_rows
                yield batch
            file.check_unchanged()
            start_row = 0


def read_guarded(name: str, read: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Return what `read` returns for these arguments.

    Raises InputError for all that Arrow raises on a damaged file: not chained, as its words may quote values.
    """
    try:
        return read(*args, **options)
    except _DAMAGE as exc:
        kind = type(exc).__name__
    raise InputError(f"{name}: not readable as Parquet ({kind})", hint="damaged, encrypted, or another format")


def _find_files(path: Path, name: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    entries = read_guarded(name, _list_folder, path)
    if any(entry.is_dir() for entry in entries):
        raise InputError(
            f"{name}: the folder has folders in it, which would be left out",
            hint="one folder with all Parquet files in it; partitions by folder are not read",
        )
    files = [entry for entry in entries if entry.name.lower().endswith(SUFFIXES)]
    if not 0 < len(files) <= MAX_FILES:
        raise InputError(
            f"{name}: expected 1 to {MAX_FILES} Parquet files in the folder, found {len(files)}",
            hint="for a folder of OMOP tables or FHIR files, name the mapping: --mapping mapping.toml",
        )
    return files


def _list_folder(path: Path) -> list[Path]:
    """Return what is in it in the order of names, without hidden files and those that Spark and others leave behind."""
    return sorted(entry for entry in path.iterdir() if entry.name[0] not in "._")


def _schema_of(opened: pq.ParquetFile) -> pa.Schema:
    return opened.schema_arrow


def _open(file: WatchedFile) -> pq.ParquetFile:
    opened: pq.ParquetFile = read_guarded(
        file.name,
        pq.ParquetFile,
        file.path,
        memory_map=False,
        buffer_size=_BUFFER_BYTES,
        pre_buffer=False,
        thrift_string_size_limit=_THRIFT_BYTES,
        thrift_container_size_limit=_THRIFT_BYTES,
        page_checksum_verification=True,
    )
    return opened


def _row_groups(file: WatchedFile, opened: pq.ParquetFile) -> list[int]:
    """Return the number of rows of each row group. Raises InputError when the footer contradicts itself."""
    footer = opened.metadata
    sizes = [int(read_guarded(file.name, footer.row_group, group).num_rows) for group in range(footer.num_row_groups)]
    if any(size < 0 for size in sizes) or sum(sizes) != footer.num_rows:
        raise InputError(f"{file.name}: its footer contradicts itself", hint="damaged: write it again")
    return sizes


def _read_file(file: WatchedFile, columns: Sequence[str], start_row: int, batch_rows: int) -> Iterator[ArrowBatch]:
    opened = _open(file)
    sizes = _row_groups(file, opened)
    first_group, row = 0, 0
    while row + sizes[first_group] <= start_row:
        row += sizes[first_group]
        first_group += 1
    iterator = read_guarded(
        file.name,
        opened.iter_batches,
        batch_rows,
        row_groups=range(first_group, len(sizes)),
        columns=list(columns),
        use_threads=False,
    )
    while (batch := read_guarded(file.name, next, iterator, None)) is not None:
        passed = max(0, min(batch.num_rows, start_row - row))
        if passed < batch.num_rows:
            yield ArrowBatch(file.name, row + passed + 1, batch.slice(passed))
        row += batch.num_rows
    if row != sum(sizes):
        raise InputError(f"{file.name}: expected {sum(sizes)} rows, found {row}", hint="damaged: write it again")
