"""A deal of real parts around `run_job`: encrypted versions, real key brokers, simulated quotes, a host that may lie.

The enclave runs in a thread at one end of a socket pair; the host serves the other end in the test's thread and keeps
every byte that came out. A lie is a function that gives another answer for one operation.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.broker.database import open_database
from heartify.broker.key_broker import BrokerSettings, KeyBroker
from heartify.broker.rollback import Anchor
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault
from heartify.cohort.encrypted.writer import WrittenVersion, write_version
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import Store, open_store
from heartify.enclave.channel import Channel
from heartify.enclave.job import Job, JobDocuments, check_job, identify
from heartify.enclave.program import run_job
from heartify.enclave.quoting.host import HostQuoter
from heartify.errors import HeartifyError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_bytes, to_hex
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.eip712 import ZERO_ADDRESS, Domain, address, bytes32, from_json, uint256
from heartify.protocol.evidence import TeeKind
from heartify.protocol.frames import encode_frame, read_frame
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.key_release import ReleaseRequest
from heartify.protocol.orders import DatasetGrant, sign_order
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose
from heartify.protocol.receipts import Settlement
from heartify.protocol.result import StudyResult, parse_result, result_info
from heartify.protocol.sealing import SealingKey
from heartify.protocol.signing import address_of, generate_private_key

NOW = 1_795_305_600
DOMAIN = Domain(31_337, "0x" + "4d" * 20)
MEASUREMENT = bytes(range(32))
PRICE, WITHHELD_BPS = uint256(100), uint256(2_500)
RELEASE = AppRelease(
    name="Heartify",
    version="0.1.0",
    source_digest="0x" + "5c" * 32,
    measurements={TeeKind.SIMULATED_SGX.wire_name: (to_hex(MEASUREMENT),)},
)
WIDE = tuple(f"x{i:02}" for i in range(18))
WAIT_SECONDS = 60

Frame = tuple[dict[str, Any], bytes]
Lie = Callable[["Host", dict[str, Any], Callable[[], Frame]], Frame | bytes | None]


def levels(*codes: str) -> tuple[Level, ...]:
    return tuple(Level(code=code, label=f"level {code}") for code in codes)


def dictionary(*, outcome_codes: Sequence[str] = ("0", "1"), chol_unit: str = "mg/dL", wide: bool = False) -> Any:
    """Columns of all datatypes that a plan can use; `wide` adds 18 plain numbers."""
    columns = [
        Column(name="age", title="Age", datatype="integer", role="factor", unit="a", minimum=18, maximum=89),
        Column(name="chol", title="Cholesterol", datatype="number", role="factor", unit=chol_unit),
        Column(name="sex", title="Sex", datatype="category", role="factor", levels=levels("0", "1")),
        Column(name="smoker", title="Smokes", datatype="boolean", role="factor"),
        Column(name="cp", title="Chest pain", datatype="category", role="factor", levels=levels("1", "2", "4")),
        Column(name="note", title="Not for everybody", datatype="number", role="factor"),
        Column(name="cvd", title="Disease", datatype="category", role="outcome", levels=levels(*outcome_codes)),
    ]
    if wide:
        columns += [Column(name=name, title=name, datatype="number", role="factor") for name in WIDE]
    return DataDictionary(title="Test cohort", description="Generated", columns=tuple(columns))


def generate_rows(seed: int, patients: int) -> dict[str, np.ndarray[Any, Any]]:
    """Columns with the values as written; NaN is missing. The outcome follows a logistic model."""
    rng = np.random.default_rng(seed)
    age = rng.integers(35, 86, patients).astype(float)
    chol = np.round(rng.normal(220, 40, patients), 2)
    rows = {
        "age": age,
        "chol": np.where(rng.random(patients) < 0.03, np.nan, chol),
        "sex": rng.integers(0, 2, patients).astype(float),
        "smoker": rng.integers(0, 2, patients).astype(float),
        "cp": rng.choice([1.0, 2.0, 4.0], patients),
        "note": np.round(rng.normal(0, 1, patients), 6),
    }
    odds = -8.0 + 0.08 * age + 0.012 * chol + 0.5 * rows["sex"] + 0.6 * rows["smoker"] + 0.5 * (rows["cp"] == 4)
    rows["cvd"] = (rng.random(patients) < 1 / (1 + np.exp(-odds))).astype(float)
    return rows | {name: np.round(rng.normal(0, 1, patients), 6) for name in WIDE}


def to_csv(rows: Mapping[str, np.ndarray[Any, Any]], names: Sequence[str]) -> bytes:
    def cell(value: float) -> str:
        return "" if np.isnan(value) else repr(float(value)).removesuffix(".0")

    lines = [",".join(cell(rows[name][i]) for name in names) for i in range(len(rows[names[0]]))]
    return "\n".join([",".join(names), *lines, ""]).encode()


def plan_of(
    *factors: FactorSpec, outcome: OutcomeSpec | None = None, purpose: Purpose = Purpose.HEALTH_RESEARCH
) -> Plan:
    return Plan(
        title="Weights of a test",
        purpose=purpose,
        outcome=outcome or OutcomeSpec(column="cvd", equals="1"),
        factors=factors or DEFAULT_FACTORS,
    )


DEFAULT_FACTORS = (
    FactorSpec(name="age", column="age"),
    FactorSpec(name="male", column="sex", equals="1"),
    FactorSpec(name="chol", column="chol"),
    FactorSpec(name="smoker", column="smoker"),
    FactorSpec(name="asymptomatic", column="cp", equals="4"),
)


class FakeChain:
    """A chain view whose answers a test sets."""

    def __init__(self) -> None:
        self.state = DealState.OPEN
        self.live = True

    def deal_state(self, deal: str) -> DealState:
        return self.state

    def is_version_live(self, version: str) -> bool:
        return self.live

    def time_utc_seconds(self) -> int:
        return NOW

    def matched_block(self, deal: str) -> int:
        return 1

    def audit_anchor(self, broker: str) -> Anchor:
        return Anchor(0, "0x" + "00" * 32)


@dataclasses.dataclass(frozen=True)
class Hospital:
    """One hospital with everything that it holds."""

    rows: dict[str, np.ndarray[Any, Any]]
    dictionary: DataDictionary
    store: Store
    version: WrittenVersion
    older: WrittenVersion
    policy: GrantPolicy
    broker: KeyBroker
    broker_key: bytes
    broker_store: BrokerStore
    chain: FakeChain

    def file(self, name: str) -> bytes:
        return self.store.get(f"objects/{name}", max_bytes=1 << 26)

    def file_in_place_of(self, name: str, *, of: Hospital, version: WrittenVersion | None = None) -> bytes:
        """Return our file of the column and part that `name` is in the other hospital's version."""
        place = next((e.column, e.part) for e in of.version.manifest.columns if e.object_name == name)
        entries = (version or self.version).manifest.columns
        return self.file(next(entry.object_name for entry in entries if (entry.column, entry.part) == place))

    def grant(self) -> DealGrant:
        return DealGrant(
            datasetVersion=bytes32(self.version.version_id),
            owner=address("0x" + "0a" * 20),
            broker=address(self.broker.address),
            price=PRICE,
            withheldBps=WITHHELD_BPS,
            policyDigest=bytes32(self.policy.digest()),
        )


@dataclasses.dataclass
class Run:
    """What one run left: every frame and byte that the enclave sent, and how it ended."""

    world: World
    frames: list[Frame]
    raw: bytes
    error: BaseException | None

    @property
    def done(self) -> dict[str, Any] | None:
        return next((header for header, _ in self.frames if header["op"] == "done"), None)

    @property
    def sealed(self) -> bytes:
        return next(body for header, body in self.frames if header["op"] == "done")

    @property
    def settlement(self) -> Settlement:
        assert self.done is not None, f"no ending; the enclave said {[header for header, _ in self.frames]}"
        return from_json(Settlement, self.done["settlement"])

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [header for header, _ in self.frames if header["op"] == operation]

    def open_result(self) -> StudyResult:
        return parse_result(self.world.lab_key.open(self.sealed, result_info(self.world.deal_id)))


@dataclasses.dataclass(frozen=True)
class World:
    """One deal and its parties."""

    platform: SimulatedPlatform
    hospitals: tuple[Hospital, ...]
    plan: Plan
    deal: Deal
    lab_key: SealingKey

    @property
    def deal_id(self) -> str:
        return self.deal.deal_id(DOMAIN)

    @property
    def domain(self) -> Domain:
        return DOMAIN

    @property
    def release(self) -> AppRelease:
        return RELEASE

    def quote(self, report_data: bytes, *, measurement: bytes = MEASUREMENT) -> dict[str, Any]:
        evidence: dict[str, Any] = msgspec.to_builtins(self.platform.evidence(measurement, report_data, NOW))
        return evidence

    def documents(self) -> dict[str, Any]:
        """The honest job frame."""
        return {
            "op": "job",
            "chain_id": DOMAIN.chain_id,
            "market": DOMAIN.contract,
            "deal_id": self.deal_id,
            "deal": self.deal.to_json(),
            "plan": to_hex(encode_canonical(self.plan)),
            "result_key": to_hex(self.lab_key.public_key),
            "hospitals": [
                {
                    "manifest": to_hex(encode_canonical(hospital.version.manifest)),
                    "dictionary": to_hex(encode_canonical(hospital.dictionary)),
                    "policy": to_hex(encode_canonical(hospital.policy)),
                }
                for hospital in self.hospitals
            ],
        }

    def job(self) -> Job:
        fields = {key: value for key, value in self.documents().items() if key != "op"}
        documents = msgspec.convert(fields, JobDocuments)
        return check_job(documents, identify(documents))

    def run(self, lies: Mapping[str, Lie] | None = None, *, job: dict[str, Any] | bytes | None = None) -> Run:
        """Run the enclave against a host that tells these lies, and otherwise the truth."""
        host_end, enclave_end = socket.socketpair()
        errors: list[BaseException] = []

        def enclave() -> None:
            with enclave_end:
                try:
                    channel = Channel(enclave_end)
                    run_job(channel, HostQuoter(channel))
                except BaseException as exc:
                    errors.append(exc)

        thread = threading.Thread(target=enclave)
        thread.start()
        with host_end:
            host = Host(self, host_end, lies or {})
            host.serve(self.documents() if job is None else job)
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()
        return Run(self, host.frames, bytes(host.raw), errors[0] if errors else None)


class Host:
    """A courier that keeps all that it sees. A lie for "job" is the job argument; a lie that returns None hangs up."""

    def __init__(self, world: World, connection: socket.socket, lies: Mapping[str, Lie]) -> None:
        self.world = world
        self.frames: list[Frame] = []
        self.raw = bytearray()
        self.memory: dict[Any, Any] = {}
        self._connection = connection
        self._connection.settimeout(WAIT_SECONDS)
        self._lies = lies

    def serve(self, job: dict[str, Any] | bytes) -> None:
        self._send(job if isinstance(job, bytes) else (job, b""))
        while True:
            try:
                header, body = read_frame(self._receive)
            except (EOFError, ConnectionError):
                return
            self.frames.append((header, body))
            if header["op"] in {"step", "done"}:
                continue
            answer = self._answer(header)
            if answer is None:
                return
            self._send(answer)

    def _answer(self, header: dict[str, Any]) -> Frame | bytes | None:
        def honest() -> Frame:
            return self.honest(header)

        lie = self._lies.get(header["op"])
        return honest() if lie is None else lie(self, header, honest)

    def honest(self, header: dict[str, Any]) -> Frame:
        operation = header["op"]
        try:
            fields, body = getattr(self, f"_{operation}")(header)
        except HeartifyError as exc:
            self.memory.setdefault("refusals", []).append(exc.message)
            return {"op": operation, "ok": False}, b""
        return {"op": operation, "ok": True, **fields}, body

    def _challenge(self, header: dict[str, Any]) -> Frame:
        broker = self.world.hospitals[header["grant"]].broker
        return {"challenge": msgspec.to_builtins(broker.challenge(self.world.deal_id))}, b""

    def _quote(self, header: dict[str, Any]) -> Frame:
        return {"evidence": self.world.quote(to_bytes(header["report_data"]))}, b""

    def _release(self, header: dict[str, Any]) -> Frame:
        request = msgspec.convert(header["request"], ReleaseRequest)
        release = self.world.hospitals[header["grant"]].broker.release(request)
        return {"release": msgspec.to_builtins(release)}, b""

    def _file(self, header: dict[str, Any]) -> Frame:
        return {}, self.world.hospitals[header["grant"]].file(header["file"])

    def _send(self, answer: Frame | bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self._connection.sendall(answer if isinstance(answer, bytes) else encode_frame(*answer))

    def _receive(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._connection.recv(count - len(parts))
            if not part:
                raise EOFError
            parts += part
        self.raw += parts
        return bytes(parts)


_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(NOW)


@pytest.fixture(scope="session")
def new_hospital(platform: SimulatedPlatform) -> Iterator[Callable[..., Hospital]]:
    """Publish a cohort twice (an older version and the one in the deal) and set up its broker."""
    stores: list[Store] = []

    def make(
        name: str, rows: dict[str, Any], of: DataDictionary, *, releases: int = 100_000, **policy: Any
    ) -> Hospital:
        store = open_store(f"memory://enclave-{next(_NUMBERS)}")
        stores.append(store)
        names = [column.name for column in of.columns]
        dataset = to_hex(secrets.token_bytes(32))
        older_rows = {key: values[::-1] for key, values in rows.items()}
        older, version = None, None
        for content in (older_rows, rows):
            older, version = (
                version,
                write_version(
                    parse_csv(to_csv(content, names), of, file=f"{name}.csv"),
                    of,
                    dataset=dataset,
                    previous=None if version is None else version.version_id,
                    store=store,
                ),
            )
        assert older is not None
        assert version is not None
        policy = {"columns": tuple(n for n in names if n != "note"), "purposes": (Purpose.HEALTH_RESEARCH,)} | policy
        return _with_broker(platform, rows, of, store, version, older, GrantPolicy(hospital=name, **policy), releases)

    yield make
    for store in stores:
        store.filesystem.rm(store.root, recursive=True)


def _with_broker(
    platform: SimulatedPlatform,
    rows: dict[str, Any],
    of: DataDictionary,
    store: Store,
    version: WrittenVersion,
    older: WrittenVersion,
    policy: GrantPolicy,
    releases: int,
) -> Hospital:
    broker_store, vault, key = (
        BrokerStore(open_database("sqlite://")),
        Vault(secrets.token_bytes(32)),
        generate_private_key(),
    )
    wrapped = vault.wrap(version.version_id, version.master_key)
    broker_store.add_version(version.version_id, encode_canonical(version.manifest), encode_canonical(of), wrapped)
    order = DatasetGrant(
        datasetVersion=bytes32(version.version_id),
        broker=address(address_of(key)),
        appRelease=bytes32(RELEASE.release_id()),
        requester=ZERO_ADDRESS,
        pool=ZERO_ADDRESS,
        teeKinds=uint256(TeeKind.SIMULATED_SGX),
        price=PRICE,
        withheldBps=WITHHELD_BPS,
        uses=uint256(1),
        policyDigest=bytes32(policy.digest()),
        notBefore=uint256(0),
        expiry=uint256(NOW + 3600),
        nonce=uint256(0),
    )
    broker_store.add_grant(to_hex(order.digest(DOMAIN)), sign_order(order, DOMAIN, key), policy)
    broker_store.approvals.approve(RELEASE)
    chain = FakeChain()
    settings = BrokerSettings(DOMAIN, key, unsafe_simulation_policy(platform.root_der), releases_per_deal=releases)
    broker = KeyBroker(settings, broker_store, vault, chain, clock=lambda: NOW, randomness=secrets.token_bytes)
    return Hospital(rows, of, store, version, older, policy, broker, key, broker_store, chain)


@pytest.fixture(scope="session")
def new_world(platform: SimulatedPlatform) -> Callable[..., World]:
    """Make a deal over hospitals."""

    def make(hospitals: Sequence[Hospital], plan: Plan | None = None, *, min_grants: int = 1, **changes: Any) -> World:
        plan, lab_key = plan or plan_of(), SealingKey.from_seed(secrets.token_bytes(32))
        fields: dict[str, Any] = {
            "requestDigest": bytes32(to_hex(secrets.token_bytes(32))),
            "requester": address("0x" + "1a" * 20),
            "planDigest": bytes32(plan.digest()),
            "resultKeyDigest": bytes32(sha256_digest(lab_key.public_key)),
            "appRelease": bytes32(RELEASE.release_id()),
            "appAuthor": address("0x" + "2a" * 20),
            "appPrice": uint256(50),
            "appWithheldBps": uint256(0),
            "pool": address("0x" + "3a" * 20),
            "poolPrice": uint256(100),
            "stake": uint256(10),
            "teeKind": uint256(TeeKind.SIMULATED_SGX),
            "sizeClass": uint256(1),
            "minGrants": uint256(min_grants),
            "deadline": uint256(NOW + 3600),
            "grants": tuple(hospital.grant() for hospital in hospitals),
        }
        return World(platform, tuple(hospitals), plan, Deal(**fields | changes), lab_key)

    return make


@pytest.fixture(scope="session")
def hospitals(new_hospital: Callable[..., Hospital]) -> tuple[Hospital, ...]:
    """Three hospitals whose sizes pad to the same files; the second one lists the outcome's levels the other way."""
    return (
        new_hospital("aspen", generate_rows(1, 120), dictionary()),
        new_hospital("birch", generate_rows(2, 150), dictionary(outcome_codes=("1", "0"))),
        new_hospital("cedar", generate_rows(3, 90), dictionary()),
    )


@pytest.fixture(scope="session")
def world(new_world: Callable[..., World], hospitals: tuple[Hospital, ...]) -> World:
    """A deal of all three hospitals, good with any of them."""
    return new_world(hospitals)


@pytest.fixture(scope="session")
def strict_world(new_world: Callable[..., World], hospitals: tuple[Hospital, ...]) -> World:
    """The same, good only when all three contribute."""
    return new_world(hospitals, min_grants=3)


@pytest.fixture(scope="session")
def delivered(world: World) -> Run:
    """One honest run."""
    return world.run()


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The builders, for tests that need other data, dictionaries or plans."""
    return SimpleNamespace(rows=generate_rows, dictionary=dictionary, plan=plan_of, wide_columns=WIDE)
