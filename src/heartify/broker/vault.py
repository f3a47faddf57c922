"""Version master keys at rest: wrapped by AES-256-GCM under a key that only the opened keystore gives.

A wrapped key is bound to its dataset version, so rows of the database can't be exchanged. Master keys never leave the
broker's process; destroying a wrapped key destroys the version (crypto-shredding).
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heartify.errors import IntegrityError
from heartify.protocol.canonical import sha256_digest, to_bytes

_NONCE_BYTES = 12


class Vault:
    """Wraps and unwraps version master keys under one vault seed of 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._cipher = AESGCM(HKDF(hashes.SHA256(), 32, salt=None, info=b"heartify/vault-key/v1").derive(seed))

    def wrap(self, version: str, master_key: bytes) -> bytes:
        """Return the wrapped master key of a dataset version."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, master_key, version.encode())

    def unwrap(self, version: str, wrapped: bytes) -> bytes:
        """Return the master key.

        Raises:
            IntegrityError: wrapped for another version or under another vault seed, or damaged.
        """
        try:
            return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], version.encode())
        except (InvalidTag, ValueError) as exc:  # ValueError: too short to hold a nonce
            raise IntegrityError(
                f"the key of version {version} does not open",
                hint="the vault seed is another one, or the database is damaged",
            ) from exc


def key_commitment(version: str, wrapped: bytes) -> str:
    """Return the digest that stands for a version's wrapped key in a destruction receipt.

    Wrapping draws a fresh nonce, so it says which key was held without telling anything of it.
    """
    return sha256_digest(b"heartify/key-commitment/v1" + to_bytes(version) + wrapped)
