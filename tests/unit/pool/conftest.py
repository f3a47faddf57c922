"""A pool without chain and TEE: stand-ins by hand for the market, the registry and the enclave; a small real broker.

Versions lie encrypted in a memory store, so everything that the pool reads and checks is real.
"""

from __future__ import annotations

import dataclasses
import itertools
import secrets
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import msgspec
import pytest
from fastapi import Request
from fastapi.responses import Response

from heartify.chain.events import BrokerEndpoint, MatchedDeal, Place, VersionPublished
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import open_store, version_folder
from heartify.errors import ChainError, EnclaveError, HeartifyError, RevertError
from heartify.market.catalogue import policy_file
from heartify.party.http_service import RunningService, build_service, json_answer, read_body
from heartify.pool.work_orders import WorkOrders
from heartify.pool.worker import Worker
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_hex
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.eip712 import Domain, address, bytes32, uint256
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.outcomes import DealState, Outcome
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose
from heartify.protocol.receipts import KeyReceipt, Settlement
from heartify.protocol.signing import address_of, generate_private_key, sign_digest
from heartify.tee.limits import EnclaveLimits

DOMAIN = Domain(31_337, "0x" + "4d" * 20)
POOL = "0x" + "3a" * 20
DEADLINE = 2_000_000_000
RESULT_KEY = b"k" * 1216
NO_PLACE = Place(1, 0, "0x" + "00" * 32)
RELEASE = AppRelease(name="Heartify", version="0.1.0", source_digest="0x" + "5c" * 32, measurements={})
PLAN = Plan(
    title="Weights",
    purpose=Purpose.HEALTH_RESEARCH,
    outcome=OutcomeSpec(column="cvd", equals="1"),
    factors=(FactorSpec(name="chol", column="chol"),),
)
DICTIONARY = DataDictionary(
    title="Pool test",
    description="Generated",
    columns=(
        Column(name="chol", title="Cholesterol", datatype="number", role="factor", unit="mg/dL"),
        Column(
            name="cvd",
            title="Disease",
            datatype="category",
            role="outcome",
            levels=(Level(code="0", label="no"), Level(code="1", label="yes")),
        ),
    ),
)
_NUMBERS = itertools.count()

Frame = tuple[dict[str, Any], bytes]
Script = Callable[[dict[str, Any]], Generator[Frame, Frame, None]]


class FakeMarket:
    """What the pool uses of MarketClient. `away` makes every call fail; `reverts` are raised by name of the call."""

    def __init__(self, *deals: Deal) -> None:
        self.domain = DOMAIN
        self.deals = {str(deal.deal_id(DOMAIN)): deal for deal in deals}
        self.states = dict.fromkeys(self.deals, DealState.OPEN)
        self.away = False
        self.reverts: dict[str, HeartifyError] = {}
        self.calls: list[tuple[Any, ...]] = []

    def find_deal(self, deal_id: str) -> MatchedDeal:
        self._reach("find_deal")
        if deal_id not in self.deals:
            raise ChainError(f"deal {deal_id} is not on the chain")
        return MatchedDeal(deal_id, self.deals[deal_id], NO_PLACE)

    def status_of(self, deal_id: str) -> DealState:
        self._reach("status_of")
        return self.states[deal_id]

    def settle(self, deal: Deal, settlement: Settlement, **signatures: Any) -> None:
        self._reach("settle")
        self._close(deal, DealState(int(settlement.outcome)))
        self.calls.append(("settle", settlement, signatures))

    def concede(self, deal: Deal) -> None:
        self._reach("concede")
        self._close(deal, DealState.FAILED)
        self.calls.append(("concede", deal.deal_id(DOMAIN)))

    def _close(self, deal: Deal, state: DealState) -> None:
        deal_id = str(deal.deal_id(DOMAIN))
        if self.states[deal_id] is not DealState.OPEN:
            raise RevertError("market: deal not open")
        self.states[deal_id] = state

    def _reach(self, call: str) -> None:
        if self.away:
            raise ChainError("the chain cannot be reached")
        if call in self.reverts:
            raise self.reverts[call]


class FakeRegistry:
    """Where versions and brokers are, as the chain's events say."""

    def __init__(self, hospitals: tuple[Hospital, ...]) -> None:
        self.hospitals = hospitals
        self.away = False

    def version_events(self) -> tuple[VersionPublished, ...]:
        if self.away:
            raise ChainError("the chain cannot be reached")
        return tuple(VersionPublished(h.dataset, h.version, h.store_url, POOL, NO_PLACE) for h in self.hospitals)

    def broker_endpoints(self) -> tuple[BrokerEndpoint, ...]:
        return tuple(BrokerEndpoint(h.dataset, h.broker, h.broker_url, NO_PLACE) for h in self.hospitals)


@dataclasses.dataclass(frozen=True)
class Hospital:
    """One hospital as the pool sees it."""

    dataset: str
    version: str
    store_url: str
    policy: GrantPolicy
    broker: str
    broker_url: str

    def grant(self) -> DealGrant:
        return DealGrant(
            datasetVersion=bytes32(self.version),
            owner=address("0x" + "0a" * 20),
            broker=address(self.broker),
            price=uint256(100),
            withheldBps=uint256(0),
            policyDigest=bytes32(self.policy.digest()),
        )


class ScriptedEnclave:
    """An enclave whose part a generator plays: it yields frames and is sent the host's answers."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._run: Generator[Frame, Frame, None] | None = None
        self._answer: Frame | None = None
        self.timeouts: list[float] = []
        self.ended = False

    def send_frame(self, header: dict[str, Any], body: bytes = b"") -> None:
        if self._run is None:
            self._run = self._script(header)
        else:
            self._answer = header, body

    def receive_frame(self, timeout_seconds: float) -> Frame:
        self.timeouts.append(timeout_seconds)
        assert self._run is not None
        answer, self._answer = self._answer, None
        try:
            return next(self._run) if answer is None else self._run.send(answer)
        except StopIteration:
            raise EnclaveError("the enclave ended: exit status -9") from None

    def quote(self, report_data: bytes) -> Evidence:
        return Evidence(tee_kind="simulated-sgx", quote_hex=report_data.hex(), collateral="{}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True


class Scripts:
    """Parts that an enclave can play. `key` is its signing key."""

    def __init__(self) -> None:
        self.key = generate_private_key()

    def done(self, job: dict[str, Any], *, outcome: Outcome = Outcome.DELIVERED, **changes: Any) -> Frame:
        sealed = b"sealed result" if outcome is Outcome.DELIVERED else b""
        fields: dict[str, Any] = {
            "deal": job["deal_id"],
            "outcome": int(outcome),
            "code": 0 if outcome is Outcome.DELIVERED else 1,
            "leftOut": 0,
            "resultDigest": sha256_digest(sealed) if sealed else "0x" + "00" * 32,
        } | changes
        settlement = Settlement(**fields)
        header = {
            "op": "done",
            "settlement": settlement.to_json(),
            "signature": sign_digest(self.key, settlement.digest(DOMAIN)),
            "enclave": address_of(self.key),
            "encryption_public_key": "0x00",
        }
        return header, sealed

    def fetch_keys(self, job: dict[str, Any]) -> Generator[Frame, Frame, int]:
        """Ask every broker; return the bits of the grants that gave nothing."""
        left_out = 0
        for index in range(len(job["hospitals"])):
            answer, _ = yield {"op": "challenge", "grant": index}, b""
            if answer["ok"]:
                quoted, _ = yield {"op": "quote", "report_data": "0x" + "ab" * 64}, b""
                request = {
                    "session": answer["challenge"]["session"],
                    "deal": {"id": job["deal_id"]},
                    "plan": {},
                    "dataset_version": job["deal"]["grants"][index]["datasetVersion"],
                    "encryption_public_key": "0x00",
                    "enclave": address_of(self.key),
                    "evidence": quoted["evidence"],
                }
                answer, _ = yield {"op": "release", "grant": index, "request": request}, b""
            left_out |= 0 if answer["ok"] else 1 << index
        return left_out

    def deliver(self, job: dict[str, Any]) -> Generator[Frame, Frame, None]:
        yield {"op": "step", "name": "asking for keys"}, b""
        left_out = yield from self.fetch_keys(job)
        if left_out == (1 << len(job["hospitals"])) - 1:
            yield self.done(job, outcome=Outcome.FAILED, code=65, leftOut=left_out)
        else:
            yield self.done(job, leftOut=left_out)

    def crash(self, job: dict[str, Any]) -> Generator[Frame, Frame, None]:
        yield {"op": "step", "name": "asking for keys"}, b""

    def say(self, *frames: Frame) -> Script:
        """Play these frames whatever the answers are, then die."""

        def script(_job: dict[str, Any]) -> Generator[Frame, Frame, None]:
            yield from frames

        return script


@dataclasses.dataclass
class Bench:
    """A worker with its orders, market, and the enclaves that it started."""

    orders: WorkOrders
    market: FakeMarket
    registry: FakeRegistry
    deal: Deal
    scripts: Scripts
    enclaves: list[ScriptedEnclave]
    parts: list[Script]
    worker: Worker

    @property
    def deal_id(self) -> str:
        return str(self.deal.deal_id(DOMAIN))

    def queue(self, *, plan: Plan = PLAN) -> None:
        self.orders.add(self.deal_id, DEADLINE)
        self.orders.queue(self.deal_id, encode_canonical(plan), RESULT_KEY)

    @property
    def order(self) -> Any:
        return self.orders.get(self.deal_id)


def make_deal(hospitals: tuple[Hospital, ...], **changes: Any) -> Deal:
    fields: dict[str, Any] = {
        "requestDigest": bytes32(to_hex(secrets.token_bytes(32))),
        "requester": address("0x" + "1a" * 20),
        "planDigest": bytes32(PLAN.digest()),
        "resultKeyDigest": bytes32(sha256_digest(RESULT_KEY)),
        "appRelease": bytes32(RELEASE.release_id()),
        "appAuthor": address("0x" + "2a" * 20),
        "appPrice": uint256(50),
        "appWithheldBps": uint256(0),
        "pool": address(POOL),
        "poolPrice": uint256(100),
        "stake": uint256(10),
        "teeKind": uint256(TeeKind.SIMULATED_SGX),
        "sizeClass": uint256(1),
        "minGrants": uint256(1),
        "deadline": uint256(DEADLINE),
        "grants": tuple(hospital.grant() for hospital in hospitals),
    }
    return Deal(**fields | changes)


@dataclasses.dataclass
class SmallBroker:
    """A broker's HTTP face that releases to anyone who asks. Its receipts are genuine; nothing else matters here."""

    key: bytes
    refusing: bool = False

    def build(self) -> Any:
        app = build_service("small broker")

        async def challenge(request: Request) -> Response:
            deal = msgspec.json.decode(await read_body(request))["deal"]
            fields = {"session": "ab" * 16, "deal": deal, "nonce": "0x" + "cd" * 32, "expires": 1}
            return json_answer(fields | {"broker": address_of(self.key), "signature": "0x00"})

        async def release(request: Request) -> Response:
            asked = msgspec.json.decode(await read_body(request))
            if self.refusing:
                raise HeartifyError("the grant of this deal is revoked")
            version = asked["dataset_version"]
            receipt = KeyReceipt(deal=asked["deal"]["id"], datasetVersion=version, enclave=asked["enclave"])
            return json_answer(
                {
                    "dataset_version": version,
                    "sealed_keys": "0x00",
                    "release_signature": "0x00",
                    "key_receipt_signature": sign_digest(self.key, receipt.digest(DOMAIN)),
                }
            )

        app.add_route("/v1/challenges", challenge, methods=["POST"])
        app.add_route("/v1/releases", release, methods=["POST"])
        return app


@pytest.fixture(scope="session")
def brokers() -> Iterator[tuple[tuple[SmallBroker, str], ...]]:
    """Two brokers on loopback, with their addresses."""
    small = [SmallBroker(generate_private_key()) for _ in range(2)]
    with RunningService(small[0].build()) as first, RunningService(small[1].build()) as second:
        yield ((small[0], first.url), (small[1], second.url))


@pytest.fixture(scope="session")
def hospitals(brokers: tuple[tuple[SmallBroker, str], ...]) -> Iterator[tuple[Hospital, ...]]:
    made, stores = [], []
    for broker, url in brokers:
        store = open_store(f"memory://pool-{next(_NUMBERS)}")
        csv = "chol,cvd\n" + "".join(f"{200 + i / 7:.3f},{i % 2}\n" for i in range(40))
        dataset = to_hex(secrets.token_bytes(32))
        table = parse_csv(csv.encode(), DICTIONARY, file="a.csv")
        version = write_version(table, DICTIONARY, dataset=dataset, previous=None, store=store).version_id
        policy = GrantPolicy(hospital=f"h{len(made)}", columns=("chol", "cvd"), purposes=(Purpose.HEALTH_RESEARCH,))
        store.put(policy_file(version, policy.digest()), encode_canonical(policy))
        made.append(Hospital(dataset, version, store.url, policy, address_of(broker.key), url))
        stores.append(store)
    yield tuple(made)
    for store in stores:
        store.filesystem.rm(store.root, recursive=True)


@pytest.fixture
def orders(tmp_path: Path) -> WorkOrders:
    return WorkOrders(tmp_path / "pool" / "work-orders.sqlite")


@pytest.fixture
def bench(orders: WorkOrders, hospitals: tuple[Hospital, ...], brokers: Any) -> Iterator[Bench]:
    """A worker for a deal of two hospitals; `parts` are played one an enclave, the last one again and again."""
    for broker, _ in brokers:
        broker.refusing = False
    deal, scripts = make_deal(hospitals), Scripts()
    market, registry = FakeMarket(deal), FakeRegistry(hospitals)
    enclaves: list[ScriptedEnclave] = []
    parts: list[Script] = [scripts.deliver]

    def launch(limits: EnclaveLimits) -> ScriptedEnclave:
        assert limits == EnclaveLimits.for_size_class(int(deal.sizeClass))
        enclaves.append(ScriptedEnclave(parts.pop(0) if len(parts) > 1 else parts[0]))
        return enclaves[-1]

    worker = Worker(orders, market, registry, RELEASE, launch)  # type: ignore[arg-type]
    yield Bench(orders, market, registry, deal, scripts, enclaves, parts, worker)
    assert all(enclave.ended for enclave in enclaves)


@pytest.fixture
def make(hospitals: tuple[Hospital, ...]) -> SimpleNamespace:
    """Builders and constants for tests that need another deal, plan or enclave."""
    return SimpleNamespace(
        deal=lambda **changes: make_deal(hospitals, **changes),
        market=FakeMarket,
        registry=FakeRegistry,
        enclave=ScriptedEnclave,
        plan=PLAN,
        plan_bytes=encode_canonical(PLAN),
        result_key=RESULT_KEY,
        deadline=DEADLINE,
        pool=POOL,
        domain=DOMAIN,
        release=RELEASE,
        version_folder=version_folder,
    )
