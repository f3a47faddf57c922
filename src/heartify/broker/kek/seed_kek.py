"""A key-encryption key made of 32 secret bytes: AES-256-GCM under HKDF-SHA-256 of them.

The bytes come from a keystore file or a secret of the environment. They are in this process's memory while it runs:
whoever reads that memory has the key. A hardware security module (pkcs11_kek.py) keeps it out of there.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heartify.errors import IntegrityError, KeystoreError

SEED_BYTES = 32
_NONCE_BYTES = 12


class SeedKek:
    """The port of key_encryption_key.py over a seed of 32 bytes. Wrapped: nonce of 12 bytes, ciphertext, tag of 16."""

    __slots__ = ("_cipher", "_kek_id")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeystoreError(f"the key-encryption key has {len(seed)} bytes, expected {SEED_BYTES}")
        # The first label is that of the vault's first release, so that what it wrapped still opens.
        self._cipher = AESGCM(_derive(seed, b"heartify/vault-key/v1"))
        self._kek_id = f"seed:{_derive(seed, b'heartify/kek-id/v1')[:16].hex()}"

    @property
    def kek_id(self) -> str:
        """Return `seed:` and 16 bytes derived from the seed in hex, which tell nothing of it."""
        return self._kek_id

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Return `secret` encrypted under a fresh nonce and bound to `context`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return what was wrapped under the same context; raises IntegrityError."""
        try:
            return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as exc:  # ValueError: too short to hold a nonce
            raise IntegrityError("a wrapped key does not open") from exc


def _derive(seed: bytes, label: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=label).derive(seed)
