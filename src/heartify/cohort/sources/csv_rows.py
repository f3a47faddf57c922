"""A CSV file as patients' rows: read in a stream, checked cell by cell against the dictionary, in bounded memory.

Nothing in the file is trusted: encoding, header, shape, types, limits and levels are checked, and up to 20 faults are
reported at once with line, column and what was expected. No message ever holds a patient's value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from heartify.cohort.dictionary_toml import ColumnSource
from heartify.cohort.sources.batch_assembly import ColumnBatch, assemble_batch, build_column, build_ids, yield_sound
from heartify.cohort.sources.bound_columns import bind_columns, find_positions
from heartify.cohort.sources.byte_source import ByteSource, FileBytes, OpenBytes
from heartify.cohort.sources.csv_dialect import check_delimiter, choose_decimal
from heartify.cohort.sources.csv_records import CsvRecords, Records
from heartify.cohort.sources.faults import Faults
from heartify.cohort.sources.text_columns import DecimalMark, TextColumn, texts_of_a_column
from heartify.cohort.sources.text_lines import check_encoding, iterate_lines
from heartify.cohort.sources.watched_file import digest_of_parts
from heartify.protocol.dictionary import DataDictionary


class CsvRows:
    """Rows of a CSV file, plain, gzip or zstd.

    `sources` says which columns have another name or unit in the file; `ignore` names columns of the file that the
    dictionary leaves out on purpose. Raises InputError when the file can't be read, UsageError for unusable options.
    """

    def __init__(
        self,
        source: Path | ByteSource,
        dictionary: DataDictionary,
        *,
        sources: Mapping[str, ColumnSource] = MappingProxyType({}),
        ignore: Collection[str] = (),
        delimiter: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
    ) -> None:
        self._bytes = FileBytes(source) if isinstance(source, Path) else source
        self._dictionary = dictionary
        self._bound = bind_columns(dictionary, sources)
        self._ignore = frozenset(ignore)
        self._delimiter, self._decimal = check_delimiter(delimiter), decimal
        self._encoding = check_encoding(encoding)
        self._stream: OpenBytes | None = None
        choose_decimal(decimal, ",")  # refuses an unusable one now, and not after the file is open

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self._bytes.name

    @property
    def dictionary(self) -> DataDictionary:
        """The dictionary that every batch follows."""
        return self._dictionary

    def fingerprint(self) -> str | None:
        """Return a digest of the file's name, size and time, and of all that decides how it is read."""
        file = self._bytes.fingerprint()
        if file is None:
            return None
        options = (sorted(self._ignore), self._delimiter, self._decimal, self._encoding)
        return digest_of_parts("csv", file, self._dictionary.digest(), repr(self._bound), repr(options))

    def fraction_read(self) -> float | None:
        """Return how much of the file's bytes the running iteration has read; None before there is one."""
        return None if self._stream is None else self._stream.fraction()

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield the rows in table form; those before `start_row` are passed over without a look into their cells.

        Raises InputError with up to 20 faults. Rows before the first fault may have been yielded by then.
        """
        faults = Faults(self.name)
        with self._bytes.open() as stream:
            self._stream = stream
            known = {bound.source_name for bound in self._bound} | self._ignore
            lines = iterate_lines(stream, self._encoding)
            records = CsvRecords(lines, faults, delimiter=self._delimiter, known=known)
            where = f"line {records.header_line}"
            positions = find_positions(records.names, self._bound, self._ignore, faults, where)
            records.skip(start_row)
            yield from self._read(records, positions, faults, from_start=start_row == 0)

    def _read(
        self, records: CsvRecords, positions: list[int], faults: Faults, *, from_start: bool
    ) -> Iterator[pa.RecordBatch]:
        columns = self._build_columns(choose_decimal(self._decimal, records.delimiter))
        batches = ((len(batch), _read_batch(batch, columns, positions, faults)) for batch in records.batches())
        yield from yield_sound(batches, faults, may_be_empty=not from_start)

    def _build_columns(self, decimal: DecimalMark) -> list[TextColumn]:
        cached = texts_of_a_column(len(self._bound))
        return [TextColumn(bound, decimal=decimal, cached_texts=cached) for bound in self._bound]


def _read_batch(
    records: Records, columns: list[TextColumn], positions: list[int], faults: Faults
) -> pa.RecordBatch | None:
    parts: list[ColumnBatch] = []
    for column, position in zip(columns, positions, strict=True):
        if column.bound.column.role == "id":
            parts.append(build_ids(column.read_ids(records.column(position))))
        else:
            parts.append(build_column(column.bound, *column.read_values(records.column(position))))
    bound = [column.bound for column in columns]
    return assemble_batch(list(zip(bound, parts, strict=True)), faults, lambda row: f"line {records.lines[row]}")
