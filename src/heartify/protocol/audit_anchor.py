"""The audit anchor: a broker's signed word on the head of its audit log, which the Registry keeps.

Whoever holds it can say what the log was up to that entry; two of one sequence number with two heads prove that the
broker keeps two logs. It trusts nothing and does no I/O; it must never hold more of the log than one digest.

Source: EIP-712, under the Registry's own domain (docs/reference/contracts.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from heartify.protocol.canonical import Address, Digest, HexBytes
from heartify.protocol.eip712 import Domain, TypedStruct, address, bytes32, uint256
from heartify.protocol.signing import verify_signer

_Sequence = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
_ChainId = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuditAnchor(TypedStruct):
    """What is signed and anchored: `head` is the digest of the log's entry number `sequence`."""

    broker: address
    sequence: uint256
    head: bytes32


class SignedAuditAnchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An anchor with the broker's signature, for anyone to submit to the Registry that it names."""

    broker: Address
    sequence: _Sequence
    head: Digest
    chain_id: _ChainId
    registry: Address
    signature: HexBytes
    format: Literal["heartify.audit-anchor/1"] = "heartify.audit-anchor/1"

    @property
    def anchor(self) -> AuditAnchor:
        """Return the typed struct that is signed."""
        return AuditAnchor(broker=address(self.broker), sequence=uint256(self.sequence), head=bytes32(self.head))

    @property
    def domain(self) -> Domain:
        """Return the chain and registry that the anchor is signed for."""
        return Domain(self.chain_id, self.registry)

    def verify(self) -> None:
        """Raise IntegrityError unless the broker that the anchor names signed it."""
        verify_signer(self.anchor.digest(self.domain), self.signature, self.broker, "the audit anchor")


def sign_audit_anchor(anchor: AuditAnchor, domain: Domain, sign: Callable[[bytes], str]) -> SignedAuditAnchor:
    """Return the anchor with the signature that `sign` makes of its digest; `domain` names the registry."""
    return SignedAuditAnchor(
        broker=anchor.broker,
        sequence=anchor.sequence,
        head=anchor.head,
        chain_id=domain.chain_id,
        registry=domain.contract,
        signature=sign(anchor.digest(domain)),
    )
