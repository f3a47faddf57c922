"""A pool with real enclave processes, real key brokers on loopback and encrypted versions; only the chain is a fake."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.broker.database import open_database
from heartify.broker.key_broker import BrokerSettings, KeyBroker
from heartify.broker.rollback import Anchor
from heartify.broker.service import build_broker_service
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault
from heartify.chain.events import BrokerEndpoint, MatchedDeal, Place, VersionPublished
from heartify.cohort.dictionary_toml import parse_dictionary_toml
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.generated import generate_cohorts
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import open_store
from heartify.errors import ChainError, RevertError
from heartify.market.catalogue import policy_file
from heartify.party.http_service import RunningService
from heartify.pool.work_orders import WorkOrders
from heartify.pool.worker import Worker
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_hex
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.eip712 import ZERO_ADDRESS, Domain, address, bytes32, uint256
from heartify.protocol.evidence import TeeKind
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.orders import DatasetGrant, sign_order
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import Plan, Purpose, parse_plan_toml
from heartify.protocol.receipts import Settlement
from heartify.protocol.sealing import SealingKey
from heartify.protocol.signing import address_of, generate_private_key
from heartify.tee.limits import EnclaveLimits
from heartify.tee.running_enclave import RunningEnclave
from heartify.tee.simulated.launcher import SimulatedLauncher

DOMAIN = Domain(31_337, "0x" + "4d" * 20)
NO_PLACE = Place(1, 0, "0x" + "00" * 32)
PATIENTS = 300
_NUMBERS = itertools.count()


class FakeMarket:
    """A market that settles whatever is signed rightly enough for the pool to send it."""

    def __init__(self, deal: Deal) -> None:
        self.domain = DOMAIN
        self.deal = deal
        self.state = DealState.OPEN
        self.calls: list[tuple[str, Settlement | None, dict[str, Any]]] = []

    def find_deal(self, deal_id: str) -> MatchedDeal:
        if deal_id != self.deal.deal_id(DOMAIN):
            raise ChainError(f"deal {deal_id} is not on the chain")
        return MatchedDeal(deal_id, self.deal, NO_PLACE)

    def status_of(self, deal_id: str) -> DealState:
        return self.state

    def settle(self, deal: Deal, settlement: Settlement, **signatures: Any) -> None:
        self._close(DealState(int(settlement.outcome)))
        self.calls.append(("settle", settlement, signatures))

    def concede(self, deal: Deal) -> None:
        self._close(DealState.FAILED)
        self.calls.append(("concede", None, {}))

    def _close(self, state: DealState) -> None:
        if self.state is not DealState.OPEN:
            raise RevertError("market: deal not open")
        self.state = state

    # what a broker asks its own node

    def deal_state(self, deal: str) -> DealState:
        return self.state if deal == self.deal.deal_id(DOMAIN) else DealState.NONE

    def is_version_live(self, version: str) -> bool:
        return True

    def time_utc_seconds(self) -> int:
        return int(time.time())

    def matched_block(self, deal: str) -> int:
        return 1

    def audit_anchor(self, broker: str) -> Anchor:
        return Anchor(0, "0x" + "00" * 32)


@dataclasses.dataclass(frozen=True)
class Hospital:
    dataset: str
    version: str
    store_url: str
    policy: GrantPolicy
    broker: str
    broker_store: BrokerStore
    settings: BrokerSettings
    vault: Vault


class FakeRegistry:
    def __init__(self, hospitals: tuple[Hospital, ...], urls: tuple[str, ...]) -> None:
        self._hospitals = hospitals
        self.broker_urls = list(urls)

    def version_events(self) -> tuple[VersionPublished, ...]:
        return tuple(VersionPublished(h.dataset, h.version, h.store_url, h.broker, NO_PLACE) for h in self._hospitals)

    def broker_endpoints(self) -> tuple[BrokerEndpoint, ...]:
        pairs = zip(self._hospitals, self.broker_urls, strict=True)
        return tuple(BrokerEndpoint(h.dataset, h.broker, url, NO_PLACE) for h, url in pairs)


class WatchedOrders(WorkOrders):
    """Work orders that tell a test when an enclave reports a step."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.on_step: list[Callable[[str], None]] = []

    def note_step(self, deal_id: str, step: str) -> None:
        super().note_step(deal_id, step)
        for see in self.on_step:
            see(step)


@dataclasses.dataclass
class Bench:
    """A worker and everything around it; `enclaves` are the processes that it started, in order."""

    worker: Worker
    orders: WatchedOrders
    market: FakeMarket
    registry: FakeRegistry
    deal: Deal
    plan: Plan
    lab_key: SealingKey
    hospitals: tuple[Hospital, ...]
    enclaves: list[RunningEnclave]

    @property
    def deal_id(self) -> str:
        return str(self.deal.deal_id(DOMAIN))

    @property
    def order(self) -> Any:
        return self.orders.get(self.deal_id)

    def queue(self) -> None:
        self.orders.add(self.deal_id, int(self.deal.deadline))
        self.orders.queue(self.deal_id, encode_canonical(self.plan), self.lab_key.public_key)


@pytest.fixture(scope="session")
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(int(time.time()))


@pytest.fixture(scope="session")
def launcher(platform: SimulatedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedLauncher]:
    """Start the full image, under the strongest isolation that this machine has."""
    folder = tmp_path_factory.mktemp("pool") / "platform"
    platform.store(folder)
    with SimulatedLauncher.of_platform(folder) as launcher:
        yield launcher


@pytest.fixture(scope="session")
def release(launcher: SimulatedLauncher) -> AppRelease:
    measurements = {TeeKind.SIMULATED_SGX.wire_name: (to_hex(launcher.measurement),)}
    return AppRelease(name="Heartify", version="0.1.0", source_digest="0x" + "5c" * 32, measurements=measurements)


@pytest.fixture(scope="session")
def hospitals(
    release: AppRelease, platform: SimulatedPlatform, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Hospital, ...]]:
    cohorts, stores, made = generate_cohorts(patients_per_hospital=PATIENTS), [], []
    dictionary = parse_dictionary_toml(cohorts.dictionary_toml, file="dictionary.toml")
    for name in ("aspen", "birch"):
        store = open_store(f"memory://pool-integration-{next(_NUMBERS)}")
        stores.append(store)
        table = parse_csv(cohorts.csv_texts[name].encode(), dictionary, file=f"{name}.csv")
        dataset = to_hex(secrets.token_bytes(32))
        written = write_version(table, dictionary, dataset=dataset, previous=None, store=store)
        policy = GrantPolicy(hospital=name, columns=written.manifest.column_names, purposes=(Purpose.HEALTH_RESEARCH,))
        store.put(policy_file(written.version_id, policy.digest()), encode_canonical(policy))
        key, vault = generate_private_key(), Vault(secrets.token_bytes(32))
        # A file: the broker serves from another thread, and must find what this one wrote.
        database = tmp_path_factory.mktemp(name) / "broker.sqlite"
        broker_store = BrokerStore(open_database(f"sqlite:///{database}"))
        broker_store.add_version(
            written.version_id,
            encode_canonical(written.manifest),
            encode_canonical(dictionary),
            vault.wrap(written.version_id, written.master_key),
        )
        broker_store.add_grant(*_signed_grant(written.version_id, key, policy, release), policy)
        broker_store.approvals.approve(release)
        settings = BrokerSettings(DOMAIN, key, unsafe_simulation_policy(platform.root_der))
        made.append(
            Hospital(dataset, written.version_id, store.url, policy, address_of(key), broker_store, settings, vault)
        )
    yield tuple(made)
    for store in stores:
        store.filesystem.rm(store.root, recursive=True)


def _signed_grant(version: str, key: bytes, policy: GrantPolicy, release: AppRelease) -> tuple[str, Any]:
    order = DatasetGrant(
        datasetVersion=bytes32(version),
        broker=address(address_of(key)),
        appRelease=bytes32(release.release_id()),
        requester=ZERO_ADDRESS,
        pool=ZERO_ADDRESS,
        teeKinds=uint256(TeeKind.SIMULATED_SGX),
        price=uint256(100),
        withheldBps=uint256(0),
        uses=uint256(1),
        policyDigest=bytes32(policy.digest()),
        notBefore=uint256(0),
        expiry=uint256(2_000_000_000),
        nonce=uint256(0),
    )
    return to_hex(order.digest(DOMAIN)), sign_order(order, DOMAIN, key)


@pytest.fixture
def bench(
    launcher: SimulatedLauncher, release: AppRelease, hospitals: tuple[Hospital, ...], tmp_path: Path
) -> Iterator[Bench]:
    plan = parse_plan_toml(generate_cohorts(patients_per_hospital=1).plan_toml)
    lab_key = SealingKey.from_seed(secrets.token_bytes(32))
    deal = _deal(hospitals, plan, lab_key, release)
    market = FakeMarket(deal)
    orders = WatchedOrders(tmp_path / "work-orders.sqlite")
    enclaves: list[RunningEnclave] = []

    def launch(limits: EnclaveLimits) -> RunningEnclave:
        enclaves.append(launcher.launch(limits))
        return enclaves[-1]

    with contextlib.ExitStack() as stack:
        urls = tuple(stack.enter_context(RunningService(_broker(h, market))).url for h in hospitals)
        registry = FakeRegistry(hospitals, urls)
        # A broker that is off on purpose needs no minute of patience.
        worker = Worker(orders, market, registry, release, launch, broker_patience_seconds=3.0)  # type: ignore[arg-type]
        yield Bench(worker, orders, market, registry, deal, plan, lab_key, hospitals, enclaves)


def _broker(hospital: Hospital, market: FakeMarket) -> Any:
    broker = KeyBroker(
        hospital.settings,
        hospital.broker_store,
        hospital.vault,
        market,
        clock=lambda: int(time.time()),
        randomness=secrets.token_bytes,
    )
    return build_broker_service(broker)


def _deal(hospitals: tuple[Hospital, ...], plan: Plan, lab_key: SealingKey, release: AppRelease) -> Deal:
    return Deal(
        requestDigest=bytes32(to_hex(secrets.token_bytes(32))),
        requester=address("0x" + "1a" * 20),
        planDigest=bytes32(plan.digest()),
        resultKeyDigest=bytes32(sha256_digest(lab_key.public_key)),
        appRelease=bytes32(release.release_id()),
        appAuthor=address("0x" + "2a" * 20),
        appPrice=uint256(50),
        appWithheldBps=uint256(0),
        pool=address("0x" + "3a" * 20),
        poolPrice=uint256(100),
        stake=uint256(10),
        teeKind=uint256(TeeKind.SIMULATED_SGX),
        sizeClass=uint256(1),
        minGrants=uint256(1),
        deadline=uint256(int(time.time()) + 3600),
        grants=tuple(
            DealGrant(
                datasetVersion=bytes32(hospital.version),
                owner=address("0x" + "0a" * 20),
                broker=address(hospital.broker),
                price=uint256(100),
                withheldBps=uint256(0),
                policyDigest=bytes32(hospital.policy.digest()),
            )
            for hospital in hospitals
        ),
    )
