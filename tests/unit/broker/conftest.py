"""One hospital's broker with everything real but the chain: SQLite, simulated evidence, a written dataset version."""

from __future__ import annotations

import dataclasses
import secrets

import msgspec
import pytest

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.simulated.quote import SimulatedReport
from heartify.broker.audit.entry import AuditEntry
from heartify.broker.audit.log import entries
from heartify.broker.database import open_database
from heartify.broker.key_broker import BrokerSettings, KeyBroker
from heartify.broker.rollback import Anchor
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import open_store
from heartify.errors import ChainError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_bytes, to_hex
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.eip712 import ZERO_ADDRESS, Domain
from heartify.protocol.evidence import Evidence, TeeKind, report_data
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.key_release import ReleaseRequest
from heartify.protocol.orders import DatasetGrant, sign_order
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose
from heartify.protocol.sealing import SealingKey
from heartify.protocol.signing import address_of

NOW = 1_795_000_000
DOMAIN = Domain(31337, "0x" + "ab" * 20)
BROKER_PRIVATE_KEY = b"\x11" * 32
OWNER_PRIVATE_KEY = b"\x12" * 32
VAULT_SEED = b"\x13" * 32
MEASUREMENT = bytes(range(32))
DICTIONARY = DataDictionary(
    title="Small",
    description="",
    columns=(
        Column(name="age", title="Age", datatype="number", role="factor", unit="a"),
        Column(name="systolic", title="Systolic pressure", datatype="number", role="factor", unit="mm[Hg]"),
        Column(name="smoker", title="Smokes", datatype="boolean", role="factor"),
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
APP_RELEASE = AppRelease(
    name="heartify",
    version="1.0.0",
    source_digest="0x" + "33" * 32,
    measurements={"simulated-sgx": (to_hex(MEASUREMENT),)},
)


class FakeChain:
    """The chain as a test wants the hospital's node to show it."""

    def __init__(self) -> None:
        self.states: dict[str, DealState] = {}
        self.dead_versions: set[str] = set()
        self.time = NOW
        self.matched: dict[str, int] = {}
        self.anchor = Anchor(0, "0x" + "00" * 32)
        self.is_down = False

    def deal_state(self, deal: str) -> DealState:
        self._check_up()
        return self.states.get(deal, DealState.NONE)

    def is_version_live(self, version: str) -> bool:
        self._check_up()
        return version not in self.dead_versions

    def time_utc_seconds(self) -> int:
        self._check_up()
        return self.time

    def matched_block(self, deal: str) -> int:
        self._check_up()
        return self.matched.get(deal, 100)

    def audit_anchor(self, broker: str) -> Anchor:
        self._check_up()
        return self.anchor

    def _check_up(self) -> None:
        if self.is_down:
            raise ChainError("the chain at http://127.0.0.1:8545 cannot be reached")


class FakeClock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Enclave:
    """What an attested enclave holds: fresh keys, and evidence over whatever a test binds."""

    def __init__(self, platform: SimulatedPlatform, measurement: bytes = MEASUREMENT) -> None:
        self.platform = platform
        self.measurement = measurement
        self.sealing = SealingKey.from_seed(secrets.token_bytes(32))
        self.address = address_of(secrets.token_bytes(32))

    def evidence(self, *, collateral: str | None = None, now: int = NOW, flags: int | None = None, **bound) -> Evidence:
        """Quote report data; `bound` replaces what the broker expects to be bound."""
        quoted = SimulatedReport(
            mr_enclave=self.measurement, report_data=report_data(**bound), cpu_svn=self.platform.identity.cpu_svn
        )
        if flags is not None:
            quoted = dataclasses.replace(quoted, flags=flags)
        quote = self.platform.quote_report(quoted).hex()
        return Evidence("simulated-sgx", quote, collateral or self.platform.collateral(now))


@dataclasses.dataclass
class World:
    """A broker, its surroundings, and requests that succeed unless a test replaces a part of them."""

    platform: SimulatedPlatform
    version: str
    manifest: object
    master_key: bytes
    database_url: str
    chain: FakeChain
    clock: FakeClock
    broker: KeyBroker
    store: BrokerStore
    enclave: Enclave
    grant_digest: str

    @property
    def domain(self) -> Domain:
        return DOMAIN

    def reopen(self, **changes) -> KeyBroker:
        """Build another broker process on the same database."""
        return build_broker(self.platform, self.database_url, self.chain, self.clock, **changes)[0]

    def deal(self, *, grant: dict | None = None, **changes) -> Deal:
        granted = DealGrant(
            datasetVersion=self.version,
            owner=address_of(OWNER_PRIVATE_KEY),
            broker=self.broker.address,
            price=100,
            withheldBps=0,
            policyDigest=POLICY.digest(),
        )
        base = {
            "requestDigest": "0x" + "01" * 32,
            "requester": "0x" + "02" * 20,
            "planDigest": PLAN.digest(),
            "resultKeyDigest": "0x" + "03" * 32,
            "appRelease": APP_RELEASE.release_id(),
            "appAuthor": "0x" + "04" * 20,
            "appPrice": 1,
            "appWithheldBps": 0,
            "pool": "0x" + "05" * 20,
            "poolPrice": 2,
            "stake": 0,
            "teeKind": int(TeeKind.SIMULATED_SGX),
            "sizeClass": 1,
            "minGrants": 1,
            "deadline": NOW + 3600,
            "grants": (dataclasses.replace(granted, **(grant or {})),),
        }
        return Deal(**{**base, **changes})

    def open_deal(self, **changes) -> Deal:
        """Put a deal on the fake chain."""
        deal = self.deal(**changes)
        self.chain.states[deal.deal_id(DOMAIN)] = DealState.OPEN
        return deal

    def binding(self, challenge, deal: Deal) -> dict:
        return {
            "nonce": to_bytes(challenge.nonce),
            "broker": to_bytes(challenge.broker),
            "chain_id": DOMAIN.chain_id,
            "contract": to_bytes(DOMAIN.contract),
            "deal": to_bytes(deal.deal_id(DOMAIN)),
            "plan_digest": to_bytes(deal.planDigest),
            "encryption_public_key": self.enclave.sealing.public_key,
            "enclave_address": to_bytes(self.enclave.address),
        }

    def request(self, challenge, deal: Deal, *, evidence: Evidence | None = None, plan: Plan = PLAN, **changes):
        """Build a release request; by default everything in it is right."""
        base = ReleaseRequest(
            session=challenge.session,
            deal=deal.to_json(),
            plan=msgspec.to_builtins(plan),
            dataset_version=deal.grants[0].datasetVersion,
            encryption_public_key=to_hex(self.enclave.sealing.public_key),
            enclave=self.enclave.address,
            evidence=evidence or self.enclave.evidence(now=self.clock.now, **self.binding(challenge, deal)),
        )
        return msgspec.structs.replace(base, **changes)

    def ask_anew(self, deal: Deal, broker: KeyBroker | None = None, **changes):
        """Challenge and release in one step, by an enclave that was not there before."""
        self.enclave = Enclave(self.platform)
        return self.ask(deal, broker, **changes)

    def ask(self, deal: Deal, broker: KeyBroker | None = None, *, deal_json: dict | None = None, **changes):
        """Challenge and release in one step, by the enclave that was last there."""
        broker = broker or self.broker
        challenge = broker.challenge(deal.deal_id(DOMAIN))
        request = self.request(challenge, deal, **changes)
        return broker.release(msgspec.structs.replace(request, deal=deal_json or request.deal))

    def entries(self) -> list[AuditEntry]:
        """Return the audit log."""
        with self.store.engine.connect() as connection:
            return list(entries(connection))

    def count(self, deal: Deal) -> int:
        return len(self.store.uses.of_deal(deal.deal_id(DOMAIN), self.version))


def build_broker(platform, database_url, chain, clock, *, policy=None, limit=2, vault_seed=VAULT_SEED, key=None):
    """Return a broker and its store."""
    settings = BrokerSettings(
        domain=DOMAIN,
        signing_private_key=key or BROKER_PRIVATE_KEY,
        verifier_policy=policy or unsafe_simulation_policy(platform.root_der),
        releases_per_deal=limit,
    )
    store = BrokerStore(open_database(database_url), clock)
    broker = KeyBroker(settings, store, Vault(vault_seed), chain, clock=clock, randomness=secrets.token_bytes)
    return broker, store


@pytest.fixture(scope="session")
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(NOW)


@pytest.fixture(scope="session")
def written():
    return write_small_version()


def write_small_version():
    """Write a dataset version of two patients into memory."""
    table = parse_csv(b"age,systolic,smoker,cvd\n50,120,0,1\n61,140,1,0\n", DICTIONARY, file="small.csv")
    store = open_store("memory://broker-tests")
    return write_version(table, DICTIONARY, dataset="0x" + "21" * 32, previous=None, store=store)


def grant_order(version: str, policy: GrantPolicy = POLICY, nonce: int = 0) -> DatasetGrant:
    return DatasetGrant(
        datasetVersion=version,
        broker=address_of(BROKER_PRIVATE_KEY),
        appRelease=APP_RELEASE.release_id(),
        requester=ZERO_ADDRESS,
        pool=ZERO_ADDRESS,
        teeKinds=int(TeeKind.SIMULATED_SGX),
        price=100,
        withheldBps=0,
        uses=10,
        policyDigest=policy.digest(),
        notBefore=NOW - 60,
        expiry=NOW + 86400,
        nonce=nonce,
    )


def keep_grant(store: BrokerStore, version: str, policy: GrantPolicy, nonce: int = 0, **changes) -> str:
    """Keep a grant of a policy in a world's broker store; return the order's digest."""
    order = dataclasses.replace(grant_order(version, policy, nonce), **changes)
    digest = to_hex(order.digest(DOMAIN))
    store.add_grant(digest, sign_order(order, DOMAIN, OWNER_PRIVATE_KEY), policy)
    return digest


@pytest.fixture
def add_grant():
    return keep_grant


@pytest.fixture
def world(tmp_path, platform, written) -> World:
    return build_world(tmp_path, platform, written)


def build_world(folder, platform, written) -> World:
    """Build a broker that holds one version under one grant, and its surroundings."""
    chain, clock = FakeChain(), FakeClock()
    url = f"sqlite:///{folder / 'broker.sqlite'}"
    broker, store = build_broker(platform, url, chain, clock)
    wrapped = Vault(VAULT_SEED).wrap(written.version_id, written.master_key)
    manifest = encode_canonical(written.manifest)
    store.add_version(written.version_id, manifest, encode_canonical(DICTIONARY), wrapped)
    store.approvals.approve(APP_RELEASE)
    digest = keep_grant(store, written.version_id, POLICY)
    assert sha256_digest(manifest) == written.version_id
    return World(
        platform=platform,
        version=written.version_id,
        manifest=written.manifest,
        master_key=written.master_key,
        database_url=url,
        chain=chain,
        clock=clock,
        broker=broker,
        store=store,
        enclave=Enclave(platform),
        grant_digest=digest,
    )


@pytest.fixture
def names():
    """What tests compare against, without importing this file."""

    class Names:
        now = NOW
        domain = DOMAIN
        plan = PLAN
        policy = POLICY
        app_release = APP_RELEASE
        vault_seed = VAULT_SEED
        enclave_class = Enclave
        owner = address_of(OWNER_PRIVATE_KEY)

    return Names
