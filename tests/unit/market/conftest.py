"""A market and a registry as their events would show them, written by hand; orders are really signed."""

from __future__ import annotations

import dataclasses

import pytest

from heartify.chain.events import Place, Posted, VersionPublished
from heartify.market.order_book import OrderBook
from heartify.protocol.canonical import to_hex
from heartify.protocol.eip712 import ZERO_ADDRESS, Domain
from heartify.protocol.orders import AppOffer, DatasetGrant, PoolOffer, sign_order
from heartify.protocol.signing import address_of

NOW = 1_795_000_000
DOMAIN = Domain(31337, "0x" + "ab" * 20)
OWNER_PRIVATE_KEY, AUTHOR_PRIVATE_KEY, POOL_PRIVATE_KEY, STRANGER_PRIVATE_KEY = (bytes([n]) * 32 for n in (1, 2, 3, 4))
VERSION, RELEASE = "0x" + "51" * 32, "0x" + "52" * 32


class FakeMarket:
    def __init__(self) -> None:
        self.posted: dict[type, list] = {DatasetGrant: [], AppOffer: [], PoolOffer: []}
        self.used_nonces: set[tuple[str, int]] = set()
        self.uses: dict[str, int] = {}

    def post(self, order, private_key: bytes, domain: Domain = DOMAIN):
        signed = sign_order(order, domain, private_key)
        self.posted[type(order)].append(Posted(signed, Place(len(self.posted), 0, "0x" + "00" * 32)))
        return signed

    def grants_posted(self, from_block):
        return tuple(self.posted[DatasetGrant])

    def app_offers_posted(self, from_block):
        return tuple(self.posted[AppOffer])

    def pool_offers_posted(self, from_block):
        return tuple(self.posted[PoolOffer])

    def is_nonce_used(self, maker: str, nonce: int) -> bool:
        return (maker, nonce) in self.used_nonces

    def uses_of(self, order_digest: str) -> int:
        return self.uses.get(order_digest, 0)


class FakeRegistry:
    def __init__(self) -> None:
        self.owners = {VERSION: address_of(OWNER_PRIVATE_KEY)}
        self.authors = {RELEASE: address_of(AUTHOR_PRIVATE_KEY)}
        self.pools = {address_of(POOL_PRIVATE_KEY)}
        self.versions: list[VersionPublished] = []

    def owners_of(self, versions):
        return tuple(self.owners.get(version, ZERO_ADDRESS) for version in versions)

    def release_author(self, release: str) -> str:
        return self.authors.get(release, ZERO_ADDRESS)

    def is_pool(self, account: str) -> bool:
        return account in self.pools

    def version_events(self):
        return tuple(self.versions)

    def publish(self, version: str, url: str, owner: str) -> None:
        self.owners[version] = owner
        self.versions.append(VersionPublished("0x" + "53" * 32, version, url, owner, Place(1, 0, "0x" + "00" * 32)))


class Case:
    now = NOW
    domain = DOMAIN
    version = VERSION
    owner = address_of(OWNER_PRIVATE_KEY)
    author = address_of(AUTHOR_PRIVATE_KEY)
    pool = address_of(POOL_PRIVATE_KEY)
    owner_key, author_key, pool_key, stranger_key = (
        OWNER_PRIVATE_KEY,
        AUTHOR_PRIVATE_KEY,
        POOL_PRIVATE_KEY,
        STRANGER_PRIVATE_KEY,
    )

    def __init__(self) -> None:
        self.market = FakeMarket()
        self.registry = FakeRegistry()
        self.book = OrderBook(self.market, self.registry, DOMAIN, 0)

    def grant(self, **changes) -> DatasetGrant:
        order = DatasetGrant(
            datasetVersion=VERSION,
            broker="0x" + "61" * 20,
            appRelease=RELEASE,
            requester=ZERO_ADDRESS,
            pool=ZERO_ADDRESS,
            teeKinds=256,
            price=100,
            withheldBps=0,
            uses=3,
            policyDigest="0x" + "62" * 32,
            notBefore=NOW - 60,
            expiry=NOW + 3600,
            nonce=0,
        )
        return dataclasses.replace(order, **changes)

    def app_offer(self, **changes) -> AppOffer:
        order = AppOffer(
            appRelease=RELEASE, price=1, withheldBps=0, uses=3, requester=ZERO_ADDRESS, expiry=NOW + 3600, nonce=0
        )
        return dataclasses.replace(order, **changes)

    def pool_offer(self, **changes) -> PoolOffer:
        order = PoolOffer(
            pool=self.pool,
            teeKind=256,
            sizeClass=1,
            price=2,
            uses=3,
            requester=ZERO_ADDRESS,
            expiry=NOW + 3600,
            nonce=0,
        )
        return dataclasses.replace(order, **changes)

    def digest(self, order) -> str:
        return to_hex(order.digest(DOMAIN))


@pytest.fixture
def case() -> Case:
    return Case()
