"""The deal: one request, one app offer, one pool offer and 1..n grants, with all prices locked.

The deal's id is its EIP-712 digest, so it commits to the chain, the market, the plan, every dataset version, every
broker and the key that the result is sealed for. Whoever holds the id can check the whole deal without the chain.
"""

from __future__ import annotations

import dataclasses

from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_hex
from heartify.protocol.eip712 import Domain, TypedStruct, address, bytes32, uint256


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DealGrant(TypedStruct):
    """What a deal keeps of one grant: the version, who is paid, who releases the keys, under which policy."""

    datasetVersion: bytes32  # noqa: N815 - the names of the typed data on chain
    owner: address
    broker: address
    price: uint256
    withheldBps: uint256  # noqa: N815
    policyDigest: bytes32  # noqa: N815


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deal(TypedStruct):
    """A match of one request, one app offer, one pool offer and n grants."""

    requestDigest: bytes32  # noqa: N815
    requester: address
    planDigest: bytes32  # noqa: N815
    resultKeyDigest: bytes32  # noqa: N815
    appRelease: bytes32  # noqa: N815
    appAuthor: address  # noqa: N815
    appPrice: uint256  # noqa: N815
    appWithheldBps: uint256  # noqa: N815
    pool: address
    poolPrice: uint256  # noqa: N815
    stake: uint256
    teeKind: uint256  # noqa: N815
    sizeClass: uint256  # noqa: N815
    minGrants: uint256  # noqa: N815
    deadline: uint256
    grants: tuple[DealGrant, ...]

    def deal_id(self, domain: Domain) -> bytes32:
        """Return the deal's id: its EIP-712 digest under `domain`."""
        return bytes32(to_hex(self.digest(domain)))

    def total_price(self) -> int:
        """Return what the lab has locked, in base units of the token."""
        return self.appPrice + self.poolPrice + sum(grant.price for grant in self.grants)


def verify_deal_id(deal: Deal, domain: Domain, expected: str) -> None:
    """Raise IntegrityError unless `deal` is the deal of this id on this market."""
    if deal.deal_id(domain) != expected:
        raise IntegrityError(f"the deal's content does not match its id {expected}")
