"""Evidence of a trusted execution environment, and what its report data binds.

Evidence is a quote and the collateral to check it, as RFC 9334 uses the words.
This module trusts nothing and checks nothing but shapes: `heartify.attestation` verifies.
It must never do I/O, because the measured enclave imports it.
"""

from __future__ import annotations

import hashlib
from enum import IntFlag
from typing import Final

import msgspec

from heartify.errors import DocumentError
from heartify.protocol.sealing import length_prefixed

REPORT_DATA_TAG: Final = b"heartify/report-data/v1"
REPORT_DATA_BYTES: Final = 64
_ENCRYPTION_KEY_LIMIT_BYTES: Final = 8192


class TeeKind(IntFlag):
    """Kind of TEE as a bit, so that a grant can allow several; simulated kinds start at bit 8."""

    SGX = 1
    TDX = 2
    SEV_SNP = 4
    SIMULATED_SGX = 256
    SIMULATED_TDX = 512

    @property
    def is_simulated(self) -> bool:
        """Say whether any of the kinds in this value is a simulation."""
        return bool(self & (TeeKind.SIMULATED_SGX | TeeKind.SIMULATED_TDX))

    @property
    def wire_name(self) -> str:
        """Return the name used in documents, such as `simulated-sgx`.

        Raises DocumentError for a combination of kinds, which has no name.
        """
        if self not in _NAME_OF_KIND:
            raise DocumentError(f"TEE kind {int(self)} is not one known kind", hint="name exactly one TEE kind")
        return _NAME_OF_KIND[self]


_NAME_OF_KIND: Final = {
    TeeKind.SGX: "sgx",
    TeeKind.TDX: "tdx",
    TeeKind.SEV_SNP: "sev-snp",
    TeeKind.SIMULATED_SGX: "simulated-sgx",
    TeeKind.SIMULATED_TDX: "simulated-tdx",
}
_KIND_OF_NAME: Final = {name: kind for kind, name in _NAME_OF_KIND.items()}
TEE_KIND_NAMES: Final = tuple(_KIND_OF_NAME)


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A quote and its collateral, as they travel from enclave host to broker.

    `tee_kind` is one of `TEE_KIND_NAMES`; it is a claim until verified. `quote_hex` is lower-case hex without prefix.
    `collateral` is the JSON text of Intel's QuoteCollateralV3 members, byte-exact because parts of it are signed.
    """

    tee_kind: str
    quote_hex: str
    collateral: str


def parse_tee_kind(name: str) -> TeeKind:
    """Return the TEE kind of a document name. Raises DocumentError for any other text."""
    try:
        return _KIND_OF_NAME[name]
    except KeyError:
        raise DocumentError(
            f"unknown TEE kind {name[:32]!r}", hint=f"known kinds: {', '.join(TEE_KIND_NAMES)}"
        ) from None


def is_simulated(name: str) -> bool:
    """Say whether the named kind is a simulation. Raises DocumentError for an unknown name."""
    return parse_tee_kind(name).is_simulated


def report_data(
    *,
    nonce: bytes,
    broker: bytes,
    chain_id: int,
    contract: bytes,
    deal: bytes,
    plan_digest: bytes,
    encryption_public_key: bytes,
    enclave_address: bytes,
) -> bytes:
    """Build the 64 bytes that a quote signs, so that it is good for one question of one broker about one deal.

    SHA-512 over the tag and then, in this order, every part behind its length as 4 bytes big endian: nonce (32 bytes),
    broker address (20), chain id (8, big endian), contract address (20), deal id (32), plan digest (32), the enclave's
    fresh HPKE public key, the address of its fresh signing key (20). Raises DocumentError for a part of another length.
    """
    if not 0 < chain_id < 1 << 64:
        raise DocumentError("report data: chain id must be a positive 64-bit integer")
    if not 0 < len(encryption_public_key) <= _ENCRYPTION_KEY_LIMIT_BYTES:
        raise DocumentError(f"report data: encryption public key has {len(encryption_public_key)} bytes")
    fixed_parts = (
        ("nonce", nonce, 32),
        ("broker", broker, 20),
        ("contract", contract, 20),
        ("deal", deal, 32),
        ("plan digest", plan_digest, 32),
        ("enclave address", enclave_address, 20),
    )
    for name, part, length in fixed_parts:
        if len(part) != length:
            raise DocumentError(f"report data: {name} must have {length} bytes, got {len(part)}")
    parts = (
        nonce,
        broker,
        chain_id.to_bytes(8, "big"),
        contract,
        deal,
        plan_digest,
        encryption_public_key,
        enclave_address,
    )
    return hashlib.sha512(REPORT_DATA_TAG + length_prefixed(*parts)).digest()
