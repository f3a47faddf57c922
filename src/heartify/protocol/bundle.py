"""The result bundle: a sealed payload for the lab and a public receipt that anyone can recheck.

The host puts the bundle together, and is not believed: every part is signed by the enclave or a broker, or hashes to
something that the deal commits to.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import Address, Digest, HexBytes
from heartify.protocol.eip712 import Domain, bytes32
from heartify.protocol.plan import Plan

NO_RESULT = bytes32("0x" + "00" * 32)


class ReleaseRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is public of one hospital's key release: the challenge nonce, the evidence shown for it, the key receipt."""

    grant: int
    nonce: Digest
    quote: HexBytes
    key_receipt_signature: HexBytes


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The public receipt of a run. `settlement` and `deal` are the JSON forms of the typed structs."""

    format: Literal["heartify.receipt/1"] = "heartify.receipt/1"
    simulated: bool
    chain_id: int
    market: Address
    deal_id: Digest
    deal: dict[str, Any]
    plan: Plan
    app_release: AppRelease
    tee_kind: str
    collateral: str
    enclave: Address
    encryption_public_key: HexBytes
    releases: tuple[ReleaseRecord, ...]
    settlement: dict[str, Any]
    enclave_signature: HexBytes

    def domain(self) -> Domain:
        """Return the domain that every signature of this receipt is for."""
        return Domain(self.chain_id, self.market)


class ResultBundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A receipt and, for a delivered deal, the sealed result."""

    format: Literal["heartify.bundle/1"] = "heartify.bundle/1"
    receipt: Receipt
    sealed_result: HexBytes | None = None
