"""Publish a table that is in memory as one immutable dataset version: lint, encrypt, store, manifest last.

Runs in the hospital on plaintext, for cohorts that fit in memory and for the dry run; a long source goes through
`VersionWriter` in two passes instead. Nothing is visible before everything is there: without its manifest a
version doesn't exist. The master key is returned, never stored or logged: give it to the hospital's broker.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from heartify.cohort.encrypted.column_crypto import KEY_BYTES, NONCE_BYTES
from heartify.cohort.encrypted.version_writer import DEFAULT_PART_ROWS, RandomBytes, VersionWriter, WrittenPart
from heartify.cohort.lint.publication import PublicationReport, check_publishable
from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.storage.store import Store, version_folder
from heartify.cohort.table_form import check_table
from heartify.errors import HeartifyError, UsageError
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_bytes, to_hex
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.manifest import (
    DICTIONARY_FILE,
    DOCUMENT_NAMES,
    MANIFEST_FILE,
    ColumnFile,
    Document,
    Manifest,
    round_rows,
)

__all__ = ["VersionWriter", "WrittenPart", "WrittenVersion", "write_version"]


@dataclass(frozen=True, slots=True)
class WrittenVersion:
    """What publishing gives back: the public manifest, and two things that stay in the hospital."""

    manifest: Manifest
    version_id: str
    report: PublicationReport = field(repr=False)
    master_key: bytes = field(repr=False)

    @property
    def folder(self) -> str:
        """The version's folder in the store."""
        return version_folder(self.version_id)


def write_version(  # noqa: PLR0913 - all are facts of the version
    table: pa.Table,
    dictionary: DataDictionary,
    *,
    dataset: str,
    previous: str | None,
    store: Store,
    accepted_findings: Mapping[str, str] | None = None,
    part_rows: int = DEFAULT_PART_ROWS,
    random_bytes: RandomBytes = secrets.token_bytes,
    documents: Mapping[str, bytes] | None = None,
) -> WrittenVersion:
    """Check, encrypt and store a table (in `table_form`) as a version of `dataset` following `previous`.

    `dataset` and `previous` are digests as hex; `accepted_findings` maps a finding's name to the written reason,
    `documents` the name of a public document to its bytes. `part_rows` is a multiple of 512. Raises InputError (table,
    findings), UsageError, ServiceError (store); then no version and no object of it is in the store.
    """
    check_table(table, dictionary)
    listed = _list_documents(documents or {})
    report = check_publishable(table, dictionary, accepted_findings or {}, salt=random_bytes(NONCE_BYTES))
    nonce, master_key = random_bytes(NONCE_BYTES), random_bytes(KEY_BYTES)
    with tempfile.TemporaryDirectory(prefix="heartify-version-") as folder:
        writer = VersionWriter(
            dictionary,
            dataset=to_bytes(dataset),
            version_nonce=nonce,
            master_key=master_key,
            folder=Path(folder),
            part_rows=part_rows,
            random_bytes=random_bytes,
        )
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            writer.append(batch)
        manifest = Manifest(
            dataset=dataset,
            previous=previous,
            version_nonce=to_hex(nonce),
            dictionary_digest=dictionary.digest(),
            report_digest=report.digest(),
            rows_rounded=round_rows(table.num_rows),
            columns=writer.finish(),
            documents=listed,
        )
        public = {DICTIONARY_FILE: encode_canonical(dictionary), **(documents or {})}
        _store_version(store, Path(folder), manifest, public)
    return WrittenVersion(manifest, manifest.version_id(), report, master_key)


def _list_documents(documents: Mapping[str, bytes]) -> tuple[Document, ...]:
    if not documents.keys() <= set(DOCUMENT_NAMES):
        raise UsageError(f"a version's documents are of {', '.join(DOCUMENT_NAMES)}")
    return tuple(
        Document(name=name, size=len(documents[name]), digest=sha256_digest(documents[name]))
        for name in DOCUMENT_NAMES
        if name in documents
    )


def _store_version(store: Store, folder: Path, manifest: Manifest, public: Mapping[str, bytes]) -> None:
    with store.staging() as staging, contextlib.ExitStack() as undo:
        for entry in manifest.columns:
            undo.callback(_remove_object, store, entry)
            store.put(f"objects/{entry.object_name}", (folder / entry.object_name).read_bytes())
        for name, data in public.items():
            store.put(f"{staging}/{name}", data)
        store.put(f"{staging}/{MANIFEST_FILE}", encode_canonical(manifest))
        store.publish(staging, version_folder(manifest.version_id()))
        undo.pop_all()


def _remove_object(store: Store, entry: ColumnFile) -> None:
    # A store that just failed may fail again: its error was raised already, and an object without keys is noise.
    with contextlib.suppress(HeartifyError):
        store.remove(f"objects/{entry.object_name}")
