"""One hospital's broker for the benchmark, on disk so that the service's process and the enclaves' share it.

Real are the version, the grants, the evidence, its verification, the database and HTTP; the chain says `open` to all.
"""

from __future__ import annotations

import dataclasses
import itertools
import secrets
import threading
import time
from pathlib import Path

import httpx
import msgspec

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.broker.database import open_database
from heartify.broker.kek.seed_kek import SeedKek
from heartify.broker.key_broker import BrokerSettings, KeyBroker
from heartify.broker.rate_limits import RateLimits
from heartify.broker.rollback import Anchor
from heartify.broker.service import build_broker_service
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import open_store
from heartify.party.http_service import RunningService
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, to_hex
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.eip712 import ZERO_ADDRESS, Domain, address, bytes32, uint256
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.key_release import Challenge, ReleaseRequest, release_report_data
from heartify.protocol.orders import DatasetGrant, sign_order
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose
from heartify.protocol.sealing import SealingKey
from heartify.protocol.signing import address_of

NOW = int(time.time())
DOMAIN = Domain(31337, "0x" + "ab" * 20)
BROKER_KEY, OWNER_KEY, SEED = b"\x11" * 32, b"\x12" * 32, b"\x13" * 32
MEASUREMENT = bytes(range(32))
DICTIONARY = DataDictionary(
    title="Small",
    description="",
    columns=(
        Column(name="age", title="Age", datatype="number", role="factor", unit="a"),
        Column(name="systolic", title="Systolic pressure", datatype="number", role="factor", unit="mm[Hg]"),
        Column(name="cvd", title="CVD", datatype="boolean", role="outcome"),
    ),
)
PLAN = Plan(
    title="Age and pressure",
    purpose=Purpose.HEALTH_RESEARCH,
    outcome=OutcomeSpec(column="cvd", equals="1"),
    factors=(FactorSpec(name="age", column="age"), FactorSpec(name="pressure", column="systolic")),
)
POLICY = GrantPolicy(hospital="aspen", columns=("age", "systolic", "cvd"), purposes=(Purpose.HEALTH_RESEARCH,))
RELEASE = AppRelease(
    name="heartify",
    version="1.0.0",
    source_digest="0x" + "33" * 32,
    measurements={"simulated-sgx": (to_hex(MEASUREMENT),)},
)


class OpenChain:
    """A node that says that every deal is open."""

    def deal_state(self, _deal: str) -> DealState:
        return DealState.OPEN

    def is_version_live(self, _version: str) -> bool:
        return True

    def time_utc_seconds(self) -> int:
        return int(time.time())

    def matched_block(self, _deal: str) -> int:
        return 1

    def audit_anchor(self, _broker: str) -> Anchor:
        return Anchor(0, "0x" + "00" * 32)


@dataclasses.dataclass(frozen=True)
class World:
    platform: SimulatedPlatform
    version: str
    broker: str
    measurement: bytes = MEASUREMENT

    def deal(self, number: int) -> Deal:
        grant = DealGrant(
            datasetVersion=bytes32(self.version),
            owner=address(address_of(OWNER_KEY)),
            broker=address(self.broker),
            price=uint256(100),
            withheldBps=uint256(0),
            policyDigest=bytes32(POLICY.digest()),
        )
        return Deal(
            requestDigest=bytes32(to_hex(secrets.token_bytes(32))),
            requester=address("0x" + "02" * 20),
            planDigest=bytes32(PLAN.digest()),
            resultKeyDigest=bytes32("0x" + "03" * 32),
            appRelease=bytes32(RELEASE.release_id()),
            appAuthor=address("0x" + "04" * 20),
            appPrice=uint256(1),
            appWithheldBps=uint256(0),
            pool=address("0x" + "05" * 20),
            poolPrice=uint256(number),
            stake=uint256(0),
            teeKind=uint256(TeeKind.SIMULATED_SGX),
            sizeClass=uint256(1),
            minGrants=uint256(1),
            deadline=uint256(NOW + 86400),
            grants=(grant,),
        )

    def evidence_for(self, nonce: str) -> tuple[Evidence, bytes]:
        """Return evidence over made-up bindings and its report data."""
        bound = self.bound("0x" + "22" * 32, nonce, SealingKey.from_seed(bytes(32)), "0x" + "07" * 20)
        return self.platform.evidence(self.measurement, bound, NOW), bound

    def bound(self, deal_id: str, nonce: str, sealing: SealingKey, enclave: str) -> bytes:
        return release_report_data(
            DOMAIN,
            deal=deal_id,
            plan_digest=PLAN.digest(),
            broker=self.broker,
            nonce=nonce,
            encryption_public_key=to_hex(sealing.public_key),
            enclave=enclave,
        )


class Client:
    """An enclave with its host: a new deal and new keys for each release, one connection for all."""

    _numbers = itertools.count(1)
    _collateral: str | None = None
    _lock = threading.Lock()

    def __init__(self, world: World, url: str, number: int) -> None:
        self.world, self.number = world, number
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=60)
        with Client._lock:
            Client._collateral = Client._collateral or world.platform.collateral(NOW)

    def challenge(self, deal_id: str = "0x" + "22" * 32) -> Challenge:
        answer = self.http.post("/v1/challenges", content=msgspec.json.encode({"deal": deal_id}))
        return msgspec.json.decode(answer.raise_for_status().content, type=Challenge)

    def release_once(self) -> None:
        deal = self.world.deal(next(Client._numbers))
        deal_id = deal.deal_id(DOMAIN)
        challenge = self.challenge(deal_id)
        sealing = SealingKey.from_seed(secrets.token_bytes(32))
        enclave = address_of(secrets.token_bytes(32))
        quote = self.world.platform.quote(MEASUREMENT, self.world.bound(deal_id, challenge.nonce, sealing, enclave))
        request = ReleaseRequest(
            session=challenge.session,
            deal=deal.to_json(),
            plan=msgspec.to_builtins(PLAN),
            dataset_version=self.world.version,
            encryption_public_key=to_hex(sealing.public_key),
            enclave=enclave,
            evidence=Evidence("simulated-sgx", quote.hex(), Client._collateral),
        )
        self.http.post("/v1/releases", content=msgspec.json.encode(request)).raise_for_status()


def make_world(folder: Path) -> None:
    """Make platform and version."""
    SimulatedPlatform.create(NOW).store(folder / "platform")
    table = parse_csv(b"age,systolic,cvd\n50,120,1\n61,140,0\n", DICTIONARY, file="small.csv")
    store = open_store("memory://bench-broker")
    written = write_version(table, DICTIONARY, dataset="0x" + "21" * 32, previous=None, store=store)
    (folder / "version").write_text(written.version_id)
    (folder / "manifest.json").write_bytes(encode_canonical(written.manifest))
    (folder / "master-key-of-nothing").write_bytes(written.master_key)


def load_world(folder: Path) -> World:
    """Load what both processes need."""
    platform = SimulatedPlatform.load(folder / "platform")
    return World(platform, (folder / "version").read_text(), address_of(BROKER_KEY))


def serve_world(folder: Path, database: str) -> None:
    """Run the broker's service until the process is told to end; print its address."""
    world = load_world(folder)
    store, vault = BrokerStore(open_database(database)), Vault(SeedKek(SEED))
    wrapped = vault.wrap(world.version, (folder / "master-key-of-nothing").read_bytes())
    store.add_version(world.version, (folder / "manifest.json").read_bytes(), encode_canonical(DICTIONARY), wrapped)
    store.approvals.approve(RELEASE)
    order = DatasetGrant(
        datasetVersion=bytes32(world.version),
        broker=address(world.broker),
        appRelease=bytes32(RELEASE.release_id()),
        requester=ZERO_ADDRESS,
        pool=ZERO_ADDRESS,
        teeKinds=uint256(TeeKind.SIMULATED_SGX),
        price=uint256(100),
        withheldBps=uint256(0),
        uses=uint256(10**6),
        policyDigest=bytes32(POLICY.digest()),
        notBefore=uint256(0),
        expiry=uint256(NOW + 86400),
        nonce=uint256(0),
    )
    store.add_grant(to_hex(order.digest(DOMAIN)), sign_order(order, DOMAIN, OWNER_KEY), POLICY)
    settings = BrokerSettings(DOMAIN, BROKER_KEY, unsafe_simulation_policy(world.platform.root_der))
    broker = KeyBroker(
        settings, store, vault, OpenChain(), clock=lambda: int(time.time()), randomness=secrets.token_bytes
    )
    unlimited = RateLimits("1000000/minute", "1000000/minute")
    with RunningService(build_broker_service(broker, unlimited)) as running:
        print(running.url, flush=True)
        threading.Event().wait()
