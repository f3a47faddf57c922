"""Bring signed heads to the chain, and note in the log which of them are there.

Anyone may submit: the broker itself when its account has ether, the steward from the hospital's account, an auditor.
Before anything is sent, what is anchored is compared with the log: a broker that was set back to an older state notices
it here, and must not go on as if nothing were missing.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, Protocol

from heartify.broker.audit.anchoring import AuditAnchoring
from heartify.chain.events import AuditLogAnchored
from heartify.chain.registry import AnchoredHead
from heartify.chain.sender import Sent
from heartify.protocol.audit_anchor import SignedAuditAnchor


class AnchorRegistry(Protocol):
    """What submitting needs of `heartify.chain.registry.RegistryClient`. Every method raises ChainError."""

    def audit_anchor(self, broker: str, *, block: Literal["latest"]) -> AnchoredHead:
        """Return a broker's newest anchor on chain."""

    def audit_anchors(self, broker: str, *, to: Literal["latest"]) -> tuple[AuditLogAnchored, ...]:
        """Return every anchor of a broker, oldest first."""

    def anchor_audit_log(self, anchor: SignedAuditAnchor) -> Sent:
        """Send a signed head."""


@dataclasses.dataclass(frozen=True, slots=True)
class Submitted:
    """A head that was brought to the chain now."""

    anchor: SignedAuditAnchor
    tx_hash: str
    block_number: int
    gas_used: int


def note_anchored(anchoring: AuditAnchoring, registry: AnchorRegistry) -> AnchoredHead:
    """Compare the newest anchor on chain with the log, note it there if it isn't, and return it.

    Raises:
        IntegrityError: the log hasn't the entry that is anchored.
        ChainError: the chain can't be read.
    """
    on_chain = registry.audit_anchor(anchoring.broker, block="latest")
    anchoring.check_continues(on_chain.sequence, on_chain.head)
    if on_chain.sequence == 0 or anchoring.is_recorded(on_chain.sequence):
        return on_chain
    # Somebody else submitted it, or this program ended between the transaction and its entry.
    for event in reversed(registry.audit_anchors(anchoring.broker, to="latest")):
        if event.sequence == on_chain.sequence:
            place = event.place
            anchoring.record_anchored(
                event.sequence, event.head, tx_hash=place.tx_hash, block_number=place.block_number
            )
            break
    return on_chain


def submit_newest(anchoring: AuditAnchoring, registry: AnchorRegistry) -> Submitted | None:
    """Submit the newest signed head unless the chain has it or a newer one; None when nothing was sent.

    Raises:
        IntegrityError: the log hasn't the entry that is anchored; nothing was sent.
        ChainError: the chain refuses or can't be reached; the head stays for a later call.
    """
    on_chain, newest = note_anchored(anchoring, registry), anchoring.newest()
    if newest is None or newest.sequence <= on_chain.sequence:
        return None
    sent = registry.anchor_audit_log(newest)
    anchoring.record_anchored(newest.sequence, newest.head, tx_hash=sent.tx_hash, block_number=sent.block_number)
    return Submitted(newest, sent.tx_hash, sent.block_number, sent.gas_used)
