"""The measurement of an enclave image: one SHA-256 over everything that decides what runs.

    SHA-256 of the RFC 8785 encoding of
    {"arguments", "debug", "entry", "environment", "files": [[role, path, SHA-256 of the content], ...],
     "loader_folder", "measurement_version": 1, "python_version"}          with the files sorted by role, then path

It stands where MRENCLAVE stands, and like it depends on no path, time, owner or mode of a file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import rfc8785

from heartify.errors import EnclaveError
from heartify.tee.image import EnclaveImage

_MEASUREMENT_VERSION = 1


def measure(image: EnclaveImage) -> bytes:
    """Hash every file of an image and return its measurement, 32 bytes. Raises EnclaveError for an unreadable file."""
    return combine_digests(image, hash_files(image))


def hash_files(image: EnclaveImage) -> tuple[bytes, ...]:
    """Return the SHA-256 of every file, in the image's order. Raises EnclaveError for an unreadable file."""
    # hashlib releases the GIL for all but tiny contents, so threads use every core.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return tuple(pool.map(_hash_file, (file.source for file in image.files), chunksize=64))


def combine_digests(image: EnclaveImage, digests: Iterable[bytes]) -> bytes:
    """Return the measurement of an image whose files, in order, have these SHA-256 digests.

    Raises EnclaveError when two files have one name, or their number is not the digests'.
    """
    entries: list[list[str]] = sorted(
        [file.role.value, file.path, digest.hex()] for file, digest in zip(image.files, digests, strict=True)
    )
    if len({(role, path) for role, path, _ in entries}) != len(entries):
        raise EnclaveError("enclave image: two files have the same name")
    document: dict[str, Any] = {
        "measurement_version": _MEASUREMENT_VERSION,
        "files": entries,
        "entry": image.entry,
        "arguments": list(image.arguments),
        "environment": dict(image.environment),
        "debug": image.debug,
        "loader_folder": image.loader_folder,
        "python_version": image.python_version,
    }
    return hashlib.sha256(rfc8785.dumps(document)).digest()


def _hash_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as exc:
        raise EnclaveError(f"enclave image: {path.name} can't be read") from exc
