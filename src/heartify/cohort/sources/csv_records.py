"""Records of a CSV file (RFC 4180 and what programs really write) with the line where each begins, batch by batch.

The standard library's reader does the quoting, strictly: a stray or unclosed quote is refused, not guessed around. A
record is as wide as the header. Texts are patients' values; exceptions of this module hold none.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.sources.csv_dialect import declared_delimiter, find_delimiter
from heartify.cohort.sources.faults import Faults
from heartify.cohort.sources.text_lines import UnreadableTextError
from heartify.errors import InputError

BATCH_CELLS = 1_500_000
"""Cells of a batch, at most: a Python text takes about 60 bytes."""

_NOT_CSV = "not readable as CSV: a quote is not closed or stands inside a cell, or a field is too long"
_QUOTE_HINT = "correct the line; a quote inside a quoted cell is written twice"


@dataclass(frozen=True, slots=True)
class Records:
    """Some records, cell after cell, and the lines where they begin; all have the header's width.

    One flat list of cells: a hundred thousand small lists would keep the garbage collector busy half of the time.
    """

    width: int
    lines: list[int] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, position: int) -> list[str]:
        """Return the cells of one column."""
        return self.cells[position :: self.width]


class CsvRecords:
    """One pass over a CSV file: the header first, then batches of records. Blank lines are passed over."""

    def __init__(self, lines: Iterator[str], faults: Faults, *, delimiter: str | None, known: Collection[str]) -> None:
        self._faults = faults
        self._unreadable: UnreadableTextError | None = None
        lines, found = _find_delimiter(self._end_early(lines), known)
        self.delimiter = delimiter or found
        self._reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        header = self._next_record()
        if header is None:
            self._check_end()
            raise InputError(
                f"{faults.name}: the file is empty", hint="expected a header row and one row for each patient"
            )
        self.header_line, cells = header
        self.names = [cell.strip() for cell in cells]

    @property
    def batch_rows(self) -> int:
        """How many records make a batch, so that a wide file takes no more memory than a narrow one."""
        return max(1, min(BATCH_ROWS, BATCH_CELLS // len(self.names)))

    def skip(self, count: int) -> None:
        """Pass over `count` records without looking into them."""
        for _ in range(count):
            if self._next_record() is None:
                return

    def batches(self) -> Iterator[Records]:
        """Yield the records; one of another width is noted as a fault and left out.

        Raises InputError when the text ends badly or there are too many faults.
        """
        while True:
            records = self._read_batch()
            if records:
                yield records
            if len(records) < self.batch_rows:
                self._check_end()
                return

    def _read_batch(self) -> Records:
        records, width, wanted = Records(len(self.names)), len(self.names), self.batch_rows
        cells, lines = records.cells, records.lines
        while len(lines) < wanted and (record := self._next_record()) is not None:
            line, row = record
            if len(row) == width:
                cells.extend(row)
                lines.append(line)
            else:
                self._faults.add(f"line {line}", f"expected {width} fields, found {len(row)}")
        return records

    def _next_record(self) -> tuple[int, list[str]] | None:
        """Return the next record that is no blank line, and the line where it begins; None at the end."""
        while self._unreadable is None:
            line = self._reader.line_num + 1
            try:
                row = next(self._reader, None)
            except csv.Error:
                # An end in the middle of the text leaves a quote open too, but explains more.
                self._unreadable = self._unreadable or UnreadableTextError(line, _NOT_CSV, _QUOTE_HINT)
                return None
            if row is None:
                return None
            if row and not (len(row) == 1 and row[0].isspace()):
                return line, row
        return None

    def _end_early(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield the lines; remember what ends them too early, so that the records before it are checked first."""
        try:
            yield from lines
        except UnreadableTextError as exc:
            self._unreadable = exc

    def _check_end(self) -> None:
        if self._unreadable is not None:
            at = self._unreadable
            self._faults.stop(f"line {at.line}", at.expected, hint=at.hint)


def _find_delimiter(lines: Iterator[str], known: Collection[str]) -> tuple[Iterator[str], str]:
    """Return the lines, none of them lost, and the delimiter: declared in the first one, or found in the header."""
    passed: list[str] = []
    for line in lines:
        declared = declared_delimiter(line)
        if declared is not None:
            # An empty line in its place, which the reader passes over, keeps the count of lines.
            return itertools.chain(passed, ["\n"], lines), declared
        passed.append(line)
        if line.strip("\r\n"):
            return itertools.chain(passed, lines), find_delimiter(line, known)
    return iter(passed), ","
