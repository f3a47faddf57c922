"""Write one part of one column block by block to a local file, in the memory of one block.

Runs in the hospital. Until the part is complete, its file holds ciphertext under a key that nobody else has, and no row
count, so that half a part can't be read as one. The digest is taken from the complete file, because the row count
comes first in it and is known last.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from heartify.cohort.encrypted.column_crypto import TAG_BYTES, FileCipher, FilePlace
from heartify.cohort.encrypted.column_file import HEADER_BYTES, MAGIC, ROW_COUNT_BYTES, file_bytes
from heartify.cohort.encrypted.encoding import StoredArray, missing_values, pack_values, stored_type
from heartify.cohort.encrypted.stored_form import StoredForm
from heartify.errors import ServiceError
from heartify.protocol.manifest import ROW_GROUP_ROWS, ColumnFile, padded_row_count


@dataclass(slots=True)
class PartWriter:
    """A part of a column in the making, in `path`. Build it by begin_part."""

    path: Path
    place: FilePlace
    form: StoredForm
    cipher: FileCipher = field(repr=False)
    _block: StoredArray = field(repr=False)
    _filled: int = 0
    _blocks: int = 0

    @property
    def rows(self) -> int:
        """The number of rows so far."""
        return self._blocks * ROW_GROUP_ROWS + self._filled

    def append(self, values: StoredArray) -> None:
        """Append stored values.

        Raises ServiceError when the disk doesn't take them.
        """
        taken = 0
        while taken < len(values):
            if self._filled == ROW_GROUP_ROWS:
                # Not before another row comes: a last block is sealed as the last one.
                self._write_block(is_last=False)
            count = min(len(values) - taken, ROW_GROUP_ROWS - self._filled)
            self._block[self._filled : self._filled + count] = values[taken : taken + count]
            self._filled += count
            taken += count

    def finish(self, first_row: int) -> ColumnFile:
        """Complete the part with padding and row count, and move it to the name of its digest.

        Raises ServiceError.
        """
        rows, padded = self.rows, padded_row_count(self.rows)
        target = padded - self._blocks * ROW_GROUP_ROWS
        self._block[self._filled : target] = missing_values(self.form, target - self._filled)
        self._filled = target
        self._write_block(is_last=True)
        sealed = self.cipher.seal(0, rows.to_bytes(ROW_COUNT_BYTES, "little"), is_last=False)
        try:
            with self.path.open("r+b") as file:
                file.seek(HEADER_BYTES)
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self.path.rename(self.path.with_name(digest))
        except OSError as exc:
            raise _disk_error(exc) from exc
        return ColumnFile(
            column=self.place.column,
            part=self.place.part,
            first_row=first_row,
            padded_rows=padded,
            size=file_bytes(padded, self.form.width_bits),
            digest=f"0x{digest}",
        )

    def _write_block(self, *, is_last: bool) -> None:
        packed = pack_values(self._block[: self._filled], self.form)
        sealed = self.cipher.seal(self._blocks + 1, packed, is_last=is_last)
        try:
            # Opened for each block: a version may have more columns than a process may have files.
            with self.path.open("r+b") as file:
                file.seek(0, os.SEEK_END)
                file.write(sealed)
        except OSError as exc:
            raise _disk_error(exc) from exc
        self._blocks, self._filled = self._blocks + 1, 0


def begin_part(path: Path, key: bytes, salt: bytes, place: FilePlace, form: StoredForm) -> PartWriter:
    """Begin a part in a new file that only we may read; a file that a killed writer left there is replaced.

    `salt` is fresh random bytes: under a salt that was used before, nonces would repeat. Raises ServiceError.
    """
    cipher = FileCipher(key, salt, place)
    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, made with its rights
            file.write(MAGIC + salt + bytes(ROW_COUNT_BYTES + TAG_BYTES))
    except OSError as exc:
        raise _disk_error(exc) from exc
    return PartWriter(path, place, form, cipher, np.empty(ROW_GROUP_ROWS, stored_type(form)))


def _disk_error(exc: OSError) -> ServiceError:
    return ServiceError(
        f"cannot write a part of the version: {exc.strerror or type(exc).__name__}",
        hint="check the working folder's free space and rights",
    )
