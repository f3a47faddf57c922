"""OMOP tables as files: CSV (comma, tab, semicolon) or Parquet, one file for each table or a folder of parts.

Names are those of the CDM in any letter case: `MEASUREMENT.csv`, `measurement.parquet`, `measurement/part-0.parquet`.
Read batch by batch; what a file holds is never shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from heartify.cohort.events.omop_layout import TABLES, OmopTable, typed_rows
from heartify.errors import InputError

BATCH_ROWS = 64 * 1024
BLOCK_BYTES = 4 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024
MAX_PARTS = 10_000
_ENDINGS = (".csv", ".csv.gz", ".parquet")
_NULLS = ["", "NULL", "\\N"]


class OmopFiles:
    """The tables that a folder has."""

    def __init__(self, folder: Path) -> None:
        self._parts = {table.name: _find_parts(folder, table.name) for table in TABLES}
        self.bytes_read = 0

    @property
    def files(self) -> list[Path]:
        """Every file that is read, in a fixed order."""
        return [path for name in sorted(self._parts) for path in self._parts[name]]

    def has(self, table: OmopTable) -> bool:
        """Tell whether the table is there."""
        return bool(self._parts[table.name])

    def batches(self, table: OmopTable, concepts: tuple[int, ...] = ()) -> Iterator[pa.Table]:
        """Yield the table's rows, typed; files are read whole, so `concepts` is left to the caller.

        Raises InputError naming file or table, column and row.
        """
        del concepts
        for path in self._parts[table.name]:
            start, row = self.bytes_read, 1
            for raw in _read(path, table):
                self.bytes_read = min(start + path.stat().st_size, self.bytes_read + raw.nbytes)
                yield typed_rows(raw, table, first_row=row)
                row += raw.num_rows
            self.bytes_read = start + path.stat().st_size


def _find_parts(folder: Path, table: str) -> list[Path]:
    found = []
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        if path.is_file() and name in {table + ending for ending in _ENDINGS}:
            found.append([path])
        elif path.is_dir() and name == table:
            found.append([part for part in sorted(path.iterdir()) if part.name.lower().endswith(_ENDINGS)])
    if len(found) > 1 or any(len(parts) > MAX_PARTS for parts in found):
        raise InputError(
            f"{folder.name}: the table {table} stands there more than once, or in too many parts",
            hint="leave one file, or one folder of parts, for each table",
        )
    return found[0] if found else []


def _read(path: Path, table: OmopTable) -> Iterator[pa.Table]:
    try:
        yield from _read_parquet(path, table) if path.name.lower().endswith(".parquet") else _read_csv(path, table)
    except (pa.ArrowException, OSError, EOFError):
        # Not chained: Arrow's message quotes the row.
        raise InputError(
            f"{path.name}: cannot be read", hint="expected a whole Parquet file, or CSV in UTF-8 with equal rows"
        ) from None


def _read_parquet(path: Path, table: OmopTable) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        names = _wanted(file.schema_arrow.names, table, path)
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(names)):
            yield pa.Table.from_batches([batch]).rename_columns([names[name] for name in batch.schema.names])


def _read_csv(path: Path, table: OmopTable) -> Iterator[pa.Table]:
    header, delimiter = _read_header(path, table)
    names = _wanted(header, table, path)
    # Vocabulary files with tabs hold quotes that quote nothing.
    parse = pacsv.ParseOptions(
        delimiter=delimiter, quote_char=False if delimiter == "\t" else '"', newlines_in_values=delimiter != "\t"
    )
    convert = pacsv.ConvertOptions(
        include_columns=list(names),
        column_types=dict.fromkeys(names, pa.string()),
        null_values=_NULLS,
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    with pa.input_stream(str(path)) as stream:
        # A stream may begin with a byte order mark; pyarrow skips it.
        reader = pacsv.open_csv(
            stream,
            read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=parse,
            convert_options=convert,
        )
        for batch in reader:
            yield pa.Table.from_batches([batch]).rename_columns([names[name] for name in batch.schema.names])


def _read_header(path: Path, table: OmopTable) -> tuple[list[str], str]:
    with pa.input_stream(str(path)) as stream:
        data = stream.read(MAX_HEADER_BYTES)
    line = data.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", errors="replace").strip("\r")
    known = {column.name for column in table.columns}

    def score(delimiter: str) -> int:
        return len({cell.strip().strip('"').lower() for cell in line.split(delimiter)} & known)

    delimiter = max(",\t;|", key=score)
    return [cell.strip('"') for cell in line.split(delimiter)], delimiter


def _wanted(header: list[str], table: OmopTable, path: Path) -> dict[str, str]:
    """Return the columns of the file that are read, each with its name in the CDM."""
    known = {column.name for column in table.columns}
    names = {name: name.strip().lower() for name in header if name.strip().lower() in known}
    if len(set(names.values())) != len(names) or sum(header.count(name) for name in names) != len(names):
        raise InputError(f"{path.name}: a column stands twice in the header", hint="each column once")
    missing = [column.name for column in table.columns if column.required and column.name not in names.values()]
    if missing:
        raise InputError(
            f"{path.name}: it has no column {missing[0]}", hint="expected a header with the names of the OMOP CDM 5.4"
        )
    return names
