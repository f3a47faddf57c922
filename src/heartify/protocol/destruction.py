"""The destruction receipt: a hospital's signed word that the key of a dataset version is destroyed, when and why.

Nobody can prove that a secret is gone. A receipt makes the hospital answerable: it names the key by a commitment, says
how far the erasure went, and is signed by the account that released this version's keys. It holds a reason as a code
and no text, because a text could tell of a patient. No I/O here.

Source: signing by EIP-712, under the domain of the market that the version was offered on.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from heartify.errors import IntegrityError
from heartify.protocol.canonical import Address, Digest, HexBytes, parse_canonical
from heartify.protocol.eip712 import Domain, TypedStruct, bytes32, uint256
from heartify.protocol.signing import verify_signer

DESTRUCTION_FORMAT: Literal["heartify.destruction-receipt/1"] = "heartify.destruction-receipt/1"
DESTRUCTION_FILE = "destroyed.json"

_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_ChainId = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class DestructionReason(enum.Enum):
    """Why a version was withdrawn. Numbers are signed, so none is ever used anew."""

    UNSPECIFIED = "unspecified"
    OPT_OUT = "opt-out"
    DATA_FAULT = "data-fault"
    RETENTION_ENDED = "retention-ended"
    PERMISSION_ENDED = "permission-ended"
    KEY_EXPOSED = "key-exposed"
    REPLACED = "replaced"


class DestructionMethod(enum.Enum):
    """How far the erasure went: a SQLite file rewritten and its log emptied, or a server's row overwritten."""

    DATABASE_REWRITTEN = "database-rewritten"
    ROW_OVERWRITTEN = "row-overwritten"


_REASON_NUMBERS = {reason: number for number, reason in enumerate(DestructionReason, 1)}
_METHOD_NUMBERS = {method: number for number, method in enumerate(DestructionMethod, 1)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyDestruction(TypedStruct):
    """What is signed: reason and method are their places in their lists, beginning with 1."""

    dataset: bytes32
    datasetVersion: bytes32  # noqa: N815 - the names of the typed data
    keyCommitment: bytes32  # noqa: N815
    destroyedAt: uint256  # noqa: N815
    reason: uint256
    method: uint256


class DestructionReceipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The receipt of one version. `destroyed_at` is in seconds of Unix time: the key was gone by then.

    `key_commitment` is the digest of the wrapped key that was destroyed (`heartify.broker.vault.key_commitment`).
    """

    dataset: Digest
    dataset_version: Digest
    key_commitment: Digest
    destroyed_at: _Seconds
    reason: DestructionReason
    method: DestructionMethod
    chain_id: _ChainId
    market: Address
    signer: Address
    signature: HexBytes
    format: Literal["heartify.destruction-receipt/1"] = DESTRUCTION_FORMAT

    @property
    def domain(self) -> Domain:
        """The chain and market that the receipt is signed for."""
        return Domain(self.chain_id, self.market)

    def signed_digest(self) -> bytes:
        """Return the 32 bytes that the hospital's broker signs."""
        statement = KeyDestruction(
            dataset=bytes32(self.dataset),
            datasetVersion=bytes32(self.dataset_version),
            keyCommitment=bytes32(self.key_commitment),
            destroyedAt=uint256(self.destroyed_at),
            reason=uint256(_REASON_NUMBERS[self.reason]),
            method=uint256(_METHOD_NUMBERS[self.method]),
        )
        return statement.digest(self.domain)


def sign_destruction(unsigned: DestructionReceipt, sign: Callable[[bytes], str]) -> DestructionReceipt:
    """Return the receipt with the signature that `sign` makes of its digest."""
    return msgspec.structs.replace(unsigned, signature=sign(unsigned.signed_digest()))


def parse_destruction(data: bytes) -> DestructionReceipt:
    """Parse a receipt; its signature is not verified yet.

    Raises DocumentError when it is malformed, unknown or not canonical.
    """
    return parse_canonical(data, DestructionReceipt)


def verify_destruction(
    receipt: DestructionReceipt, expected_signer: str, *, version: str | None = None, domain: Domain | None = None
) -> None:
    """Verify that the account that an auditor expects, the broker of the dataset on chain, signed the receipt.

    `version` and `domain` are compared when they are given: the version asked about, the market it was offered on.

    Raises IntegrityError when one differs or the signature isn't that account's.
    """
    if version is not None and receipt.dataset_version != version:
        raise IntegrityError(f"the destruction receipt is of version {receipt.dataset_version}, expected {version}")
    if domain is not None and receipt.domain != domain:
        raise IntegrityError("the destruction receipt is signed for another market or chain")
    if receipt.signer != expected_signer:
        raise IntegrityError(f"the destruction receipt names the signer {receipt.signer}, expected {expected_signer}")
    verify_signer(receipt.signed_digest(), receipt.signature, expected_signer, "the destruction receipt")
