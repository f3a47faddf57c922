"""The signed orders: dataset grant, app offer, pool offer and request.

Field names, types and order are those of Market.vy; the tests hold both against eth-account. Amounts are in base units
of the market's token, times in seconds of Unix time, shares in basis points (1/10,000).
"""

from __future__ import annotations

import dataclasses
import secrets
from typing import Generic, TypeVar

import msgspec

from heartify.errors import DocumentError
from heartify.protocol.canonical import HexBytes
from heartify.protocol.eip712 import Domain, TypedStruct, address, bytes32, from_json, uint256
from heartify.protocol.signing import sign_digest, verify_signer

MAX_GRANTS = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DatasetGrant(TypedStruct):
    """A hospital's order: this version may be used by this release, under this policy, for this price, `uses` times."""

    datasetVersion: bytes32  # noqa: N815 - the names of the typed data on chain
    broker: address
    appRelease: bytes32  # noqa: N815
    requester: address
    pool: address
    teeKinds: uint256  # noqa: N815
    price: uint256
    withheldBps: uint256  # noqa: N815
    uses: uint256
    policyDigest: bytes32  # noqa: N815
    notBefore: uint256  # noqa: N815
    expiry: uint256
    nonce: uint256


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AppOffer(TypedStruct):
    """The app author's price for a run of one app release."""

    appRelease: bytes32  # noqa: N815
    price: uint256
    withheldBps: uint256  # noqa: N815
    uses: uint256
    requester: address
    expiry: uint256
    nonce: uint256


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolOffer(TypedStruct):
    """A pool's price for a run of one size class on one TEE kind."""

    pool: address
    teeKind: uint256  # noqa: N815
    sizeClass: uint256  # noqa: N815
    price: uint256
    uses: uint256
    requester: address
    expiry: uint256
    nonce: uint256


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GrantWanted(TypedStruct):
    """One dataset version that a request wants, and the most the lab pays for it."""

    datasetVersion: bytes32  # noqa: N815
    maxPrice: uint256  # noqa: N815


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request(TypedStruct):
    """The lab's order: this plan, on these versions, at most at these prices, sealed for this key."""

    requester: address
    planDigest: bytes32  # noqa: N815
    grants: tuple[GrantWanted, ...]
    appRelease: bytes32  # noqa: N815
    maxAppPrice: uint256  # noqa: N815
    pool: address
    sizeClass: uint256  # noqa: N815
    maxPoolPrice: uint256  # noqa: N815
    teeKinds: uint256  # noqa: N815
    resultKeyDigest: bytes32  # noqa: N815
    minGrants: uint256  # noqa: N815
    deadlineSeconds: uint256  # noqa: N815
    expiry: uint256
    nonce: uint256


Order = TypeVar("Order", DatasetGrant, AppOffer, PoolOffer, Request)


@dataclasses.dataclass(frozen=True, slots=True)
class Signed(Generic[Order]):
    """An order and its maker's signature (65 bytes for an account, longer for a contract wallet)."""

    order: Order
    signature: str

    def verify(self, domain: Domain, maker: str) -> None:
        """Raise IntegrityError unless the account `maker` signed the order for `domain`."""
        verify_signer(self.order.digest(domain), self.signature, maker, type(self.order).__name__)


def sign_order(order: Order, domain: Domain, private_key: bytes) -> Signed[Order]:
    """Sign an order for one market on one chain."""
    return Signed(order, sign_digest(private_key, order.digest(domain)))


def parse_signed(kind: type[Order], document: object) -> Signed[Order]:
    """Parse `{"order": ..., "signature": "0x..."}`; the signature is not verified yet.

    Raises:
        DocumentError: other fields, no order of this kind, or a signature that is no lower-case hex.
    """
    if not isinstance(document, dict) or set(document) != {"order", "signature"}:
        raise DocumentError("a signed order must be an object with exactly the fields order, signature")
    try:
        signature = msgspec.convert(document["signature"], HexBytes)
    except msgspec.ValidationError as exc:
        raise DocumentError(f"the signature of a signed {kind.__name__} is no lower-case hex: {exc}") from exc
    return Signed(from_json(kind, document["order"]), signature)


def fresh_nonce() -> uint256:
    """Return a random 160-bit nonce, so that makers need no shared counter and never meet in practice."""
    return uint256(secrets.randbits(160))
