"""Version master keys at rest: wrapped by the broker's key-encryption key (KEK), wherever the hospital keeps that.

A wrapped key is bound to its dataset version, so rows of the database can't be exchanged, and names the KEK that it is
wrapped by. Master keys never leave the broker's process; destroying a wrapped key destroys the version
(crypto-shredding).

    version 1: 60 bytes: nonce, ciphertext, tag, under the vault seed; context: the version's id
    version 2: "HKW2", length of the KEK's id (1 byte), that id, what the KEK made; context: label, both ids
"""

from __future__ import annotations

from heartify.broker.kek.key_encryption_key import KeyEncryptionKey
from heartify.broker.kek.seed_kek import SeedKek
from heartify.errors import IntegrityError
from heartify.protocol.canonical import sha256_digest, to_bytes

_MAGIC = b"HKW2"
_VERSION_1_BYTES = 60  # a later version is always longer, so a nonce that begins like the magic deceives nobody


class Vault:
    """Wraps and unwraps version master keys; a seed of 32 bytes stands for the KEK that is made of it."""

    def __init__(self, kek: KeyEncryptionKey | bytes) -> None:
        self._kek: KeyEncryptionKey = SeedKek(kek) if isinstance(kek, bytes) else kek

    @property
    def kek_id(self) -> str:
        """The public name of the KEK."""
        return self._kek.kek_id

    def wrap(self, version: str, master_key: bytes) -> bytes:
        """Return the wrapped master key of a dataset version.

        Raises:
            KeystoreError: the KEK can't be used now.
        """
        kek_id = self._kek.kek_id.encode()
        return _MAGIC + bytes([len(kek_id)]) + kek_id + self._kek.wrap(master_key, _context(self._kek.kek_id, version))

    def unwrap(self, version: str, wrapped: bytes) -> bytes:
        """Return the master key.

        Raises:
            IntegrityError: wrapped for another version or under another KEK, or damaged.
            KeystoreError: the KEK can't be used now.
        """
        kek_id, content = split_wrapped(wrapped)
        if kek_id is not None and kek_id != self._kek.kek_id:
            raise IntegrityError(
                f"the key of version {version} does not open: it is wrapped by {kek_id}, the broker has "
                f"{self._kek.kek_id}",
                hint="the broker's key-encryption key is another one than the database's",
            )
        context = version.encode() if kek_id is None else _context(kek_id, version)
        try:
            return self._kek.unwrap(content, context)
        except IntegrityError as exc:
            raise IntegrityError(
                f"the key of version {version} does not open",
                hint="the key-encryption key is another one, or the database is damaged",
            ) from exc


def split_wrapped(wrapped: bytes) -> tuple[str | None, bytes]:
    """Return the id of the KEK that a key was wrapped by, None for version 1, and what that KEK made.

    Of bytes that are neither, nothing is said here: they don't open.
    """
    if len(wrapped) <= _VERSION_1_BYTES or not wrapped.startswith(_MAGIC):
        return None, wrapped
    end = len(_MAGIC) + 1 + wrapped[len(_MAGIC)]
    return wrapped[len(_MAGIC) + 1 : end].decode(errors="replace"), wrapped[end:]


def key_commitment(version: str, wrapped: bytes) -> str:
    """Return the digest that stands for a version's wrapped key in a destruction receipt.

    Wrapping draws a fresh nonce, so it says which key was held without telling anything of it. Wrapping anew gives
    another commitment; the audit log's entries of a rotation tell which one followed which.
    """
    return sha256_digest(b"heartify/key-commitment/v1" + to_bytes(version) + wrapped)


def _context(kek_id: str, version: str) -> bytes:
    return b"heartify/wrapped-key/v2" + bytes([len(kek_id.encode())]) + kek_id.encode() + version.encode()
