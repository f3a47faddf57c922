"""Sealing with HPKE (RFC 9180) under the hybrid KEM ML-KEM-768 + X25519, HKDF-SHA-256 and AES-256-GCM.

Medical data outlive the safety of X25519 alone, hence the hybrid. `info` binds a ciphertext to what it is for; a
ciphertext moved to another deal, broker or version doesn't open. A key pair is made from a 32-byte seed.
"""

from __future__ import annotations

import dataclasses

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heartify.errors import IntegrityError

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 1184 + 32
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class SealingKey:
    """A private key that opens what was sealed to `public_key`."""

    private_key: hpke.MLKEM768X25519PrivateKey
    public_key: bytes

    @classmethod
    def from_seed(cls, seed: bytes) -> SealingKey:
        """Derive the key pair from 32 secret bytes: HKDF-SHA-256 to a 64-byte ML-KEM seed and a 32-byte X25519 key."""
        if len(seed) != SEED_BYTES:
            raise IntegrityError(f"a sealing seed must have {SEED_BYTES} bytes")
        material = HKDF(hashes.SHA256(), 96, salt=None, info=b"heartify/sealing-key/v1").derive(seed)
        return cls._of(
            MLKEM768PrivateKey.from_seed_bytes(material[:64]), X25519PrivateKey.from_private_bytes(material[64:])
        )

    @classmethod
    def generate(cls) -> SealingKey:
        """Make a key pair that no seed gives again; its secret parts never leave the library's memory."""
        return cls._of(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def _of(cls, mlkem: MLKEM768PrivateKey, curve: X25519PrivateKey) -> SealingKey:
        public = mlkem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        return cls(hpke.MLKEM768X25519PrivateKey(mlkem, curve), public)

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Open `sealed`.

        Raises:
            IntegrityError: another key, another `info`, or a damaged ciphertext.
        """
        try:
            return _SUITE.decrypt(sealed, self.private_key, info=info)
        except (InvalidTag, ValueError) as exc:
            raise IntegrityError(
                "the sealed message does not open", hint="it was sealed for another key or purpose, or it was damaged"
            ) from exc

    def __repr__(self) -> str:
        return f"SealingKey(public_key={self.public_key[:8].hex()}...)"


def seal(plaintext: bytes, public_key: bytes, info: bytes) -> bytes:
    """Seal `plaintext` to a public key of 1,216 bytes (ML-KEM-768, then X25519).

    Raises:
        IntegrityError: the public key is not one.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise IntegrityError(f"a sealing public key must have {PUBLIC_KEY_BYTES} bytes, got {len(public_key)}")
    try:
        key = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public_key[:1184]),
            X25519PublicKey.from_public_bytes(public_key[1184:]),
        )
        # Encrypting is what refuses an X25519 point of low order (RFC 7748, section 6.1), hence inside the try.
        return _SUITE.encrypt(plaintext, key, info=info)
    except ValueError as exc:
        raise IntegrityError("the sealing public key is malformed") from exc


def check_sealing_public_key(public_key: bytes) -> None:
    """Raise IntegrityError unless something can be sealed to this public key."""
    seal(b"", public_key, b"")


def length_prefixed(*parts: bytes) -> bytes:
    """Join parts injectively: each behind its length as 4 bytes, big endian."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
