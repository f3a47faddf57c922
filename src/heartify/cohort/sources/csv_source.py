"""Read a hospital's CSV file against its data dictionary into a typed table.

Nothing in the file is trusted: encoding, header, shape, types, limits and levels are checked, and up to 20 faults are
reported at once with file, line, column and what was expected. A message must never hold a patient's value; that is why
unknown header names are shown only when the first row clearly is a header.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from heartify.cohort.sources.csv_cells import CellFault, CellParser, CellValue
from heartify.cohort.table_form import table_schema, table_type
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary

DELIMITERS = ",;\t|"
MAX_FAULTS = 20


@dataclass(slots=True)
class _Faults:
    """Faults of one file; `add` raises the collected error when the list is full."""

    file: str
    lines: list[str] = field(default_factory=list)

    def add(self, line: int, expected: str, column: str | None = None) -> None:
        where = f"line {line}" if column is None else f"line {line}, column {column}"
        self.lines.append(f"{where}: {expected}")
        if len(self.lines) >= MAX_FAULTS:
            self.check()

    def check(self) -> None:
        if not self.lines:
            return
        count = f"{len(self.lines)} or more faults" if len(self.lines) >= MAX_FAULTS else f"{len(self.lines)} fault(s)"
        raise InputError(
            f"{self.file}: {count}\n  " + "\n  ".join(self.lines),
            hint="correct the file or the dictionary; a text that means 'not known' belongs in missing_codes",
        )


def load_csv(path: Path, dictionary: DataDictionary, *, ignore: Collection[str] = ()) -> pa.Table:
    """Read a CSV file; `ignore` names columns of the file that the dictionary leaves out on purpose.

    Raises InputError.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path.name}: cannot read the file: {exc.strerror}") from exc
    return parse_csv(data, dictionary, file=path.name, ignore=ignore)


def parse_csv(data: bytes, dictionary: DataDictionary, *, file: str, ignore: Collection[str] = ()) -> pa.Table:
    """Parse CSV bytes into the table form of the dictionary (its columns, its order, nulls for missing).

    Raises InputError.
    """
    text = _decode(data, file)
    delimiter = _sniff_delimiter(text, dictionary, ignore)
    faults = _Faults(file)
    rows = _iterate_rows(text, delimiter, faults)
    header = next(rows, None)
    if header is None:
        faults.check()  # a header that is not CSV at all is a better explanation than an empty file
        raise InputError(f"{file}: the file is empty", hint="expected a header row and one row for each patient")
    positions = _check_header(header, dictionary, ignore, faults)
    parsers = [CellParser(column, decimal_comma=delimiter == ";") for column in dictionary.columns]
    cells: list[list[CellValue]] = [[] for _ in dictionary.columns]
    for line, row in rows:
        if len(row) != len(header[1]):
            faults.add(line, f"expected {len(header[1])} fields, found {len(row)}")
            continue
        for column, parser, position, values in zip(dictionary.columns, parsers, positions, cells, strict=True):
            try:
                values.append(parser.parse(row[position]))
            except CellFault as exc:
                faults.add(line, str(exc), column.name)
    faults.check()
    if not cells[0]:
        raise InputError(f"{file}: there is a header but no row of data", hint="one row for each patient")
    arrays = [_build_array(column, values) for column, values in zip(dictionary.columns, cells, strict=True)]
    return pa.Table.from_arrays(arrays, schema=table_schema(dictionary))


def _decode(data: bytes, file: str) -> str:
    if not data.strip():
        raise InputError(f"{file}: the file is empty", hint="expected a header row and one row for each patient")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise InputError(f"{file}: line {line}: NUL byte", hint="damaged, binary or UTF-16: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        # Not chained: the codec's exception carries the whole file.
        raise InputError(f"{file}: line {line}: not UTF-8", hint="save the file as UTF-8") from None


def _sniff_delimiter(text: str, dictionary: DataDictionary, ignore: Collection[str]) -> str:
    """Return the delimiter that makes most header cells names we know; the most frequent one when none does."""
    first_line = text.lstrip("\r\n").split("\n", 1)[0]
    known = {column.name for column in dictionary.columns} | set(ignore)

    def score(delimiter: str) -> tuple[int, int]:
        names = {cell.strip().strip('"').strip() for cell in first_line.split(delimiter)}
        return len(names & known), first_line.count(delimiter)

    return max(DELIMITERS, key=score)


def _iterate_rows(text: str, delimiter: str, faults: _Faults) -> Iterator[tuple[int, list[str]]]:
    """Yield (line where the row starts, cells), skipping blank lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error:
            # Not chained and not quoted: the parser's text may hold what it read.
            faults.add(line, "not readable as CSV: a quote is not closed, or a field is too long")
            return
        if row is None:
            return
        if row:
            yield line, row


def _check_header(
    header: tuple[int, list[str]], dictionary: DataDictionary, ignore: Collection[str], faults: _Faults
) -> list[int]:
    """Return the position of each dictionary column in the file.

    Raises InputError for missing, extra and duplicate columns.
    """
    line, cells = header
    names = [cell.strip() for cell in cells]
    wanted = [column.name for column in dictionary.columns]
    known = set(wanted) | set(ignore)
    # Half of it known: surely a header. Otherwise it may be a patient's row, whose cells must not be shown.
    shown = 2 * sum(name in known for name in names) >= len(names)
    for position, name in enumerate(names, start=1):
        label = f"'{name[:64]}'" if shown else f"number {position}"
        if name not in known:
            faults.add(line, f"column {label} is not in the dictionary: add it there, or list it in ignore")
        elif names.index(name) != position - 1:
            faults.add(line, f"column {label} stands twice in the header")
    missing = [name for name in wanted if name not in names]
    for name in missing:
        faults.add(line, "this column of the dictionary is missing in the file", name)
    faults.check()
    return [names.index(name) for name in wanted]


def _build_array(column: Column, values: Sequence[CellValue]) -> pa.Array:
    if pa.types.is_dictionary(table_type(column)):
        index = {code: number for number, code in enumerate(column.level_codes)}
        indices = [None if value is None else index[str(value)] for value in values]
        return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(column.level_codes, pa.string()))
    return pa.array(values, table_type(column))
