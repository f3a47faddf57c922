"""The file of a backup: a readable header, and chunks of AES-256-GCM under a fresh key that the broker's KEK wraps.

    "HEARTIFY-BROKER-BACKUP\\n", length of the header (4 bytes), header (canonical JSON),
    then for each chunk: length (4 bytes), ciphertext with tag; numbers are big-endian

A chunk's nonce is its number (11 bytes) and 1 for the last one, 0 before; every chunk is bound to the header's digest.
So a file that was altered, cut, reordered or mixed does not open. Docs: docs/reference/broker-backup.md. A reader
believes no chunk's content before its tag, and nothing as a whole before the last one.

Source: NIST SP 800-38D (GCM); the chunking is STREAM of Hoang, Reyhanitabar, Rogaway, Vizár (CRYPTO 2015).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from typing import Annotated, BinaryIO, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from heartify.broker.kek.key_encryption_key import KeyEncryptionKey
from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import Address, Digest, HexBytes, encode_canonical, parse_canonical, to_bytes, to_hex

MAGIC = b"HEARTIFY-BROKER-BACKUP\n"
CHUNK_BYTES = 1 << 20
_MAX_HEADER = 4096
_TAG_BYTES = 16
_Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class BackupHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose backup it is, of when, and how far its audit log goes; `kek_id` says which key opens it."""

    broker: Address
    chain_id: _Number
    market: Address
    revision: Annotated[str, msgspec.Meta(max_length=32)]
    created_at: _Number
    audit_sequence: _Number
    audit_head: Digest
    kek_id: Annotated[str, msgspec.Meta(max_length=200)]
    wrapped_key: HexBytes = "0x"
    format: Literal["heartify.broker-backup/1"] = "heartify.broker-backup/1"


def write_envelope(file: BinaryIO, header: BackupHeader, kek: KeyEncryptionKey, lines: Iterable[bytes]) -> str:
    """Write a backup of these lines; return the SHA-256 of the header, which stands for the backup.

    Raises:
        KeystoreError: the KEK can't be used now.
    """
    key = secrets.token_bytes(32)
    header = msgspec.structs.replace(header, wrapped_key=to_hex(kek.wrap(key, _context(header))))
    encoded = encode_canonical(header)
    file.write(MAGIC + len(encoded).to_bytes(4, "big") + encoded)
    cipher, bound = AESGCM(key), hashlib.sha256(encoded).digest()
    for number, (chunk, is_last) in enumerate(_chunks(lines)):
        sealed = cipher.encrypt(_nonce(number, is_last=is_last), chunk, bound)
        file.write(len(sealed).to_bytes(4, "big") + sealed)
    return to_hex(bound)


def read_header(file: BinaryIO) -> tuple[BackupHeader, str]:
    """Return the header, which nothing vouches for yet, and its digest; the file stands at the first chunk after it.

    Raises:
        DocumentError: it is no backup, or of another format.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise DocumentError("the file is no backup of a key broker")
    length = int.from_bytes(file.read(4), "big")
    if length > _MAX_HEADER:
        raise DocumentError("the backup's header is too long")
    encoded = file.read(length)
    return parse_canonical(encoded, BackupHeader), to_hex(hashlib.sha256(encoded).digest())


def read_lines(file: BinaryIO, header: BackupHeader, digest: str, kek: KeyEncryptionKey) -> Iterator[bytes]:
    """Yield the lines of a backup whose header was read; they are all genuine only when this has ended.

    Raises:
        IntegrityError: it is damaged, cut, or wrapped by another key.
        KeystoreError: the KEK can't be used now.
    """
    if header.kek_id != kek.kek_id:
        raise IntegrityError(
            f"the backup is wrapped by the key {header.kek_id}, this home has {kek.kek_id}",
            hint="restore it with the key of its time, or take a backup from after the rotation",
        )
    unwrapped = msgspec.structs.replace(header, wrapped_key="0x")
    cipher = AESGCM(kek.unwrap(to_bytes(header.wrapped_key), _context(unwrapped)))
    rest = b""
    for chunk in _open_chunks(file, cipher, to_bytes(digest)):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        raise IntegrityError("the backup ends in the middle of a line")


def _open_chunks(file: BinaryIO, cipher: AESGCM, bound: bytes) -> Iterator[bytes]:
    number, length = 0, file.read(4)
    while True:
        size = int.from_bytes(length, "big")
        if len(length) != 4 or size > CHUNK_BYTES + _TAG_BYTES:
            raise IntegrityError("the backup is damaged or was cut")
        sealed, length = file.read(size), file.read(4)
        try:
            yield cipher.decrypt(_nonce(number, is_last=not length), sealed, bound)
        except (InvalidTag, ValueError) as exc:
            raise IntegrityError("the backup is damaged or was cut") from exc
        if not length:
            return
        number += 1


def _chunks(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield pieces of CHUNK_BYTES, and with the last one, which may be empty, that it is the last."""
    pending = bytearray()
    for line in lines:
        pending += line + b"\n"
        while len(pending) > CHUNK_BYTES:
            yield bytes(pending[:CHUNK_BYTES]), False
            del pending[:CHUNK_BYTES]
    yield bytes(pending), True


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _context(header: BackupHeader) -> bytes:
    return b"heartify/broker-backup/v1" + encode_canonical(header)
