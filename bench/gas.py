"""Gas of deployment, match, settle and audit anchors, from receipts on the embedded chain.

    python bench/gas.py

Prints a table and ends with one JSON line. "first" is the first deal of accounts that were never paid before (the chain
charges for their new balances and nonce words); "repeat" is the same deal again, which is what a running market pays.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from heartify.chain.deploy import deploy
from heartify.chain.deployment import Deployment
from heartify.chain.market import MarketClient
from heartify.chain.node import EmbeddedChain, unsafe_fund
from heartify.chain.registry import RegistryClient
from heartify.chain.rpc import Connection, connect
from heartify.chain.sender import Sender
from heartify.chain.token import UnsafeTestTokenClient
from heartify.protocol.audit_anchor import AuditAnchor, sign_audit_anchor
from heartify.protocol.deal import Deal
from heartify.protocol.eip712 import ZERO_ADDRESS, address, bytes32, uint256
from heartify.protocol.orders import AppOffer, DatasetGrant, GrantWanted, PoolOffer, Request, fresh_nonce, sign_order
from heartify.protocol.outcomes import Outcome
from heartify.protocol.receipts import KeyReceipt, Settlement
from heartify.protocol.signing import address_of, generate_private_key, sign_digest

SIZES = (1, 4, 16)
SIMULATED_SGX = uint256(256)
MONEY = 10**12
PRICE = uint256(1_000_000)


@dataclasses.dataclass(frozen=True)
class BenchAccount:
    key: bytes
    sender: Sender
    nonces: Iterator[int]

    def next_nonce(self) -> uint256:
        return uint256(next(self.nonces))

    @property
    def address(self) -> str:
        return self.sender.address


@dataclasses.dataclass(frozen=True)
class Hospital:
    owner: BenchAccount
    broker_key: bytes
    version: bytes32


@dataclasses.dataclass(frozen=True)
class Parties:
    connection: Connection
    deployment: Deployment
    lab: BenchAccount
    pool: BenchAccount
    author: BenchAccount
    release: bytes32
    hospitals: tuple[Hospital, ...]
    expiry: uint256


def digest_for(text: str) -> bytes32:
    return bytes32("0x" + hashlib.sha256(text.encode()).hexdigest())


def new_account(connection: Connection) -> BenchAccount:
    key = generate_private_key()
    unsafe_fund(connection.rpc_url, address_of(key), 1_000)
    # Consecutive nonces share a storage word on chain, as a maker who saves gas would choose them.
    return BenchAccount(key, Sender(connection, key), itertools.count(fresh_nonce() << 8))


def build_parties(connection: Connection, deployment: Deployment, n: int) -> Parties:
    """Every size gets new accounts, so that "first" is a first deal."""
    lab, pool, author = (new_account(connection) for _ in range(3))
    for sender in (lab.sender, pool.sender):
        token = UnsafeTestTokenClient(connection, deployment.token, sender)
        token.mint(sender.address, MONEY)
        token.approve(deployment.market, MONEY)
        MarketClient(connection, deployment, sender).deposit(MONEY)
    RegistryClient(connection, deployment, pool.sender).register_pool("https://pool.example")
    release = digest_for(f"release {n}")
    RegistryClient(connection, deployment, author.sender).register_release(release, "https://app.example")
    hospitals = tuple(build_hospital(connection, deployment, f"{n}/{index}") for index in range(n))
    expiry = uint256(connection.time_utc_seconds() + 86_400)
    return Parties(connection, deployment, lab, pool, author, release, hospitals, expiry)


def build_hospital(connection: Connection, deployment: Deployment, name: str) -> Hospital:
    owner, broker_key = new_account(connection), generate_private_key()
    registry = RegistryClient(connection, deployment, owner.sender)
    dataset, _ = registry.register_dataset(bytes(32), address_of(broker_key), "https://broker.example")
    version = digest_for(name)
    registry.publish_version(dataset, version, "https://store.example")
    return Hospital(owner, broker_key, version)


def grant_of(parties: Parties, hospital: Hospital) -> DatasetGrant:
    return DatasetGrant(
        datasetVersion=hospital.version,
        broker=address(address_of(hospital.broker_key)),
        appRelease=parties.release,
        requester=ZERO_ADDRESS,
        pool=ZERO_ADDRESS,
        teeKinds=SIMULATED_SGX,
        price=PRICE,
        withheldBps=uint256(0),
        uses=uint256(1),
        policyDigest=digest_for("policy"),
        notBefore=uint256(0),
        expiry=parties.expiry,
        nonce=hospital.owner.next_nonce(),
    )


def match(parties: Parties) -> tuple[Deal, int]:
    domain, expiry = parties.deployment.domain, parties.expiry
    grants = [sign_order(grant_of(parties, h), domain, h.owner.key) for h in parties.hospitals]
    app_offer = AppOffer(
        appRelease=parties.release,
        price=PRICE,
        withheldBps=uint256(0),
        uses=uint256(1),
        requester=ZERO_ADDRESS,
        expiry=expiry,
        nonce=parties.author.next_nonce(),
    )
    pool_offer = PoolOffer(
        pool=address(parties.pool.address),
        teeKind=SIMULATED_SGX,
        sizeClass=uint256(1),
        price=PRICE,
        uses=uint256(1),
        requester=ZERO_ADDRESS,
        expiry=expiry,
        nonce=parties.pool.next_nonce(),
    )
    request = Request(
        requester=address(parties.lab.address),
        planDigest=digest_for("plan"),
        grants=tuple(GrantWanted(datasetVersion=h.version, maxPrice=PRICE) for h in parties.hospitals),
        appRelease=parties.release,
        maxAppPrice=PRICE,
        pool=ZERO_ADDRESS,
        sizeClass=uint256(1),
        maxPoolPrice=PRICE,
        teeKinds=SIMULATED_SGX,
        resultKeyDigest=digest_for("result key"),
        minGrants=uint256(len(grants)),
        deadlineSeconds=uint256(3_600),
        expiry=expiry,
        nonce=parties.lab.next_nonce(),
    )
    # Sent by the pool, so that the lab's signature is verified too.
    matched = MarketClient(parties.connection, parties.deployment, parties.pool.sender).match_orders(
        grants,
        sign_order(app_offer, domain, parties.author.key),
        sign_order(pool_offer, domain, parties.pool.key),
        sign_order(request, domain, parties.lab.key),
    )
    return matched.deal, matched.gas_used


def settle(parties: Parties, deal: Deal) -> int:
    domain, enclave_key = parties.deployment.domain, generate_private_key()
    deal_id, enclave = deal.deal_id(domain), address(address_of(enclave_key))
    settlement = Settlement(
        deal=deal_id,
        outcome=uint256(Outcome.DELIVERED),
        code=uint256(0),
        leftOut=uint256(0),
        resultDigest=digest_for("result"),
    )
    brokers = {hospital.version: hospital.broker_key for hospital in parties.hospitals}
    receipts = [KeyReceipt(deal=deal_id, datasetVersion=g.datasetVersion, enclave=enclave) for g in deal.grants]
    sent = MarketClient(parties.connection, parties.deployment, parties.pool.sender).settle(
        deal,
        settlement,
        enclave=enclave,
        key_receipt_signatures=[sign_digest(brokers[r.datasetVersion], r.digest(domain)) for r in receipts],
        enclave_signature=sign_digest(enclave_key, settlement.digest(domain)),
    )
    return sent.gas_used


def anchor(connection: Connection, deployment: Deployment) -> tuple[int, int]:
    """Return the gas of a broker's first audit anchor and of a later one."""
    registry = RegistryClient(connection, deployment, new_account(connection).sender)
    broker_key = generate_private_key()
    used = []
    for sequence in (10, 20):
        unsigned = AuditAnchor(
            broker=address(address_of(broker_key)), sequence=uint256(sequence), head=digest_for(f"entry {sequence}")
        )
        signed = sign_audit_anchor(unsigned, registry.domain, lambda digest: sign_digest(broker_key, digest))
        used.append(registry.anchor_audit_log(signed).gas_used)
    return used[0], used[1]


def deployment_gas(connection: Connection, deployment: Deployment) -> dict[str, int]:
    names = {getattr(deployment, name): f"deploy_{name}" for name in ("token", "registry", "market")}
    found = {}
    for number in range(deployment.block, connection.head() + 1):
        for tx_hash in connection.web3.eth.get_block(number)["transactions"]:
            receipt = connection.web3.eth.get_transaction_receipt(tx_hash)
            created = str(receipt["contractAddress"]).lower()
            if created in names:
                found[names[created]] = int(receipt["gasUsed"])
    return found


def measure() -> dict[str, int]:
    with tempfile.TemporaryDirectory() as directory, EmbeddedChain.start(Path(directory)) as chain:
        connection = connect(chain.rpc_url)
        deployment = deploy(new_account(connection).sender, embedded=True)
        figures = deployment_gas(connection, deployment)
        figures["anchor_first"], figures["anchor"] = anchor(connection, deployment)
        for n in SIZES:
            parties = build_parties(connection, deployment, n)
            for suffix in ("_first", ""):
                deal, figures[f"match_{n}{suffix}"] = match(parties)
                figures[f"settle_{n}{suffix}"] = settle(parties, deal)
        connection.close()
    return figures


def show(figures: dict[str, int]) -> None:
    for name in ("deploy_token", "deploy_registry", "deploy_market"):
        print(f"{name:<18}{figures[name]:>12,}")
    print(f"\n{'hospitals':>9}{'deal':>8}{'match':>12}{'settle':>12}{'together':>12}")
    for n in SIZES:
        for label, suffix in (("first", "_first"), ("repeat", "")):
            matched, settled = figures[f"match_{n}{suffix}"], figures[f"settle_{n}{suffix}"]
            print(f"{n:>9}{label:>8}{matched:>12,}{settled:>12,}{matched + settled:>12,}")
    low, high = SIZES[0], SIZES[-1]
    grown = sum(figures[f"{act}_{high}"] - figures[f"{act}_{low}"] for act in ("match", "settle"))
    print(f"\nper further hospital (repeat): {grown / (high - low):,.0f}")
    print(f"audit anchor: first {figures['anchor_first']:,}, later {figures['anchor']:,}\n")


if __name__ == "__main__":
    result = measure()
    show(result)
    print(json.dumps(result, sort_keys=True))
