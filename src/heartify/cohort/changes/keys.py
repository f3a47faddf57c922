"""The keys of ledgers and of the opt-out list, derived from the hospital's vault seed; nothing of them is stored.

One ledger key for each dataset, so that ledgers of two datasets can't be matched; one opt-out key for the hospital,
since a patient opts out of everything. Whoever has neither seed nor key can't test a guessed patient id.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heartify.protocol.canonical import to_bytes


def derive_ledger_key(vault_seed: bytes, dataset: str) -> bytes:
    """Return the 32-byte key of a dataset's change ledgers: HKDF-SHA-256 (RFC 5869) of the vault seed."""
    return derive_key(vault_seed, b"heartify/change-ledger/v1" + to_bytes(dataset))


def derive_opt_out_key(vault_seed: bytes) -> bytes:
    """Return the 32-byte key of the hospital's opt-out list."""
    return derive_key(vault_seed, b"heartify/opt-outs/v1")


def derive_key(secret: bytes, info: bytes) -> bytes:
    """Return 32 bytes that HKDF-SHA-256 derives from a secret for one purpose."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(secret)
