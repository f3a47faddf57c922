"""Messages between an enclave and a hospital's key broker: challenge, release request, release.

The host carries them and is believed by neither side. The broker's challenge is bound into the evidence; the keys are
sealed to the enclave's fresh key; the broker signs both the release (so that the enclave knows whose keys it got) and
the key receipt (so that the chain can pay the hospital).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from heartify.protocol.canonical import Address, Digest, HexBytes, parse_canonical, to_bytes
from heartify.protocol.eip712 import Domain
from heartify.protocol.evidence import Evidence, report_data
from heartify.protocol.sealing import length_prefixed
from heartify.protocol.signing import keccak256

CHALLENGE_SECONDS = 60
Nonce = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{64}\Z")]
Session = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class Challenge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A broker's fresh nonce for one deal; good once, for CHALLENGE_SECONDS."""

    session: Session
    deal: Digest
    nonce: Nonce
    broker: Address
    expires: int
    signature: HexBytes

    def signed_digest(self, domain: Domain) -> bytes:
        """Return the 32 bytes that the broker signs."""
        return keccak256(
            b"heartify/challenge/v1"
            + length_prefixed(
                domain.separator(),
                to_bytes(self.deal),
                self.session.encode(),
                to_bytes(self.nonce),
                str(self.expires).encode(),
            )
        )


class ReleaseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an enclave shows a broker: the deal and plan in full, its keys, and evidence that binds all of it."""

    session: Session
    deal: dict[str, Any]
    plan: dict[str, Any]
    dataset_version: Digest
    encryption_public_key: HexBytes
    enclave: Address
    evidence: Evidence


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A broker's answer: the column keys sealed to the enclave, its signature on them, and the key receipt."""

    dataset_version: Digest
    sealed_keys: HexBytes
    release_signature: HexBytes
    key_receipt_signature: HexBytes


class ColumnKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The sealed content of a release: one 32-byte key for each column that the plan reads."""

    format: Literal["heartify.column-keys/1"] = "heartify.column-keys/1"
    dataset_version: Digest
    keys: dict[str, Digest]

    def __repr__(self) -> str:
        return f"ColumnKeys(columns={sorted(self.keys)})"


def parse_column_keys(data: bytes) -> dict[str, bytes]:
    """Return column name → 32-byte key from the opened content of a release."""
    return {column: to_bytes(key) for column, key in parse_canonical(data, ColumnKeys).keys.items()}


def release_report_data(
    domain: Domain, *, deal: str, plan_digest: str, broker: str, nonce: str, encryption_public_key: str, enclave: str
) -> bytes:
    """Return the report data that evidence for one key release must carry; see heartify.protocol.evidence.

    Raises:
        DocumentError: a part has another length than its own.
    """
    return report_data(
        nonce=to_bytes(nonce),
        broker=to_bytes(broker),
        chain_id=domain.chain_id,
        contract=to_bytes(domain.contract),
        deal=to_bytes(deal),
        plan_digest=to_bytes(plan_digest),
        encryption_public_key=to_bytes(encryption_public_key),
        enclave_address=to_bytes(enclave),
    )


def release_info(domain: Domain, deal: str, version: str, broker: str, nonce: str, enclave: str) -> bytes:
    """Return the HPKE info that binds sealed keys to market, deal, version, broker, challenge and enclave."""
    parts = (domain.separator(), *(to_bytes(part) for part in (deal, version, broker, nonce, enclave)))
    return b"heartify/key-release/v1" + length_prefixed(*parts)


def release_digest(info: bytes, sealed_keys: bytes) -> bytes:
    """Return the 32 bytes that a broker signs over a release."""
    return keccak256(b"heartify/release-signature/v1" + length_prefixed(info, sealed_keys))
