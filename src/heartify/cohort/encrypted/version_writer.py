"""Encrypt rows in table form as the column files of one version, part by part, in bounded memory.

Runs in the hospital on plaintext that the lints have passed. Rows keep their order, so that columns stay aligned; ids
are not written at all. Each file has a fresh salt, so that a part which is written again after a kill shares no nonce
with its first try. Complete parts lie in a local folder under the names of their digests; who uploads them and keeps
the journal is the caller. Files hold ciphertext; the master key is never stored or logged.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from heartify.cohort.encrypted.column_crypto import SALT_BYTES, FilePlace, column_key
from heartify.cohort.encrypted.encoding import encode_values
from heartify.cohort.encrypted.part_writer import PartWriter, begin_part
from heartify.cohort.encrypted.stored_form import stored_form
from heartify.cohort.table_form import check_table
from heartify.errors import ServiceError, UsageError
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.manifest import MAX_PART_ROWS, PADDING_ROWS, ColumnFile

DEFAULT_PART_ROWS = 4 * 1024 * 1024

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """A complete part: one file for each published column, each in `folder` under the name of its object."""

    part: int
    first_row: int
    rows: int
    files: tuple[ColumnFile, ...]
    folder: Path

    def path(self, entry: ColumnFile) -> Path:
        """Return where one of the part's files lies."""
        return self.folder / entry.object_name


class VersionWriter:
    """Writes the column files of one version into `folder`.

    `part_rows` is a multiple of 512. Raises UsageError, IntegrityError (lengths of keys), ServiceError (disk).
    """

    def __init__(
        self,
        dictionary: DataDictionary,
        *,
        dataset: bytes,
        version_nonce: bytes,
        master_key: bytes,
        folder: Path,
        part_rows: int = DEFAULT_PART_ROWS,
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> None:
        if part_rows % PADDING_ROWS or not 0 < part_rows <= MAX_PART_ROWS:
            raise UsageError(f"part_rows must be a multiple of {PADDING_ROWS}, at most {MAX_PART_ROWS}")
        self._dictionary, self._part_rows, self._random_bytes = dictionary, part_rows, random_bytes
        self._dataset, self._nonce, self._folder = dataset, version_nonce, folder
        self._columns = [(column, stored_form(column)) for column in dictionary.published_columns]
        self._keys = [
            column_key(master_key, dataset=dataset, version_nonce=version_nonce, column=column.name)
            for column, _ in self._columns
        ]
        self._open: list[PartWriter] = []
        self._parts: list[WrittenPart] = []

    @classmethod
    def resume(
        cls,
        dictionary: DataDictionary,
        *,
        dataset: bytes,
        version_nonce: bytes,
        master_key: bytes,
        folder: Path,
        parts: Sequence[WrittenPart],
        part_rows: int = DEFAULT_PART_ROWS,
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> VersionWriter:
        """Continue behind complete parts: append from row `writer.rows` of the source on.

        All arguments must be as before. Raises UsageError when the parts don't follow each other.
        """
        writer = cls(
            dictionary,
            dataset=dataset,
            version_nonce=version_nonce,
            master_key=master_key,
            folder=folder,
            part_rows=part_rows,
            random_bytes=random_bytes,
        )
        names = [column.name for column in dictionary.published_columns]
        for number, part in enumerate(parts):
            is_next = (part.part, part.first_row, part.rows) == (number, number * part_rows, part_rows)
            if not is_next or [entry.column for entry in part.files] != names:
                raise UsageError("the parts of the journal don't follow each other", hint="begin the version anew")
        writer._parts = list(parts)
        return writer

    @property
    def rows(self) -> int:
        """The number of rows appended so far, and of complete parts: the source's next row."""
        return self._complete_rows + (self._open[0].rows if self._open else 0)

    def append(self, batch: pa.RecordBatch) -> None:
        """Append rows in table form.

        Raises InputError when they are not in table form or a value doesn't fit its column, ServiceError.
        After an error, the writer is of no more use.
        """
        check_table(pa.Table.from_batches([batch]), self._dictionary)
        stored = [encode_values(batch.column(column.name), column, form) for column, form in self._columns]
        taken = 0
        while taken < batch.num_rows:
            if not self._open:
                self._begin_part()
            count = min(batch.num_rows - taken, self._part_rows - self._open[0].rows)
            for part, values in zip(self._open, stored, strict=True):
                part.append(values[taken : taken + count])
            taken += count
            if self._open[0].rows == self._part_rows:
                self._finish_part()

    def completed_parts(self) -> tuple[WrittenPart, ...]:
        """Return all complete parts in order, also those that were resumed behind."""
        return tuple(self._parts)

    def finish(self) -> tuple[ColumnFile, ...]:
        """Complete the last part and return the files of all, column by column, as a manifest lists them.

        Without any row there is one part, of padding. Raises ServiceError.
        """
        if not self._open and not self._parts:
            self._begin_part()
        if self._open:
            self._finish_part()
        return tuple(part.files[number] for number in range(len(self._columns)) for part in self._parts)

    @property
    def _complete_rows(self) -> int:
        return sum(part.rows for part in self._parts)

    def _begin_part(self) -> None:
        number = len(self._parts)
        self._open = [
            begin_part(
                self._folder / f"unfinished-{index:05}",
                key,
                self._random_bytes(SALT_BYTES),
                FilePlace(self._dataset, self._nonce, column.name, number, form.tag),
                form,
            )
            for index, ((column, form), key) in enumerate(zip(self._columns, self._keys, strict=True))
        ]

    def _finish_part(self) -> None:
        rows, first_row = self._open[0].rows, self._complete_rows
        files = tuple(part.finish(first_row) for part in self._open)
        _sync_folder(self._folder)
        self._open = []
        self._parts.append(WrittenPart(len(self._parts), first_row, rows, files, self._folder))


def _sync_folder(folder: Path) -> None:
    """Make the names of finished files outlive a power cut, before anybody writes them into a journal."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise ServiceError("cannot write the working folder", hint="check its free space and rights") from exc
