"""Read a version's public documents and fetch its files from a store, on the host.

Nothing is believed: the manifest must have the version's id, the dictionary the manifest's digest. Files are passed on
as they are; the reader in the enclave verifies them.
"""

from __future__ import annotations

from collections.abc import Callable

from heartify.cohort.storage.names import is_version_folder, object_name
from heartify.cohort.storage.store import Store, version_folder
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.errors import IntegrityError
from heartify.protocol.canonical import MAX_DOCUMENT_BYTES, sha256_digest
from heartify.protocol.dictionary import DataDictionary, parse_dictionary
from heartify.protocol.manifest import DICTIONARY_FILE, MANIFEST_FILE, Manifest, parse_manifest


def list_versions(store: Store) -> tuple[str, ...]:
    """Return the ids of the complete versions in a store, sorted."""
    return tuple(
        f"0x{folder}"
        for folder in store.list()
        if is_version_folder(folder) and store.exists(f"{folder}/{MANIFEST_FILE}")
    )


def load_manifest(store: Store, version_id: str) -> Manifest:
    """Load and verify a version's manifest.

    Raises ServiceError, IntegrityError, DocumentError.
    """
    data = store.get(f"{version_folder(version_id)}/{MANIFEST_FILE}", max_bytes=MAX_DOCUMENT_BYTES)
    return parse_manifest(data, version_id)


def load_stored_dictionary(store: Store, version_id: str, manifest: Manifest) -> DataDictionary:
    """Load and verify a version's dictionary.

    Raises ServiceError, IntegrityError, DocumentError.
    """
    data = store.get(f"{version_folder(version_id)}/{DICTIONARY_FILE}", max_bytes=MAX_DOCUMENT_BYTES)
    if sha256_digest(data) != manifest.dictionary_digest:
        raise IntegrityError(f"dictionary-digest: the stored dictionary is not that of version {version_id}")
    return parse_dictionary(data)


def build_fetch(store: Store, manifest: Manifest, cache: VerifiedCache | None = None) -> Callable[[str], bytes]:
    """Build the function that fetches a file of the version by its name, never more bytes than declared.

    With a `cache`, files of a store elsewhere come from it, verified; otherwise they come as the store has them.
    """
    sizes = {entry.object_name: entry.size for entry in manifest.columns}

    def fetch(file: str) -> bytes:
        if file not in sizes:
            raise IntegrityError("file-unknown: the manifest does not list a file of that name")
        if cache is not None and not store.is_local:
            return cache.read_object(store, file, sizes[file])
        return store.get(object_name(file), max_bytes=sizes[file])

    return fetch
