"""A CSV file as it stands, for drafting a dictionary: names of the header and texts, without any meaning yet.

A file without a header is refused, as its first patient's values would become the names of columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from heartify.cohort.sources.byte_source import ByteSource, OpenBytes
from heartify.cohort.sources.csv_dialect import check_delimiter
from heartify.cohort.sources.csv_records import CsvRecords
from heartify.cohort.sources.faults import Faults
from heartify.cohort.sources.text_lines import check_encoding, iterate_lines

MAX_NAME = 256
_VALUE_LIKE = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?|[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}.*")


class CsvRaw:
    """The texts of a CSV file. Raises InputError when it can't be read or has no header."""

    def __init__(self, source: ByteSource, *, delimiter: str | None = None, encoding: str | None = None) -> None:
        self._bytes = source
        self._delimiter, self._encoding = check_delimiter(delimiter), check_encoding(encoding)
        self._stream: OpenBytes | None = None
        with source.open() as stream:
            faults = Faults(self.name)
            records = self._open_records(stream, faults)
            _check_names(records, faults)
        self._names = tuple(records.names)

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self._bytes.name

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the header."""
        return self._names

    @property
    def delimiter(self) -> str:
        """The delimiter that the file is read with."""
        with self._bytes.open() as stream:
            return self._open_records(stream, Faults(self.name)).delimiter

    def fraction_read(self) -> float | None:
        """Return how much of the file's bytes the running iteration has read; None before there is one."""
        return None if self._stream is None else self._stream.fraction()

    def batches(self) -> Iterator[dict[str, list[str | None]]]:
        """Yield the texts, blanks around them stripped; no text is None, as a CSV file has no nulls.

        Raises InputError for a file that isn't CSV.
        """
        faults = Faults(self.name)
        with self._bytes.open() as stream:
            self._stream = stream
            for batch in self._open_records(stream, faults).batches():
                if not faults:
                    yield {
                        name: [text.strip() for text in batch.column(position)]
                        for position, name in enumerate(self._names)
                    }
        faults.check()

    def _open_records(self, stream: OpenBytes, faults: Faults) -> CsvRecords:
        return CsvRecords(iterate_lines(stream, self._encoding), faults, delimiter=self._delimiter, known=())


def _check_names(records: CsvRecords, faults: Faults) -> None:
    """Refuse what can't be a header; no name is shown, as it may be a patient's value."""
    where = f"line {records.header_line}"
    seen: set[str] = set()
    for position, name in enumerate(records.names, start=1):
        if not name or len(name) > MAX_NAME or _VALUE_LIKE.fullmatch(name):
            faults.add(f"{where}, column number {position}", "expected a header with the column's name")
        elif name in seen:
            faults.add(f"{where}, column number {position}", "expected a name that stands once in the header")
        seen.add(name)
    faults.check()
