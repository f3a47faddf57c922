"""Keys and bindings of an encrypted dataset version: one key for each column, one binding for each file.

Runs in the hospital, in its broker, and inside the enclave. The master key never leaves the hospital's broker; a
broker releases column keys only. A key works for one column of one version of one dataset, and a message of a file
opens only in its place in that part of that column, in the form that it was written in: swapping messages, files,
parts, columns, versions, datasets or hospitals fails. Nothing here may log or raise with key material.

Sources: RFC 5869 (HKDF); NIST SP 800-38D section 8.2.1 (nonces by counting); Hoang et al., "Online authenticated
encryption and its nonce-reuse misuse-resistance", 2015 (a flag on the last message against truncation).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.manifest import Manifest
from heartify.protocol.sealing import length_prefixed

DATASET_FORMAT = b"heartify.dataset/2"
KEY_BYTES = 32
NONCE_BYTES = 32
SALT_BYTES = 32
TAG_BYTES = 16
MAX_PARTS = 2**32

Key = bytes | memoryview
"""A key as its owner keeps it: a view where it is to be overwritten after use."""


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


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Where a file belongs; nothing of it stands in the file. Raises IntegrityError when something is out of range."""

    dataset: bytes
    version_nonce: bytes
    column: str
    part: int
    form_tag: bytes

    def __post_init__(self) -> None:
        _check_length("dataset-id", self.dataset, 32)
        _check_length("version-nonce", self.version_nonce, NONCE_BYTES)
        if not 0 <= self.part < MAX_PARTS:
            raise IntegrityError("part-range: the part number is out of range")


class FileCipher:
    """Seals and opens the numbered messages of one file.

    A nonce is the message's number, since no two files have one key: it depends on a random salt that is drawn when a
    file is begun, and begun anew when a killed writer writes the part again, so that no number is ever used twice.
    """

    __slots__ = ("_aead", "_after", "_before")

    def __init__(self, column_key: Key, salt: bytes, place: FilePlace) -> None:
        _check_length("column-key", column_key, KEY_BYTES)
        _check_length("file-salt", salt, SALT_BYTES)
        info = length_prefixed(DATASET_FORMAT, b"file key")
        file_key = bytearray(KEY_BYTES)
        HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive_into(column_key, file_key)
        self._aead = AESGCM(file_key)
        # The cipher has its own copy, in memory that OpenSSL clears when the cipher is let go.
        file_key[:] = bytes(KEY_BYTES)
        binding = _binding(place.dataset, place.version_nonce, place.column)
        self._before = length_prefixed(*binding, place.part.to_bytes(4, "big"))
        self._after = length_prefixed(place.form_tag)

    def seal(self, number: int, message: bytes, *, is_last: bool) -> bytes:
        """Return ciphertext and tag of message `number`."""
        return self._aead.encrypt(number.to_bytes(12, "big"), message, self._aad(number, is_last))

    def open(self, number: int, sealed: bytes | memoryview, *, is_last: bool) -> bytes:
        """Return message `number`.

        Raises IntegrityError when it isn't that message of that file.
        """
        try:
            return self._aead.decrypt(number.to_bytes(12, "big"), sealed, self._aad(number, is_last))
        except InvalidTag as exc:
            raise IntegrityError(
                "file-decryption: a file does not open under its key as this part of this column"
            ) from exc

    def _aad(self, number: int, is_last: bool) -> bytes:
        return self._before + length_prefixed(number.to_bytes(8, "big"), bytes([is_last])) + self._after


def _binding(dataset: bytes, version_nonce: bytes, column: str) -> tuple[bytes, bytes, bytes, bytes]:
    _check_length("dataset-id", dataset, 32)
    _check_length("version-nonce", version_nonce, NONCE_BYTES)
    return DATASET_FORMAT, dataset, version_nonce, column.encode("utf-8")


def _check_length(what: str, value: Key, length: int) -> None:
    if len(value) != length:
        raise IntegrityError(f"{what}: expected {length} bytes, got {len(value)}")
