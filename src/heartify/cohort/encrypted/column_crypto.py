"""Keys and bindings of an encrypted dataset version: one key for each column, one binding for each file.

Runs in the hospital, in its broker, and inside the enclave. The master key never leaves the hospital's broker; a
broker releases column keys only. A key works for one column of one version of one dataset, and a file opens only as the
part of the column that it was written as, so swapping columns, parts, versions, datasets or hospitals fails. Nothing
here may log or raise with key material.

Sources: RFC 5869 (HKDF); Parquet modular encryption, "AAD prefix" and "Module AAD".
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.manifest import Manifest
from heartify.protocol.sealing import length_prefixed

DATASET_FORMAT = b"heartify.dataset/1"
KEY_BYTES = 32
NONCE_BYTES = 32
MAX_PARTS = 2**32


def column_key(master_key: bytes, *, dataset: bytes, version_nonce: bytes, column: str) -> bytes:
    """Derive the AES-256 key of one column of one version.

    HKDF-SHA-256 with the version nonce as salt and the length-prefixed format, dataset, nonce and column as info.
    Raises IntegrityError when a length is wrong.
    """
    _check_length("master-key", master_key, KEY_BYTES)
    info = length_prefixed(*_binding(dataset, version_nonce, column))
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=version_nonce, info=info).derive(master_key)


def column_keys(master_key: bytes, manifest: Manifest) -> dict[str, bytes]:
    """Derive the keys of all columns of a version: what a broker may release, column by column.

    Raises IntegrityError when the master key has the wrong length.
    """
    dataset, nonce = to_bytes(manifest.dataset), to_bytes(manifest.version_nonce)
    return {
        name: column_key(master_key, dataset=dataset, version_nonce=nonce, column=name)
        for name in manifest.column_names
    }


def file_aad_prefix(*, dataset: bytes, version_nonce: bytes, column: str, part: int) -> bytes:
    """Return the AAD prefix that binds a file to its place; it is never stored in the file.

    Raises IntegrityError when a length or the part is out of range.
    """
    if not 0 <= part < MAX_PARTS:
        raise IntegrityError("part-range: the part number is out of range")
    return length_prefixed(*_binding(dataset, version_nonce, column), part.to_bytes(4, "big"))


def _binding(dataset: bytes, version_nonce: bytes, column: str) -> tuple[bytes, bytes, bytes, bytes]:
    _check_length("dataset-id", dataset, 32)
    _check_length("version-nonce", version_nonce, NONCE_BYTES)
    return DATASET_FORMAT, dataset, version_nonce, column.encode("utf-8")


def _check_length(what: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise IntegrityError(f"{what}: expected {length} bytes, got {len(value)}")
