"""The port of a key-encryption key: it wraps 32-byte master keys, and never shows itself.

A hospital chooses where it lies: in a keystore file under a passphrase, in a secret of the environment, or in a
hardware security module behind PKCS#11, from which it never comes out.
"""

from __future__ import annotations

from typing import Protocol


class KeyEncryptionKey(Protocol):
    """Wraps and unwraps short secrets, authenticated and bound to a context."""

    @property
    def kek_id(self) -> str:
        """Return a public name that tells this key from another, such as a digest or a label; it holds no secret."""

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Return `secret` encrypted and bound to `context`; every call gives other bytes.

        Raises:
            KeystoreError: the key can't be used now, such as a token that was pulled out.
        """

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return what was wrapped under the same context.

        Raises:
            IntegrityError: wrapped under another key or context, or damaged.
            KeystoreError: the key can't be used now.
        """
