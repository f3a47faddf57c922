"""The journal of a publication under way, so that one that was killed goes on where it was.

It lies in the hospital's home, readable by its owner only. It holds no patient's value and no open key: the master key
is wrapped by the vault, bound to this publication. It names parts whose files are in the store already. One publication
of a dataset runs at a time; the kernel drops the lock when the process dies, however it dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from heartify.broker.vault import Vault
from heartify.cohort.changes.change_rule import ChangeRecord
from heartify.cohort.lint.publication import PublicationReport
from heartify.errors import HeartifyError, UsageError
from heartify.party.home import load_document, write_atomically
from heartify.protocol.canonical import Digest, HexBytes, encode_canonical, to_bytes, to_hex
from heartify.protocol.manifest import ColumnFile

JOURNAL_FILE = "journal.json"


class StoredPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part whose files are all in the store."""

    rows: int
    files: tuple[ColumnFile, ...]


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far a publication has come.

    `left_out` counts rows of patients who opted out; `version` is set when the manifest is in the store.
    """

    dataset: Digest
    fingerprint: Digest | None
    previous: Digest | None
    version_nonce: Digest
    wrapped_master_key: HexBytes
    rows: int
    left_out: int
    report: PublicationReport
    changes: ChangeRecord
    parts: tuple[StoredPart, ...] = ()
    version: Digest | None = None
    format: Literal["heartify.publication-journal/1"] = "heartify.publication-journal/1"

    @property
    def rows_stored(self) -> int:
        """The rows of the parts that are in the store."""
        return sum(part.rows for part in self.parts)

    def master_key(self, vault: Vault) -> bytes:
        """Return the version's master key.

        Raises IntegrityError when the vault is another one or the journal is damaged.
        """
        return vault.unwrap(_binding(self.dataset, self.version_nonce), to_bytes(self.wrapped_master_key))


def wrap_for_journal(vault: Vault, dataset: str, version_nonce: str, master_key: bytes) -> str:
    """Return the master key as a journal keeps it."""
    return to_hex(vault.wrap(_binding(dataset, version_nonce), master_key))


def _binding(dataset: str, version_nonce: str) -> str:
    return f"publication of {dataset} with {version_nonce}"


@dataclass(frozen=True, slots=True)
class JournalFolder:
    """The folder of one dataset's publication under way: journal, documents, parts being written."""

    path: Path

    @property
    def documents(self) -> Path:
        """Where the public documents wait."""
        return self.path / "documents"

    @property
    def parts(self) -> Path:
        """Where encrypted parts are written before they are stored."""
        return self.path / "parts"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the dataset's publication lock.

        Raises UsageError when another process publishes the same dataset.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_suffix(".lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise UsageError("another process is publishing this dataset", hint="wait until it has ended") from exc
            yield

    def load(self, fingerprint: str | None) -> Journal | None:
        """Return the journal of a publication with this fingerprint, None when there is none that can go on."""
        if fingerprint is None or not (self.path / JOURNAL_FILE).exists():
            return None
        try:
            journal = load_document(self.path / JOURNAL_FILE, Journal, hint="")
        except HeartifyError:
            return None  # damaged, or of another release of this program: begin anew
        return journal if journal.fingerprint == fingerprint else None

    def holds(self, version: str) -> bool:
        """Tell whether the journal is that of a version; one that can't be read may be any version's."""
        if not (self.path / JOURNAL_FILE).exists():
            return False
        try:
            return load_document(self.path / JOURNAL_FILE, Journal, hint="").version == version
        except HeartifyError:
            return True

    def store(self, journal: Journal) -> None:
        """Write the journal, durably and whole."""
        write_atomically(self.path / JOURNAL_FILE, encode_canonical(journal), mode=0o600)

    def begin(self) -> None:
        """Make an empty folder, and destroy what an abandoned publication left."""
        self.remove()
        for folder in (self.path, self.documents, self.parts):
            folder.mkdir(parents=True, mode=0o700)

    def remove(self) -> None:
        """Destroy the folder; the wrapped key in it is overwritten first."""
        journal = self.path / JOURNAL_FILE
        if journal.exists():
            shred_file(journal)
        shutil.rmtree(self.path, ignore_errors=True)


def shred_file(path: Path) -> None:
    """Overwrite a file's bytes before it is removed; what a copying file system or a backup keeps is out of reach."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
