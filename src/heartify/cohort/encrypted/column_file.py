"""The layout of a column file: magic, salt, the sealed row count, and sealed blocks of 65,536 rows.

Runs in the enclave. Offsets follow from the number of padded rows and the width of the form alone, so that a reader
never believes a length that stands in a file: there is none. Whoever opens a file has compared its size with
`file_bytes` before. What comes out of a block isn't checked against the dictionary yet; `decoding` does that.

Source: docs/reference/dataset-format.md, "Files".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from heartify.cohort.encrypted.bit_planes import packed_bytes
from heartify.cohort.encrypted.column_crypto import SALT_BYTES, TAG_BYTES, FileCipher, FilePlace, Key
from heartify.cohort.encrypted.stored_form import StoredForm
from heartify.errors import IntegrityError
from heartify.protocol.manifest import ROW_GROUP_ROWS, padded_row_count

MAGIC = b"HFYCOL2\0"
HEADER_BYTES = len(MAGIC) + SALT_BYTES
ROW_COUNT_BYTES = 8

ReadRange = Callable[[int, int], bytes | memoryview]
"""Reads so many bytes at an offset of a file; fewer only when the file ends."""


def block_count(padded_rows: int) -> int:
    """Return the number of blocks of a file."""
    return -(-padded_rows // ROW_GROUP_ROWS)


def block_rows(padded_rows: int, block: int) -> int:
    """Return the number of rows of one block, padding included; every block but the last is full."""
    return min(ROW_GROUP_ROWS, padded_rows - block * ROW_GROUP_ROWS)


def block_offset(block: int, width_bits: int) -> int:
    """Return where a block's ciphertext begins in its file."""
    full = packed_bytes(ROW_GROUP_ROWS, width_bits) + TAG_BYTES
    return HEADER_BYTES + ROW_COUNT_BYTES + TAG_BYTES + block * full


def file_bytes(padded_rows: int, width_bits: int) -> int:
    """Return the exact size of a file."""
    values = packed_bytes(padded_rows, width_bits)
    return block_offset(0, width_bits) + values + block_count(padded_rows) * TAG_BYTES


@dataclass(frozen=True, slots=True)
class OpenColumnFile:
    """A file that opened under its key in its place; `rows` without padding."""

    rows: int
    padded_rows: int
    form: StoredForm
    cipher: FileCipher = field(repr=False)
    read: ReadRange = field(repr=False)

    def read_block(self, block: int) -> bytes:
        """Return the packed values of a block.

        Raises IntegrityError.
        """
        rows = block_rows(self.padded_rows, block)
        size = packed_bytes(rows, self.form.width_bits) + TAG_BYTES
        sealed = self.read(block_offset(block, self.form.width_bits), size)
        return self.cipher.open(block + 1, sealed, is_last=block + 1 == block_count(self.padded_rows))

    def known_rows(self, block: int) -> int:
        """Return how many rows of a block are no padding."""
        return max(0, min(block_rows(self.padded_rows, block), self.rows - block * ROW_GROUP_ROWS))


def open_column_file(
    read: ReadRange, column_key: Key, place: FilePlace, form: StoredForm, padded_rows: int
) -> OpenColumnFile:
    """Check the magic, derive the file's key and open the row count.

    Raises IntegrityError: not a column file, or not this one, or its row count does not fit its padding.
    """
    header = bytes(read(0, block_offset(0, form.width_bits)))
    if header[: len(MAGIC)] != MAGIC:
        raise IntegrityError("file-magic: a file is not an encrypted column file")
    cipher = FileCipher(column_key, header[len(MAGIC) : HEADER_BYTES], place)
    rows = int.from_bytes(cipher.open(0, header[HEADER_BYTES:], is_last=False), "little")
    if padded_row_count(rows) != padded_rows:
        raise IntegrityError("file-rows: a file's row count does not fit its padding")
    return OpenColumnFile(rows, padded_rows, form, cipher, read)
