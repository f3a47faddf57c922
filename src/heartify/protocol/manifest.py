"""The manifest: what one immutable dataset version consists of. The SHA-256 of its canonical bytes is the version id.

It is public, and the only thing that a reader trusts once its id is known (from the grant and the deal): it fixes every
file by size and digest, and a file's digest is its name in the store. It must never tell an outsider how values are
distributed: the number of rows is rounded, and file sizes depend on the number of rows (in steps of 512) and on what
the public dictionary declares alone (docs/adr/0012). Documents for the catalogue are released on purpose. No I/O here.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import Digest, digest_of, parse_canonical, sha256_digest

MANIFEST_FORMAT: Literal["heartify.manifest/2"] = "heartify.manifest/2"
DICTIONARY_FILE = "dictionary.json"
MANIFEST_FILE = "manifest.json"

PADDING_ROWS = 512
"""Rows are padded with missing values to a multiple of this: 512 float64 values are 4 KiB."""

ROW_GROUP_ROWS = 64 * 1024
MAX_PART_ROWS = 16 * 1024 * 1024
MAX_ROWS = 2**33
MAX_FILES = 16 * 1024

DOCUMENT_NAMES = ("catalogue.jsonld", "dictionary.csvw.json", "statistics.json", "synthetic-twin.csv")
"""Documents that a version may have beside its manifest and dictionary; a closed list, in this order."""

Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class ColumnFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One encrypted file: rows `first_row` to `first_row + padded_rows - 1` of one column.

    `size` is in bytes and `digest` is the SHA-256 of the ciphertext. `padded_rows` counts the padding too.
    """

    column: str
    part: Count
    first_row: Count
    padded_rows: Count
    size: Count
    digest: Digest

    @property
    def object_name(self) -> str:
        """The file's name in a store: its digest without 0x."""
        return self.digest.removeprefix("0x")


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One public document of the version, for the catalogue. `size` is in bytes."""

    name: str
    size: Count
    digest: Digest


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One dataset version.

    `version_nonce` is 32 random bytes that salt the column keys and bind the files. `report_digest` commits to the
    publication report (findings that the steward accepted, with reasons), which stays in the hospital; a random salt in
    that report keeps the commitment from telling anything. Raises DocumentError when the files do not form a table.
    """

    dataset: Digest
    previous: Digest | None
    version_nonce: Digest
    dictionary_digest: Digest
    report_digest: Digest
    rows_rounded: Count
    columns: tuple[ColumnFile, ...]
    documents: tuple[Document, ...] = ()
    format: Literal["heartify.manifest/2"] = MANIFEST_FORMAT

    def __post_init__(self) -> None:
        if self.rows_rounded % 5 or self.rows_rounded == 5:
            raise DocumentError("the manifest's row count is not rounded to 5, with 0 for less than 10")
        if not 0 < len(self.columns) <= MAX_FILES:
            raise DocumentError(f"the manifest must list 1 to {MAX_FILES} files")
        if len({entry.digest for entry in self.columns}) != len(self.columns):
            raise DocumentError("the manifest lists a file twice")
        if [document.name for document in self.documents] != [
            name for name in DOCUMENT_NAMES if name in {document.name for document in self.documents}
        ]:
            raise DocumentError(f"the manifest's documents must be of {', '.join(DOCUMENT_NAMES)}, once, in this order")
        layouts = {tuple((e.part, e.first_row, e.padded_rows) for e in files) for files in self.files().values()}
        if len(layouts) != 1:
            raise DocumentError("the manifest's columns do not have the same parts")
        _check_layout(layouts.pop(), self.rows_rounded)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the stored columns in order of first appearance."""
        return tuple(dict.fromkeys(entry.column for entry in self.columns))

    def files(self) -> dict[str, tuple[ColumnFile, ...]]:
        """Return each column's files ordered by part: one pass, however many columns there are."""
        found: dict[str, list[ColumnFile]] = {}
        for entry in sorted(self.columns, key=lambda entry: entry.part):
            found.setdefault(entry.column, []).append(entry)
        return {name: tuple(found[name]) for name in self.column_names}

    def files_of(self, column: str) -> tuple[ColumnFile, ...]:
        """Return one column's files ordered by part; empty when the version has no such column."""
        return tuple(sorted((e for e in self.columns if e.column == column), key=lambda entry: entry.part))

    def version_id(self) -> str:
        """Return the SHA-256 of the canonical bytes."""
        return digest_of(self)


def parse_manifest(data: bytes, version_id: str) -> Manifest:
    """Verify and parse a manifest whose id the caller knows from a grant, a deal or the chain.

    Raises IntegrityError when the bytes are not that version's, DocumentError when they are no manifest.
    """
    if sha256_digest(data) != version_id:
        raise IntegrityError(
            "manifest-digest: these bytes are not the manifest of the dataset version asked for",
            hint="fetch the version again from its publisher",
        )
    return parse_canonical(data, Manifest)


def round_rows(rows: int) -> int:
    """Round a row count to the nearest 5, and everything under 10 to 0 (disclosure rule on small counts)."""
    return 0 if rows < 10 else (rows + 2) // 5 * 5


def padded_row_count(rows: int) -> int:
    """Return the rows that a part of `rows` rows has on disk; at least one step, so that nothing looks empty."""
    return max(1, -(-rows // PADDING_ROWS)) * PADDING_ROWS


def _check_layout(parts: tuple[tuple[int, int, int], ...], rows_rounded: int) -> None:
    """Check that parts are numbered from 0, follow each other, are padded, and agree with the rounded count."""
    next_row = 0
    for number, (part, first_row, padded_rows) in enumerate(parts):
        if part != number or first_row != next_row:
            raise DocumentError("the manifest's parts have gaps, overlap, or are not numbered from 0")
        if not 0 < padded_rows <= MAX_PART_ROWS or padded_rows % PADDING_ROWS:
            raise DocumentError(f"a part must have up to {MAX_PART_ROWS} rows in steps of {PADDING_ROWS}")
        next_row += padded_rows
    # Only the last part is padded, so the true count lies in its last step; rounding moves it by less than 10.
    if next_row > MAX_ROWS or not next_row - PADDING_ROWS - 10 < rows_rounded < next_row + 10:
        raise DocumentError("the manifest's rounded row count does not fit its parts")
