"""Remove what no version in a store names: files of aborted publications, and those of a withdrawn version.

Run by the hospital on its own store. Only what is older than a grace period is taken, because a publication that runs
just now has its files there before its manifest. When one manifest can't be read nothing is removed: what it names is
not known. Removing is housekeeping; what makes a withdrawn version unreadable is that its key is destroyed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from heartify.cohort.storage.failures import as_service_error
from heartify.cohort.storage.names import OBJECTS_FOLDER, is_version_folder, object_name, version_folder
from heartify.cohort.storage.s3_client import is_s3
from heartify.cohort.storage.store import Store
from heartify.cohort.storage.version_files import load_manifest
from heartify.errors import UsageError
from heartify.protocol.manifest import MANIFEST_FILE, Manifest

GRACE_SECONDS = 7 * 86400
LEAST_GRACE_SECONDS = 3600
"""Less than a large file's upload takes would remove files under a running publication."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that no version names, or with `upload` an unfinished upload of one, which takes space too."""

    name: str
    size: int
    age_seconds: float
    upload: str | None = None


def find_unreferenced(store: Store, now: float, *, grace_seconds: float = GRACE_SECONDS) -> tuple[Leftover, ...]:
    """Return what remove_unreferenced would remove, sorted by name; `now` is in seconds since 1970.

    Raises UsageError for a grace period under an hour or a store that can't be listed; IntegrityError, DocumentError or
    ServiceError when a version in the store can't be read.
    """
    if grace_seconds < LEAST_GRACE_SECONDS:
        raise UsageError(f"the grace period must be at least {LEAST_GRACE_SECONDS} seconds")
    if store.is_read_only:
        raise UsageError("a store on https or IPFS can't be listed or cleaned", hint="clean where its files come from")
    named = _named_objects(_manifests(store).values())
    found = [*_objects(store, named, now), *_uploads(store, now)]
    return tuple(sorted((item for item in found if item.age_seconds >= grace_seconds), key=lambda item: item.name))


def remove_unreferenced(store: Store, now: float, *, grace_seconds: float = GRACE_SECONDS) -> tuple[Leftover, ...]:
    """Remove what find_unreferenced finds, and return it; raises like it, and UsageError when a publication runs."""
    with store.writing():
        leftovers = find_unreferenced(store, now, grace_seconds=grace_seconds)
        for item in leftovers:
            with as_service_error(f"cannot remove '{item.name}'"):
                if item.upload is None:
                    store.filesystem.rm(f"{store.root.rstrip('/')}/{item.name}")
                else:
                    _abort(store, item)
    return leftovers


def remove_version(store: Store, version_id: str) -> int:
    """Remove a withdrawn version's files that no other version names, then its folder; return how many files went.

    After a kill the same call goes on, because the manifest goes last. Nothing happens when the version isn't there.
    Raises IntegrityError, DocumentError or ServiceError when a version in the store can't be read.
    """
    folder = version_folder(version_id)
    if not store.exists(f"{folder}/{MANIFEST_FILE}"):
        return 0
    with store.writing():
        manifests = _manifests(store)
        mine = manifests.pop(folder)
        others = _named_objects(manifests.values())
        removed = 0
        for name in sorted({object_name(entry.digest) for entry in mine.columns} - others):
            removed += store.exists(name)
            store.remove(name)
        for name in sorted(store.list(folder), key=lambda name: name == MANIFEST_FILE):
            store.remove(f"{folder}/{name}")
        store.remove(folder)
    return removed


def _manifests(store: Store) -> dict[str, Manifest]:
    """Return folder → manifest of every version in the store."""
    folders = [name for name in store.list() if is_version_folder(name)]
    complete = [folder for folder in folders if store.exists(f"{folder}/{MANIFEST_FILE}")]
    return {folder: load_manifest(store, f"0x{folder}") for folder in complete}


def _named_objects(manifests: Iterable[Manifest]) -> set[str]:
    return {object_name(entry.digest) for manifest in manifests for entry in manifest.columns}


def _objects(store: Store, named: set[str], now: float) -> list[Leftover]:
    """Return the files under objects/ that are not named, hidden ones of killed local uploads too."""
    path = store.path_of(OBJECTS_FOLDER)
    with as_service_error("cannot list the store"):
        if not store.filesystem.exists(path):
            return []
        entries = store.patience.run(lambda: store.filesystem.ls(path, detail=True))
    found = []
    for entry in entries:
        name = f"{OBJECTS_FOLDER}/{str(entry['name']).rstrip('/').rpartition('/')[2]}"
        if entry["type"] == "file" and name not in named:
            found.append(Leftover(name, int(entry["size"] or 0), now - _changed(entry)))
    return found


def _uploads(store: Store, now: float) -> list[Leftover]:
    """Return the unfinished uploads of an S3 store; none when its server can't tell."""
    if not is_s3(store.filesystem):
        return []
    bucket, _, prefix = store.path_of(OBJECTS_FOLDER).partition("/")
    try:
        answer = store.filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/")
    except (OSError, NotImplementedError):
        return []
    return [
        Leftover(
            name=f"{OBJECTS_FOLDER}/{str(upload['Key']).rpartition('/')[2]}",
            size=0,
            age_seconds=now - upload["Initiated"].timestamp(),
            upload=str(upload["UploadId"]),
        )
        for upload in answer.get("Uploads", [])
    ]


def _abort(store: Store, item: Leftover) -> None:
    bucket, _, key = f"{store.root.rstrip('/')}/{item.name}".partition("/")
    with contextlib.suppress(FileNotFoundError):  # it was completed or aborted meanwhile
        store.filesystem.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=item.upload)


def _changed(entry: Mapping[str, Any]) -> float:
    """Return when a file was last written: folders, memory and S3 each have another word for it."""
    for word in ("mtime", "LastModified", "created"):
        value = entry.get(word)
        if isinstance(value, dt.datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    raise UsageError("this kind of store does not tell when its files were written, so none can be removed")
