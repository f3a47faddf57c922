"""keccak-256 and secp256k1 as the chain uses them.

Only low-s signatures are made or accepted (EIP-2), so a signature has one spelling. Private keys are plain 32-byte
strings owned by the caller; nothing here logs, stores or prints them.
"""

from __future__ import annotations

import secrets

import coincurve
from Crypto.Hash import keccak

from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes, to_hex

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
SIGNATURE_BYTES = 65


def keccak256(data: bytes) -> bytes:
    """Return keccak-256 (the original padding, not SHA3-256) of `data`."""
    return keccak.new(data=data, digest_bits=256).digest()


def generate_private_key() -> bytes:
    """Return a fresh secp256k1 private key, 32 bytes."""
    while True:
        candidate = secrets.token_bytes(32)
        try:
            coincurve.PrivateKey(candidate)
        except ValueError:  # zero or beyond the group order: about 2**-128
            continue
        return candidate


def address_of(private_key: bytes) -> str:
    """Return the Address of a private key."""
    return _address(coincurve.PrivateKey(private_key).public_key)


def sign_digest(private_key: bytes, digest: bytes) -> str:
    """Sign a 32-byte digest; return r, s, v (27 or 28) as 65 bytes of hex."""
    signature = coincurve.PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return to_hex(signature[:64] + bytes([signature[64] + 27]))


def recover_address(digest: bytes, signature_hex: str) -> str:
    """Return the Address that signed `digest`.

    Raises:
        IntegrityError: the signature is no hex, has another length, a high s, or no public key.
    """
    try:
        signature = to_bytes(signature_hex)
    except ValueError as exc:
        raise IntegrityError("a signature must be hexadecimal digits") from exc
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        raise IntegrityError("a signature must be 65 bytes ending in 27 or 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise IntegrityError("a signature with a high s is refused")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
        )
    except ValueError as exc:
        raise IntegrityError("a signature has no public key") from exc
    return _address(key)


def verify_signer(digest: bytes, signature_hex: str, signer: str, what: str) -> None:
    """Raise IntegrityError unless `signer` signed `digest`; `what` names the document in the message."""
    recovered = recover_address(digest, signature_hex)
    if recovered != signer:
        raise IntegrityError(f"{what} is signed by {recovered}, expected {signer}")


def _address(key: coincurve.PublicKey) -> str:
    return to_hex(keccak256(key.format(compressed=False)[1:])[12:])
