"""The trusted files of a manifest: every file that the enclave may open, with the SHA-256 that it must have.

The list is measured with the manifest, so two builds that differ anywhere differ here first, by name.
URIs are relative to the build's folder, from where Gramine is started: no path of a machine is in the measurement.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from heartify.errors import DocumentError, EnclaveError
from heartify.tee.image import EnclaveImage

IMAGE_FOLDER = "image"
_FILE = "file:"
_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_SHOWN = 20


@dataclass(frozen=True, slots=True, order=True)
class TrustedFile:
    """One file: its URI as Gramine writes it, such as `file:image/app/heartify/errors.py`, and its SHA-256 in hex."""

    uri: str
    sha256: str


def list_trusted_files(image: EnclaveImage) -> tuple[TrustedFile, ...]:
    """Hash every file of an image, and list them by URI. Raises EnclaveError for an unreadable file."""
    uris = [image_uri(f"{file.role.value}/{file.path}") for file in image.files]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        digests = pool.map(_sha256_of, (file.source for file in image.files), chunksize=64)
        return tuple(sorted(TrustedFile(uri, digest) for uri, digest in zip(uris, digests, strict=True)))


def image_uri(path: str = "") -> str:
    """Return the URI of a path below the image's folder, or of the folder itself."""
    return _FILE + str(PurePosixPath(IMAGE_FOLDER) / path)


def parse_trusted_files(manifest: str) -> tuple[TrustedFile, ...]:
    """Read the list of a manifest, signed or not.

    Raises:
        DocumentError: not TOML, no list, an entry without its digest, or one URI twice.
    """
    try:
        entries = tomllib.loads(manifest)["sgx"]["trusted_files"]
        files = tuple(sorted(TrustedFile(entry["uri"], entry["sha256"]) for entry in entries))
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as exc:
        raise DocumentError("the manifest has no list of trusted files with their digests") from exc
    if not all(_SHA256_HEX.fullmatch(file.sha256) and file.uri.startswith(_FILE) for file in files):
        raise DocumentError("the manifest trusts something that is not a file with its SHA-256")
    if len({file.uri for file in files}) != len(files):
        raise DocumentError("the manifest trusts one file twice")
    return files


def name_differences(own: Iterable[TrustedFile], other: Iterable[TrustedFile]) -> tuple[str, ...]:
    """Return a line for each file that only one list has, or that differs; own list first in the words."""
    mine = {file.uri: file.sha256 for file in own}
    theirs = {file.uri: file.sha256 for file in other}
    words = []
    for uri in sorted({*mine, *theirs}):
        if uri not in theirs:
            words.append(f"{uri}: only here")
        elif uri not in mine:
            words.append(f"{uri}: missing here")
        elif mine[uri] != theirs[uri]:
            words.append(f"{uri}: another content")
    return tuple(words)


def check_trusted_files(files: Iterable[TrustedFile], folder: Path) -> None:
    """Refuse a folder whose files are not those of the list.

    Gramine checks the same when it opens a file, and says so in its own log only. Raises EnclaveError naming the
    first files that differ.
    """
    found = [TrustedFile(file.uri, _sha256_or_none(_path_of(file, folder))) for file in files]
    if differences := name_differences(found, files):
        shown = ", ".join(differences[:_SHOWN])
        raise EnclaveError(f"{len(differences)} files are not what was signed: {shown}", hint="build the enclave again")


def _path_of(file: TrustedFile, folder: Path) -> Path:
    return folder / file.uri.removeprefix(_FILE)


def _sha256_or_none(path: Path) -> str:
    try:
        return _sha256_of(path)
    except EnclaveError:
        return "absent"


def _sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise EnclaveError(f"enclave image: {path.name} can't be read") from exc
