"""The enclave's own fresh keys: made for one run, wiped when it ends.

The sealing key is made and kept by the cryptography library, which clears its memory when it is let go; no seed of it
ever exists here. The signing key lies in secret memory, and is copied out for the moment of a signature only.
"""

from __future__ import annotations

from heartify.enclave.secret_memory import SecretMemory, wipe_bytes
from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_hex
from heartify.protocol.sealing import SealingKey
from heartify.protocol.signing import address_of, generate_private_key, sign_digest


class EnclaveKeys:
    """One run's keys: HPKE for what comes in, secp256k1 for what is signed on the way out."""

    __slots__ = ("_sealing", "_signing", "address", "encryption_public_key")

    def __init__(self) -> None:
        self._sealing: SealingKey | None = SealingKey.generate()
        self.encryption_public_key = to_hex(self._sealing.public_key)
        private_key = generate_private_key()
        self._signing = SecretMemory(len(private_key))
        try:
            self._signing.view()[:] = private_key
            self.address = address_of(private_key)
        finally:
            wipe_bytes(private_key)

    @classmethod
    def generate(cls) -> EnclaveKeys:
        """Make fresh keys from the system's randomness."""
        return cls()

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Open what was sealed to this enclave; the caller wipes what it gets.

        Raises:
            IntegrityError: another key, another `info`, a damaged ciphertext, or the key was let go.
        """
        if self._sealing is None:
            raise IntegrityError("the sealing key was let go")
        return self._sealing.open(sealed, info)

    def sign(self, digest: bytes) -> str:
        """Sign a 32-byte digest."""
        private_key = bytes(self._signing.view())
        try:
            return sign_digest(private_key, digest)
        finally:
            wipe_bytes(private_key)

    def forget_sealing(self) -> None:
        """Let the sealing key go, once nothing more is to be opened."""
        self._sealing = None

    def wipe(self) -> None:
        """Let both keys go, once the ending is signed; harmless a second time."""
        self.forget_sealing()
        self._signing.wipe()

    def __repr__(self) -> str:
        return f"EnclaveKeys({self.address})"
