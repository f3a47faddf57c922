"""Write the change ledger of a version in the making, batch by batch, in memory for one run of rows.

    new (a draft folder)  -> add ... -> seal -> compare with earlier ledgers -> finish(version id) or discard

A draft becomes a ledger by one rename, when the version's id is known. A sealed draft survives the process, so that a
publication that was killed can go on with it. One publication of a dataset at a time: a new writer removes an old
draft.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from heartify.cohort.changes.content_digests import ContentDigester, declaration_digest
from heartify.cohort.changes.keys import derive_key
from heartify.cohort.changes.ledger import (
    CONTENTS_FILE,
    HEADER_FILE,
    PERSONS_FILE,
    RUN_ROWS,
    Ledger,
    LedgerHeader,
    Words,
    open_ledger,
)
from heartify.cohort.changes.person_digests import digest_texts, join_ids
from heartify.cohort.storage.local_files import put_local, sync_directory
from heartify.errors import UsageError
from heartify.protocol.canonical import digest_of, encode_canonical, to_bytes
from heartify.protocol.dictionary import DataDictionary

DRAFT_FOLDER: Final = "draft"
_PERSON_BYTES = 8


class LedgerWriter:
    """The ledger of the version that is being published."""

    def __init__(self, folder: Path, key: bytes, dictionary: DataDictionary) -> None:
        """Begin a draft in `folder`, the dataset's folder of ledgers; an older draft is removed."""
        self._draft, self._key = folder / DRAFT_FOLDER, key
        self._contents = ContentDigester(key, dictionary)
        self._declaration = declaration_digest(dictionary)
        self._id_columns = sorted(column.name for column in dictionary.columns if column.role == "id")
        self._ids_digest = digest_of(self._id_columns) if self._id_columns else None
        self._person_key = derive_key(key, b"heartify/change-ledger/persons/v1" + to_bytes(self._ids_digest or "0x"))
        self._waiting: list[tuple[Words, Words]] = []
        self._waiting_rows = self._rows = 0
        self._is_sealed = False
        self.discard()
        self._draft.mkdir(parents=True, mode=0o700)
        self._persons_file = _HashedFile(self._draft / PERSONS_FILE) if self._id_columns else None
        self._contents_file = _HashedFile(self._draft / CONTENTS_FILE)

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch in table form.

        Raises UsageError when the ledger is sealed.
        """
        if self._is_sealed:
            raise UsageError("a sealed change ledger takes no more rows", hint="begin a new one")
        self._waiting.append((self._persons(batch), self._contents.digests(batch)))
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= RUN_ROWS:
            self._write_runs(RUN_ROWS)

    def seal(self) -> Ledger:
        """Write what waits and the header; return the ledger, to compare it with earlier ones."""
        self._close()
        return open_ledger(self._draft, self._key)

    def finish(self, version: str) -> Ledger:
        """Make the draft the ledger of a version, in one step.

        Raises IntegrityError when the draft was damaged, or when the version has another ledger already.
        """
        self._close()
        return finish_draft(self._draft.parent, self._key, version)

    def discard(self) -> None:
        """Remove the draft; nothing happens when there is none."""
        shutil.rmtree(self._draft, ignore_errors=True)

    def _close(self) -> None:
        if self._is_sealed:
            return
        self._write_runs(1)
        header = LedgerHeader(
            version=None,
            rows=self._rows,
            id_columns=self._ids_digest,
            declaration=self._declaration,
            persons_digest=None if self._persons_file is None else self._persons_file.sync(),
            contents_digest=self._contents_file.sync(),
        )
        _write_header(self._draft, header.authenticated(self._key))
        self._is_sealed = True

    def _persons(self, batch: pa.RecordBatch) -> Words:
        if not self._id_columns:
            return np.zeros(batch.num_rows, np.uint64)
        texts = join_ids([batch.column(name) for name in self._id_columns])
        digests = digest_texts(texts, self._person_key, size=_PERSON_BYTES, purpose=b"ledger-person")
        return np.frombuffer(b"".join(digests), np.uint64)

    def _write_runs(self, at_least: int) -> None:
        """Write waiting rows as sorted runs while there are `at_least` that many; only the last run may be short."""
        persons, contents = (np.concatenate([np.empty(0, np.uint64), *words]) for words in self._columns_waiting())
        start = 0
        while persons.size - start >= at_least:
            stop = min(start + RUN_ROWS, persons.size)
            self._write_run(persons[start:stop], contents[start:stop])
            start = stop
        self._waiting, self._waiting_rows = [(persons[start:], contents[start:])], persons.size - start

    def _columns_waiting(self) -> tuple[list[Words], list[Words]]:
        return [persons for persons, _ in self._waiting], [contents for _, contents in self._waiting]

    def _write_run(self, persons: Words, contents: Words) -> None:
        if self._persons_file is not None:
            order = np.argsort(persons)
            self._persons_file.write(persons[order])
            self._persons_file.write(contents[order])
        self._contents_file.write(np.sort(contents))
        self._rows += contents.size


class _HashedFile:
    """A new file whose SHA-256 is known at its end; it is open only while something is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.touch(mode=0o600, exist_ok=False)
        self._hash = hashlib.sha256()

    def write(self, words: Words) -> None:
        data = words.astype("<u8", copy=False).tobytes()
        with self._path.open("ab") as file:
            file.write(data)
        self._hash.update(data)

    def sync(self) -> str:
        with self._path.open("ab") as file:
            os.fsync(file.fileno())
        return "0x" + self._hash.hexdigest()


def load_draft(folder: Path, key: bytes) -> Ledger | None:
    """Return the sealed draft that a killed publication left, None when there is none or it wasn't sealed.

    Raises IntegrityError when it is damaged.
    """
    draft = folder / DRAFT_FOLDER
    return open_ledger(draft, key) if (draft / HEADER_FILE).exists() else None


def finish_draft(folder: Path, key: bytes, version: str) -> Ledger:
    """Make the sealed draft the ledger of a version, in one step; a second call returns what the first one made.

    Raises UsageError when there is neither, IntegrityError when it is damaged or not that version's.
    """
    draft, final = folder / DRAFT_FOLDER, folder / version.removeprefix("0x")
    if final.exists():
        shutil.rmtree(draft, ignore_errors=True)
        return open_ledger(final, key)
    ledger = load_draft(folder, key)
    if ledger is None:
        raise UsageError("there is no sealed change ledger to finish", hint="read the source again")
    header = msgspec.structs.replace(ledger.header, version=version).authenticated(key)
    _write_header(draft, header)
    draft.rename(final)
    sync_directory(folder)
    return Ledger(final, header)


def _write_header(folder: Path, header: LedgerHeader) -> None:
    put_local(folder / HEADER_FILE, encode_canonical(header))
