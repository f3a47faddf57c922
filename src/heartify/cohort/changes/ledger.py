"""The change ledger of one version: keyed digests of its patients and rows, in files that only the hospital has.

    header.json    what the digests are of, how many, the files' SHA-256, and a keyed digest of all that
    persons.bin    runs of up to RUN_ROWS rows: person digests in rising order, then the content digest of each
    contents.bin   runs of as many rows: content digests in rising order

It outlives its version's withdrawal, for otherwise a withdrawn version's successor could be that version less one
patient. Nobody can compute a digest without the key; still it never leaves the hospital, since equal digests tell which
patients two versions share. A damaged, truncated or exchanged ledger is refused when it is opened.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import Digest, encode_canonical, parse_canonical, to_hex

LEDGER_FORMAT: Literal["heartify.change-ledger/1"] = "heartify.change-ledger/1"
HEADER_FILE, PERSONS_FILE, CONTENTS_FILE = "header.json", "persons.bin", "contents.bin"
RUN_ROWS = 1024 * 1024
WORD_BYTES = 8
BUCKET_ROWS = 1024 * 1024
"""Digests of one ledger that a comparison holds at once, about."""

Words = npt.NDArray[np.uint64]
_Rows = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class LedgerHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a ledger's digests are of. `version` is None while the version is in the making.

    `id_columns` is the digest of the id columns' names, None when there are none: then there is no persons.bin.
    `declaration` is that of the published columns (`content_digests.declaration_digest`).
    """

    version: Digest | None
    rows: _Rows
    id_columns: Digest | None
    declaration: Digest
    persons_digest: Digest | None
    contents_digest: Digest
    authentication: Digest = "0x" + "00" * 32
    format: Literal["heartify.change-ledger/1"] = LEDGER_FORMAT

    def authenticated(self, key: bytes) -> LedgerHeader:
        """Return the header with the keyed digest of everything else in it."""
        bare = msgspec.structs.replace(self, authentication="0x" + "00" * 32)
        keyed = hashlib.blake2b(encode_canonical(bare), key=key, digest_size=32, person=b"ledger-header")
        return msgspec.structs.replace(self, authentication=to_hex(keyed.digest()))


@dataclass(frozen=True, slots=True)
class Ledger:
    """An opened ledger: its header is authentic and its files are those of the header."""

    folder: Path
    header: LedgerHeader

    @property
    def version(self) -> str | None:
        """The version that it is of; None while that is in the making."""
        return self.header.version

    def persons(self, first: int, last: int) -> tuple[Words, Words]:
        """Return person digests from `first` to `last` inclusive, with the content digest of each row; unordered."""
        words = self._words(PERSONS_FILE)
        persons, contents = [], []
        for start, rows in self._runs():
            begin, middle = 2 * start, 2 * start + rows
            low, high = _range(words[begin:middle], first, last)
            persons.append(words[begin + low : begin + high])
            contents.append(words[middle + low : middle + high])
        return _joined(persons), _joined(contents)

    def contents(self, first: int, last: int) -> Words:
        """Return the rows' content digests from `first` to `last` inclusive, unordered."""
        words = self._words(CONTENTS_FILE)
        found = []
        for start, rows in self._runs():
            run = words[start : start + rows]
            low, high = _range(run, first, last)
            found.append(run[low:high])
        return _joined(found)

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Yield each run's first row and number of rows."""
        for start in range(0, self.header.rows, RUN_ROWS):
            yield start, min(RUN_ROWS, self.header.rows - start)

    def _words(self, name: str) -> Words:
        if not self.header.rows:
            return np.empty(0, np.uint64)
        return np.memmap(self.folder / name, dtype="<u8", mode="r")


def bucket_ranges(rows: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of digests, both ends inclusive, that part `rows` of them into buckets that fit in memory."""
    buckets = max(1, -(-rows // BUCKET_ROWS))
    for number in range(buckets):
        yield number * 2**64 // buckets, (number + 1) * 2**64 // buckets - 1


def load_ledgers(folder: Path, key: bytes) -> tuple[Ledger, ...]:
    """Open all finished ledgers of a dataset, in the order of their versions' ids.

    Raises IntegrityError when one is damaged or was written under another key.
    """
    if not folder.is_dir():
        return ()
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and len(path.name) == 64)
    return tuple(_of_version(open_ledger(folder / name, key), name) for name in names)


def open_ledger(folder: Path, key: bytes) -> Ledger:
    """Open one ledger and check all of it.

    Raises IntegrityError when it is damaged or was written under another key.
    """
    header = _load_header(folder, key)
    words = header.rows * WORD_BYTES
    if header.persons_digest is not None:
        _check_file(folder / PERSONS_FILE, 2 * words, header.persons_digest)
    _check_file(folder / CONTENTS_FILE, words, header.contents_digest)
    return Ledger(folder, header)


def _load_header(folder: Path, key: bytes) -> LedgerHeader:
    try:
        header = parse_canonical((folder / HEADER_FILE).read_bytes(), LedgerHeader)
    except (OSError, DocumentError) as exc:
        raise _damaged(folder, "its header can't be read") from exc
    if not hmac.compare_digest(header.authentication, header.authenticated(key).authentication):
        raise _damaged(folder, "its header is not authentic under this hospital's key")
    return header


def _check_file(path: Path, size: int, digest: str) -> None:
    try:
        with path.open("rb") as file:
            actual_size = path.stat().st_size
            actual = "0x" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise _damaged(path.parent, f"{path.name} can't be read") from exc
    if (actual_size, actual) != (size, digest):
        raise _damaged(path.parent, f"{path.name} is not the file that was written")


def _of_version(ledger: Ledger, name: str) -> Ledger:
    if ledger.version != f"0x{name}":
        raise _damaged(ledger.folder, "it is the ledger of another version")
    return ledger


def _damaged(folder: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"change-ledger: the ledger '{folder.name}' is not usable: {why}",
        hint="restore the home from a backup; without its ledgers nobody can tell how many patients changed",
    )


def _range(sorted_words: Words, first: int, last: int) -> tuple[int, int]:
    low = np.searchsorted(sorted_words, np.uint64(first), side="left")
    return int(low), int(np.searchsorted(sorted_words, np.uint64(last), side="right"))


def _joined(slices: list[Words]) -> Words:
    return np.concatenate(slices) if slices else np.empty(0, np.uint64)
