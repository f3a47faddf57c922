"""Which posted orders could be matched now: signed by the right maker, in date, not cancelled, not used up.

The chain is only a bulletin board for orders: anybody can post anything. So every order is verified here, and again by
the contract at match.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Generic, TypeVar

from heartify.chain.market import MarketClient
from heartify.chain.registry import RegistryClient
from heartify.errors import IntegrityError
from heartify.protocol.eip712 import ZERO_ADDRESS, Domain
from heartify.protocol.orders import AppOffer, DatasetGrant, PoolOffer, Signed

Order = TypeVar("Order", DatasetGrant, AppOffer, PoolOffer)


@dataclasses.dataclass(frozen=True, slots=True)
class LiveOrder(Generic[Order]):
    """A verified order, its maker, and how often it can still be used."""

    signed: Signed[Order]
    maker: str
    uses_left: int

    @property
    def order(self) -> Order:
        """Return the order itself."""
        return self.signed.order


class OrderBook:
    """The live orders of one market."""

    def __init__(self, market: MarketClient, registry: RegistryClient, domain: Domain, from_block: int) -> None:
        self._market = market
        self._registry = registry
        self._domain = domain
        self._from_block = from_block

    def grants(self, now: int, requester: str | None = None) -> tuple[LiveOrder[DatasetGrant], ...]:
        """Return the live grants, for one requester or for all."""
        posted = [item.signed for item in self._market.grants_posted(self._from_block)]
        versions = sorted({signed.order.datasetVersion for signed in posted})
        owners = dict(zip(versions, self._registry.owners_of(versions), strict=True)) if versions else {}
        in_date = (signed for signed in posted if signed.order.notBefore <= now <= signed.order.expiry)
        return self._live(((signed, owners[signed.order.datasetVersion]) for signed in in_date), requester)

    def app_offers(self, now: int, requester: str | None = None) -> tuple[LiveOrder[AppOffer], ...]:
        """Return the live app offers."""
        posted = [item.signed for item in self._market.app_offers_posted(self._from_block)]
        in_date = (signed for signed in posted if now <= signed.order.expiry)
        return self._live(
            ((signed, self._registry.release_author(signed.order.appRelease)) for signed in in_date), requester
        )

    def pool_offers(self, now: int, requester: str | None = None) -> tuple[LiveOrder[PoolOffer], ...]:
        """Return the live pool offers of registered pools."""
        posted = [item.signed for item in self._market.pool_offers_posted(self._from_block)]
        in_date = (signed for signed in posted if now <= signed.order.expiry)
        registered = (signed for signed in in_date if self._registry.is_pool(signed.order.pool))
        return self._live(((signed, signed.order.pool) for signed in registered), requester)

    def _live(self, orders: Iterable[tuple[Signed[Order], str]], requester: str | None) -> tuple[LiveOrder[Order], ...]:
        found: dict[bytes, LiveOrder[Order]] = {}
        for signed, maker in orders:
            uses_left = self._uses_left(signed, maker)
            if uses_left and _is_open_to(signed.order.requester, requester):
                found[signed.order.digest(self._domain)] = LiveOrder(signed, maker, uses_left)
        return tuple(found.values())

    def _uses_left(self, signed: Signed[Order], maker: str) -> int:
        if maker == ZERO_ADDRESS:
            return 0
        try:
            signed.verify(self._domain, maker)
        except IntegrityError:
            return 0
        if self._market.is_nonce_used(maker, signed.order.nonce):
            return 0
        if signed.order.uses == 1:
            return 1
        used = self._market.uses_of("0x" + signed.order.digest(self._domain).hex())
        return max(0, signed.order.uses - used)


def _is_open_to(named: str, requester: str | None) -> bool:
    return requester is None or named in (ZERO_ADDRESS, requester)
