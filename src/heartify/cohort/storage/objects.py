"""Bring a version into a store: its files under their digests first, its documents next, the manifest last.

All of it may be done again after a kill: what is there is kept, an unfinished upload goes on. That a file "is there"
means that the store lists its name with its size. An honest store whose writes are checked on their way (TLS, and MD5
for S3) then has the bytes; one that lies is found out by `check_stored_version`, and by every reader, who verify.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from heartify.cohort.storage.failures import as_service_error
from heartify.cohort.storage.local_files import replacing
from heartify.cohort.storage.names import digest_hex, object_name, version_folder
from heartify.cohort.storage.s3_client import BLOCK_BYTES, is_s3
from heartify.cohort.storage.s3_upload import LocalFile, S3Target, upload_to_s3
from heartify.cohort.storage.store import Store
from heartify.errors import InputError, IntegrityError, UsageError
from heartify.protocol.canonical import MAX_DOCUMENT_BYTES, sha256_digest
from heartify.protocol.manifest import DICTIONARY_FILE, MANIFEST_FILE, Manifest, parse_manifest

Report = Callable[[int], None]
"""Told how many more bytes are done; for each file they add up to its size, also when nothing had to be sent."""


def put_object(store: Store, path: Path, digest: str, size: int, *, report: Report | None = None) -> None:
    """Upload a local file under its SHA-256, unless the store has one of that name and size.

    Raises InputError when the local file can't be read, IntegrityError when it isn't what `digest` and `size` say (the
    store is then as it was), ServiceError when the store fails.
    """
    tell = report or _nobody
    target = store.writable_path(object_name(digest))
    source = LocalFile(path, digest_hex(digest), size)
    _check_readable(source)
    if stored_size(store, object_name(digest)) == size:
        _touch(store, target)
        tell(size)
        return
    with as_service_error(f"cannot upload the file {source.digest_hex[:16]}…"):
        if store.is_local:
            _copy(Path(target), source, tell)
        elif is_s3(store.filesystem):
            upload_to_s3(S3Target(store.filesystem, target, store.patience), source, tell)
        else:
            with path.open("rb") as file:
                store.filesystem.pipe_file(target, b"".join(source.blocks(file, BLOCK_BYTES)))
            tell(size)


def stored_size(store: Store, name: str) -> int | None:
    """Return the size of a file as the store states it, None when there is none.

    Raises ServiceError.
    """
    path = store.path_of(name)
    with as_service_error(f"cannot look for '{name}'"):
        try:
            return int(store.patience.run(lambda: store.filesystem.info(path))["size"])
        except FileNotFoundError:
            return None


def publish_version(store: Store, manifest_bytes: bytes, documents: Mapping[str, bytes]) -> str:
    """Store a version's documents, by file name, and then its manifest; return the version's id.

    The files that the manifest lists must be there already. The same version again is fine. Raises UsageError when a
    file or document is missing or another manifest has the place, IntegrityError when a document isn't the manifest's.
    """
    version_id = sha256_digest(manifest_bytes)
    manifest, folder = parse_manifest(manifest_bytes, version_id), version_folder(version_id)
    _check_documents(manifest, documents)
    _check_place(store, f"{folder}/{MANIFEST_FILE}", manifest_bytes)
    for entry in manifest.columns:
        if stored_size(store, object_name(entry.digest)) != entry.size:
            raise UsageError("the store does not have all files of the version yet", hint="upload its files first")
    for name, data in sorted(documents.items()):
        store.put(f"{folder}/{name}", data)
    store.put(f"{folder}/{MANIFEST_FILE}", manifest_bytes)
    return version_id


def check_stored_version(store: Store, manifest: Manifest, *, report: Report | None = None) -> None:
    """Read every file of a version back and check its size and SHA-256: what a store says is no proof that it keeps it.

    Raises IntegrityError, ServiceError.
    """
    for entry in manifest.columns:
        with as_service_error("cannot read a file of the version back"):
            store.patience.run(lambda entry=entry: _check_stored(store, entry.digest, entry.size))  # type: ignore[misc]
        (report or _nobody)(entry.size)


def _check_stored(store: Store, digest: str, size: int) -> None:
    found, total = hashlib.sha256(), 0
    with store.open_stream(object_name(digest)) as blocks:
        for block in blocks:
            found.update(block)
            total += len(block)
            if total > size:
                break
    if total != size or found.hexdigest() != digest_hex(digest):
        raise IntegrityError("file-digest: the store has other bytes under a file's name than were published")


def _check_readable(source: LocalFile) -> None:
    try:
        found = source.path.stat().st_size
    except OSError as exc:
        raise InputError("the file to upload can't be read") from exc
    if found != source.size:
        raise IntegrityError(f"file-size: the file to upload has {found} bytes, not the {source.size} of its name")


def _touch(store: Store, target: str) -> None:
    """Make a kept file look new, so that a cleaning meanwhile doesn't take it for one of an old aborted upload."""
    if store.is_local:
        os.utime(target)


def _copy(target: Path, source: LocalFile, report: Report) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.path.open("rb") as file, replacing(target) as copy:
        for block in source.blocks(file, BLOCK_BYTES):
            copy.write(block)
            report(len(block))


def _check_documents(manifest: Manifest, documents: Mapping[str, bytes]) -> None:
    expected = {DICTIONARY_FILE: manifest.dictionary_digest}
    expected |= {document.name: document.digest for document in manifest.documents}
    if set(expected) != set(documents):
        raise UsageError(f"the version's documents must be {', '.join(sorted(expected))}")
    for name, data in documents.items():
        if sha256_digest(data) != expected[name]:
            raise IntegrityError(f"document-digest: '{name}' is not the one that the manifest declares")


def _check_place(store: Store, name: str, manifest_bytes: bytes) -> None:
    if store.exists(name) and store.get(name, max_bytes=MAX_DOCUMENT_BYTES) != manifest_bytes:
        raise UsageError(
            "the store has another manifest in the version's place",
            hint="somebody else changed the store: look at it, then remove that folder",
        )


def _nobody(_: int) -> None:
    """Report to nobody."""
