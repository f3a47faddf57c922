"""One anvil with the deployed contracts for each test module, and the parties of a market with real keys."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from heartify.chain.anvil_binary import find_anvil
from heartify.chain.deploy import deploy
from heartify.chain.deployment import Deployment
from heartify.chain.market import MarketClient, Matched
from heartify.chain.node import EmbeddedChain, unsafe_fund
from heartify.chain.registry import RegistryClient
from heartify.chain.rpc import Connection, connect
from heartify.chain.sender import Sender
from heartify.chain.token import UnsafeTestTokenClient
from heartify.errors import ChainError
from heartify.protocol.canonical import to_hex
from heartify.protocol.deal import Deal
from heartify.protocol.eip712 import ZERO_ADDRESS, address, bytes32, uint256
from heartify.protocol.orders import (
    AppOffer,
    DatasetGrant,
    GrantWanted,
    PoolOffer,
    Request,
    Signed,
    fresh_nonce,
    sign_order,
)
from heartify.protocol.outcomes import Outcome
from heartify.protocol.receipts import KeyReceipt, Settlement
from heartify.protocol.signing import address_of, generate_private_key, sign_digest

SIMULATED_SGX = 256
GRANT_PRICES = (100, 200, 300, 400)
APP_PRICE = 50
POOL_PRICE = 1_000
STAKE_BPS = 1_000
MONEY = 1_000_000


def digest_for(text: str) -> bytes32:
    return bytes32("0x" + hashlib.sha256(text.encode()).hexdigest())


@dataclasses.dataclass(frozen=True)
class Party:
    """An account with ether, tokens and typed clients."""

    key: bytes
    address: str
    sender: Sender
    market: MarketClient
    registry: RegistryClient
    token: UnsafeTestTokenClient


@dataclasses.dataclass(frozen=True)
class Hospital:
    party: Party
    broker_key: bytes
    dataset: bytes32
    version: bytes32


@dataclasses.dataclass(frozen=True)
class SignedOrders:
    grants: tuple[Signed[DatasetGrant], ...]
    app_offer: Signed[AppOffer]
    pool_offer: Signed[PoolOffer]
    request: Signed[Request]


@dataclasses.dataclass(frozen=True)
class SignedSettlement:
    settlement: Settlement
    enclave: str
    key_receipts: tuple[str, ...]
    signature: str


@dataclasses.dataclass(frozen=True)
class World:
    """A deployed market with four hospitals, an app author, a pool and a lab with money in escrow."""

    chain: EmbeddedChain
    connection: Connection
    deployment: Deployment
    hospitals: tuple[Hospital, ...]
    author: Party
    pool: Party
    lab: Party
    release: bytes32
    new_party: Callable[[], Party]

    @property
    def market(self) -> MarketClient:
        """A client that can only read."""
        return MarketClient(self.connection, self.deployment)

    def sign_orders(
        self, n: int, *, min_grants: int | None = None, uses: int = 1, expires_in: int = 3600
    ) -> SignedOrders:
        domain, expiry = self.deployment.domain, uint256(self.connection.time_utc_seconds() + expires_in)
        grants = tuple(
            sign_order(
                DatasetGrant(
                    datasetVersion=hospital.version,
                    broker=address(address_of(hospital.broker_key)),
                    appRelease=self.release,
                    requester=ZERO_ADDRESS,
                    pool=ZERO_ADDRESS,
                    teeKinds=uint256(SIMULATED_SGX),
                    price=uint256(price),
                    withheldBps=uint256(2_500),
                    uses=uint256(uses),
                    policyDigest=digest_for("policy"),
                    notBefore=uint256(0),
                    expiry=expiry,
                    nonce=fresh_nonce(),
                ),
                domain,
                hospital.party.key,
            )
            for hospital, price in zip(self.hospitals[:n], GRANT_PRICES, strict=False)
        )
        app_offer = AppOffer(
            appRelease=self.release,
            price=uint256(APP_PRICE),
            withheldBps=uint256(0),
            uses=uint256(uses),
            requester=ZERO_ADDRESS,
            expiry=expiry,
            nonce=fresh_nonce(),
        )
        pool_offer = PoolOffer(
            pool=address(self.pool.address),
            teeKind=uint256(SIMULATED_SGX),
            sizeClass=uint256(1),
            price=uint256(POOL_PRICE),
            uses=uint256(uses),
            requester=ZERO_ADDRESS,
            expiry=expiry,
            nonce=fresh_nonce(),
        )
        request = Request(
            requester=address(self.lab.address),
            planDigest=digest_for("plan"),
            grants=tuple(
                GrantWanted(datasetVersion=signed.order.datasetVersion, maxPrice=signed.order.price)
                for signed in grants
            ),
            appRelease=self.release,
            maxAppPrice=uint256(APP_PRICE),
            pool=ZERO_ADDRESS,
            sizeClass=uint256(1),
            maxPoolPrice=uint256(POOL_PRICE),
            teeKinds=uint256(SIMULATED_SGX),
            resultKeyDigest=digest_for("result key"),
            minGrants=uint256(n if min_grants is None else min_grants),
            deadlineSeconds=uint256(600),
            expiry=expiry,
            nonce=fresh_nonce(),
        )
        return SignedOrders(
            grants,
            sign_order(app_offer, domain, self.author.key),
            sign_order(pool_offer, domain, self.pool.key),
            sign_order(request, domain, self.lab.key),
        )

    def match(self, orders: SignedOrders, by: Party | None = None) -> Matched:
        market = (by or self.lab).market
        return market.match_orders(orders.grants, orders.app_offer, orders.pool_offer, orders.request)

    def sign_settlement(
        self, deal: Deal, outcome: Outcome = Outcome.DELIVERED, *, code: int = 0, left_out: Sequence[int] = ()
    ) -> SignedSettlement:
        """Sign as the enclave and as each broker; deal grants are found by their dataset version."""
        domain = self.deployment.domain
        enclave_key = generate_private_key()
        enclave = address(address_of(enclave_key))
        deal_id = deal.deal_id(domain)
        settlement = Settlement(
            deal=deal_id,
            outcome=uint256(outcome),
            code=uint256(code),
            leftOut=uint256(sum(1 << index for index in left_out)),
            resultDigest=digest_for("result"),
        )
        broker_keys = {hospital.version: hospital.broker_key for hospital in self.hospitals}
        receipts = [
            KeyReceipt(deal=deal_id, datasetVersion=grant.datasetVersion, enclave=enclave) for grant in deal.grants
        ]
        signatures = tuple(
            "0x" if index in left_out else sign_digest(broker_keys[receipt.datasetVersion], receipt.digest(domain))
            for index, receipt in enumerate(receipts)
        )
        return SignedSettlement(settlement, enclave, signatures, sign_digest(enclave_key, settlement.digest(domain)))

    def free(self, *parties: Party) -> list[int]:
        return [self.market.free_of(party.address) for party in parties]


@pytest.fixture(scope="session")
def anvil() -> Path:
    try:
        return find_anvil()
    except ChainError as exc:
        pytest.skip(f"no anvil on this machine, and none could be fetched: {exc.message}")


@pytest.fixture(scope="module")
def world(anvil: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with EmbeddedChain.start(tmp_path_factory.mktemp("chain"), binary=anvil) as chain:
        connection = connect(chain.rpc_url, timeout_seconds=30)
        yield build_world(chain, connection)
        connection.close()


def build_world(chain: EmbeddedChain, connection: Connection) -> World:
    deployer = new_sender(connection)
    deployment = deploy(deployer, stake_bps=STAKE_BPS, embedded=True)

    def new_party() -> Party:
        sender = new_sender(connection)
        key = sender._private_key
        return Party(
            key,
            sender.address,
            sender,
            MarketClient(connection, deployment, sender),
            RegistryClient(connection, deployment, sender),
            UnsafeTestTokenClient(connection, deployment.token, sender),
        )

    author, pool, lab = new_party(), new_party(), new_party()
    release = digest_for("release")
    author.registry.register_release(release, "https://app.example/release.json")
    pool.registry.register_pool("https://pool.example")
    for party in (pool, lab):
        party.token.mint(party.address, MONEY)
        party.token.approve(deployment.market, MONEY)
        party.market.deposit(MONEY)
    hospitals = tuple(new_hospital(new_party(), index) for index in range(len(GRANT_PRICES)))
    return World(chain, connection, deployment, hospitals, author, pool, lab, release, new_party)


def new_sender(connection: Connection) -> Sender:
    key = generate_private_key()
    unsafe_fund(connection.rpc_url, address_of(key), 100)
    return Sender(connection, key)


def new_hospital(party: Party, index: int) -> Hospital:
    broker_key = generate_private_key()
    salt = hashlib.sha256(f"salt {index}".encode()).digest()
    dataset, _ = party.registry.register_dataset(salt, address_of(broker_key), f"https://broker{index}.example")
    version = digest_for(f"manifest {index}")
    party.registry.publish_version(dataset, version, f"file:///hospital{index}/{to_hex(salt)}")
    return Hospital(party, broker_key, dataset, version)
