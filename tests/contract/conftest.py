"""A small market of people with real keys, on titanoboa's EVM, running the very bytecode that the package ships.

Typed data are signed by eth-account, which shares no code with the contracts and so is the referee of their hashing.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # titanoboa and what it imports
    import boa

import pytest
from eth_abi import encode
from eth_abi.abi import decode
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils import keccak, to_checksum_address

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = PROJECT / "contracts"
ARTIFACTS = PROJECT / "src" / "heartify" / "chain" / "artifacts"

ZERO = "0x" + "00" * 20
START_UTC = 1_800_000_000  # when every test begins, Unix seconds
DAY = 86_400
STAKE_BPS = 1_000
MONEY = 1_000_000
SGX, TDX, SIMULATED_SGX = 1, 2, 256
HOSPITALS = 4


def _fields(text: str) -> list[dict[str, str]]:
    return [dict(zip(("type", "name"), part.split(" "), strict=True)) for part in text.split(",")]


# Written out from the specification, not read from the code under test.
TYPES = {
    "EIP712Domain": _fields("string name,string version,uint256 chainId,address verifyingContract"),
    "DatasetGrant": _fields(
        "bytes32 datasetVersion,address broker,bytes32 appRelease,address requester,address pool,uint256 teeKinds,"
        "uint256 price,uint256 withheldBps,uint256 uses,bytes32 policyDigest,uint256 notBefore,"
        "uint256 expiry,uint256 nonce"
    ),
    "AppOffer": _fields(
        "bytes32 appRelease,uint256 price,uint256 withheldBps,uint256 uses,address requester,"
        "uint256 expiry,uint256 nonce"
    ),
    "PoolOffer": _fields(
        "address pool,uint256 teeKind,uint256 sizeClass,uint256 price,uint256 uses,address requester,"
        "uint256 expiry,uint256 nonce"
    ),
    "GrantWanted": _fields("bytes32 datasetVersion,uint256 maxPrice"),
    "Request": _fields(
        "address requester,bytes32 planDigest,GrantWanted[] grants,bytes32 appRelease,uint256 maxAppPrice,address pool,"
        "uint256 sizeClass,uint256 maxPoolPrice,uint256 teeKinds,bytes32 resultKeyDigest,uint256 minGrants,"
        "uint256 deadlineSeconds,uint256 expiry,uint256 nonce"
    ),
    "DealGrant": _fields(
        "bytes32 datasetVersion,address owner,address broker,uint256 price,uint256 withheldBps,bytes32 policyDigest"
    ),
    "Deal": _fields(
        "bytes32 requestDigest,address requester,bytes32 planDigest,bytes32 resultKeyDigest,bytes32 appRelease,"
        "address appAuthor,uint256 appPrice,uint256 appWithheldBps,address pool,uint256 poolPrice,uint256 stake,"
        "uint256 teeKind,uint256 sizeClass,uint256 minGrants,uint256 deadline,DealGrant[] grants"
    ),
    "KeyReceipt": _fields("bytes32 deal,bytes32 datasetVersion,address enclave"),
    "Settlement": _fields("bytes32 deal,uint256 outcome,uint256 code,uint256 leftOut,bytes32 resultDigest"),
}


class TypedData:
    """EIP-712 by eth-account for one market."""

    types = TYPES

    def __init__(self, chain_id: int, market: str) -> None:
        self.domain = {"name": "Heartify", "version": "1", "chainId": chain_id, "verifyingContract": market}

    def message(self, kind: str, values: dict[str, Any]) -> SignableMessage:
        nested = [f["type"][:-2] for f in TYPES[kind] if f["type"].endswith("[]")]
        types = {name: TYPES[name] for name in ("EIP712Domain", kind, *nested)}
        return encode_typed_data(
            full_message={"types": types, "primaryType": kind, "domain": self.domain, "message": values}
        )

    def struct_hash(self, kind: str, values: dict[str, Any]) -> bytes:
        return self.message(kind, values).body

    def digest(self, kind: str, values: dict[str, Any]) -> bytes:
        message = self.message(kind, values)
        return keccak(b"\x19\x01" + message.header + message.body)

    def sign(self, kind: str, values: dict[str, Any], account: LocalAccount) -> bytes:
        return bytes(account.sign_message(self.message(kind, values)).signature)

    def to_abi(self, kind: str, values: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self._value(field["type"], values[field["name"]]) for field in TYPES[kind])

    def _value(self, kind: str, value: Any) -> Any:
        return [self.to_abi(kind[:-2], item) for item in value] if kind.endswith("[]") else value


@dataclasses.dataclass
class Orders:
    """The orders of one match as plain values, for a test to change before they are signed."""

    grants: list[dict[str, Any]]
    app: dict[str, Any]
    pool: dict[str, Any]
    request: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Hospital:
    owner: LocalAccount
    broker: LocalAccount
    dataset: bytes
    version: bytes


@dataclasses.dataclass
class World:
    token: Any
    registry: Any
    market: Any
    typed: TypedData
    lab: LocalAccount
    pool: LocalAccount
    author: LocalAccount
    enclave: LocalAccount
    stranger: LocalAccount
    hospitals: tuple[Hospital, ...]
    release: bytes
    next_nonce: int = 0

    start_utc = START_UTC
    day = DAY
    money = MONEY
    stake_bps = STAKE_BPS
    zero = ZERO
    tee_kinds = (SGX, TDX, SIMULATED_SGX)

    # time

    @property
    def now(self) -> int:
        return int(boa.env.timestamp)

    def travel_to(self, utc_seconds: int) -> None:
        boa.env.timestamp = utc_seconds

    # orders

    def fresh_nonce(self) -> int:
        self.next_nonce += 1
        return self.next_nonce

    def orders(self, n: int = 2, *, uses: int = 1) -> Orders:
        grants = [
            {
                "datasetVersion": hospital.version,
                "broker": hospital.broker.address,
                "appRelease": self.release,
                "requester": ZERO,
                "pool": ZERO,
                "teeKinds": SGX | SIMULATED_SGX,
                "price": 1_000 + 100 * index,
                "withheldBps": 2_500,
                "uses": uses,
                "policyDigest": keccak(text=f"policy {index}"),
                "notBefore": START_UTC - DAY,
                "expiry": START_UTC + DAY,
                "nonce": self.fresh_nonce(),
            }
            for index, hospital in enumerate(self.hospitals[:n])
        ]
        app = {
            "appRelease": self.release,
            "price": 500,
            "withheldBps": 5_000,
            "uses": uses,
            "requester": ZERO,
            "expiry": START_UTC + DAY,
            "nonce": self.fresh_nonce(),
        }
        pool = {
            "pool": self.pool.address,
            "teeKind": SIMULATED_SGX,
            "sizeClass": 2,
            "price": 3_000,
            "uses": uses,
            "requester": ZERO,
            "expiry": START_UTC + DAY,
            "nonce": self.fresh_nonce(),
        }
        request = {
            "requester": self.lab.address,
            "planDigest": keccak(text="plan"),
            "grants": [{"datasetVersion": grant["datasetVersion"], "maxPrice": 2_000} for grant in grants],
            "appRelease": self.release,
            "maxAppPrice": 600,
            "pool": ZERO,
            "sizeClass": 2,
            "maxPoolPrice": 4_000,
            "teeKinds": SGX | SIMULATED_SGX,
            "resultKeyDigest": keccak(text="result key"),
            "minGrants": 1,
            "deadlineSeconds": 3_600,
            "expiry": START_UTC + DAY,
            "nonce": self.fresh_nonce(),
        }
        return Orders(grants, app, pool, request)

    def owner_of(self, version: bytes) -> LocalAccount:
        return next((h.owner for h in self.hospitals if h.version == version), self.stranger)

    def signed(self, orders: Orders, **signatures: Any) -> list[Any]:
        """Return matchOrders' arguments; `signatures` replace those of grants (a list), app, pool or request."""
        t = self.typed
        grant_signatures = signatures.get("grants") or [
            t.sign("DatasetGrant", grant, self.owner_of(grant["datasetVersion"])) for grant in orders.grants
        ]
        return [
            [
                (t.to_abi("DatasetGrant", grant), signature)
                for grant, signature in zip(orders.grants, grant_signatures, strict=True)
            ],
            t.to_abi("AppOffer", orders.app),
            signatures.get("app", t.sign("AppOffer", orders.app, self.author)),
            t.to_abi("PoolOffer", orders.pool),
            signatures.get("pool", t.sign("PoolOffer", orders.pool, self.pool)),
            t.to_abi("Request", orders.request),
            signatures.get("request", t.sign("Request", orders.request, self.lab)),
        ]

    def match(
        self, orders: Orders | None = None, *, sender: LocalAccount | None = None, **signatures: Any
    ) -> dict[str, Any]:
        """Match, as a stranger unless told otherwise; return the event's deal, its id checked by eth-account."""
        arguments = self.signed(orders or self.orders(), **signatures)
        deal_id = self.market.matchOrders(*arguments, sender=(sender or self.stranger).address)
        (log,) = self.events("DealMatched")
        deal = self.parse("Deal", log["data"])
        assert deal_id == log["deal"] == self.deal_id(deal)
        return deal

    # deals

    def deal_id(self, deal: dict[str, Any]) -> bytes:
        return self.typed.digest("Deal", deal)

    def status(self, deal: dict[str, Any]) -> int:
        return int(self.market.statusOf(self.deal_id(deal)))

    def deal_abi(self, deal: dict[str, Any]) -> tuple[Any, ...]:
        return self.typed.to_abi("Deal", deal)

    def broker_of(self, version: bytes) -> LocalAccount:
        return next((h.broker for h in self.hospitals if h.version == version), self.stranger)

    def key_receipts(self, deal: dict[str, Any], enclave: LocalAccount | None = None) -> list[bytes]:
        receipt = {"deal": self.deal_id(deal), "enclave": (enclave or self.enclave).address}
        return [
            self.typed.sign(
                "KeyReceipt",
                receipt | {"datasetVersion": grant["datasetVersion"]},
                self.broker_of(grant["datasetVersion"]),
            )
            for grant in deal["grants"]
        ]

    def settlement(
        self, deal: dict[str, Any], outcome: int = 2, code: int = 0, left_out: int = 0, **changes: Any
    ) -> list[Any]:
        """Return settle's arguments, honestly signed; `changes` replace enclave, receipts or signature."""
        statement = {
            "deal": self.deal_id(deal),
            "outcome": outcome,
            "code": code,
            "leftOut": left_out,
            "resultDigest": keccak(text="result"),
        }
        enclave = changes.get("enclave", self.enclave)
        return [
            self.deal_abi(deal),
            outcome,
            code,
            left_out,
            statement["resultDigest"],
            changes.get("enclave_address", enclave.address),
            changes.get("receipts", self.key_receipts(deal, enclave)),
            changes.get("signature", self.typed.sign("Settlement", statement, enclave)),
        ]

    def settle(self, deal: dict[str, Any], outcome: int = 2, code: int = 0, left_out: int = 0, **changes: Any) -> None:
        arguments = self.settlement(deal, outcome, code, left_out, **changes)
        self.market.settle(*arguments, sender=self.stranger.address)

    # money

    def fund(self, account: LocalAccount, amount: int = MONEY) -> None:
        self.token.mint(account.address, amount)
        self.token.approve(self.market.address, amount, sender=account.address)
        self.market.deposit(amount, sender=account.address)

    def free(self, account: Any) -> int:
        return int(self.market.freeOf(getattr(account, "address", account)))

    def locked(self, account: Any) -> int:
        return int(self.market.lockedOf(getattr(account, "address", account)))

    def balances(self) -> dict[str, tuple[int, int]]:
        parties = {"lab": self.lab, "pool": self.pool, "author": self.author}
        parties |= {f"hospital {i}": h.owner for i, h in enumerate(self.hospitals)}
        return {name: (self.free(account), self.locked(account)) for name, account in parties.items()}

    # what the contracts say

    def events(self, name: str, contract: Any = None) -> list[dict[str, Any]]:
        """Return the events of this name in the contract's last call, decoded from the raw logs by the ABI."""
        contract = contract or self.market
        entry = next(e for e in contract.abi if e["type"] == "event" and e["name"] == name)
        signature = f"{name}({','.join(_type_of(i) for i in entry['inputs'])})"
        topic = int.from_bytes(keccak(text=signature), "big")
        raw = [log for log in contract._computation.get_log_entries() if log[1][0] == topic]
        return [_decode_log(entry["inputs"], topics, data) for _, topics, data in raw]

    def parse(self, kind: str, values: Sequence[Any]) -> dict[str, Any]:
        found = {}
        for field, value in zip(TYPES[kind], values, strict=True):
            is_array = field["type"].endswith("[]")
            found[field["name"]] = [self.parse(field["type"][:-2], item) for item in value] if is_array else value
        return found

    def copy(self, values: Any) -> Any:
        return copy.deepcopy(values)

    @contextmanager
    def refused(self, reason: str, contract: Any = None) -> Iterator[None]:
        """Expect a revert with exactly this reason, and no change of anybody's balances."""
        before = self.balances()
        with pytest.raises(boa.BoaError):
            yield
        output = (contract or self.market)._computation.output
        assert output[:4] == keccak(text="Error(string)")[:4], f"a revert without a reason: {output.hex()}"
        assert decode(["string"], output[4:])[0] == reason
        assert self.balances() == before

    def execute(self, contract: Any, calldata: bytes) -> Any:
        """Send raw calldata, which no ABI encoder would make."""
        return boa.env.execute_code(to_address=contract.address, sender=self.stranger.address, data=calldata)

    def load_mock(self, name: str, *arguments: Any) -> Any:
        return _compile_mock(name).deploy(*arguments)


def _type_of(entry: dict[str, Any]) -> str:
    if not entry["type"].startswith("tuple"):
        return str(entry["type"])
    return "(" + ",".join(_type_of(c) for c in entry["components"]) + ")" + entry["type"][len("tuple") :]


def _decode_log(inputs: list[dict[str, Any]], topics: Sequence[int], data: bytes) -> dict[str, Any]:
    indexed = [i for i in inputs if i["indexed"]]
    plain = [i for i in inputs if not i["indexed"]]
    words = [topic.to_bytes(32, "big") for topic in topics[1:]]
    found = {i["name"]: decode([i["type"]], word)[0] for i, word in zip(indexed, words, strict=True)}
    found |= dict(zip((i["name"] for i in plain), decode([_type_of(i) for i in plain], data), strict=True))
    return {name: to_checksum_address(v) if isinstance(v, str) and v[:2] == "0x" else v for name, v in found.items()}


@cache
def _compile_mock(name: str) -> Any:
    return boa.load_partial(str(CONTRACTS / "test" / "mocks" / f"{name}.vy"))


def deploy_artifact(name: str, *arguments: Any) -> Any:
    artifact = json.loads((ARTIFACTS / f"{name}.json").read_text())
    constructor = next((e for e in artifact["abi"] if e["type"] == "constructor"), {"inputs": []})
    code = bytes.fromhex(artifact["bytecode"].removeprefix("0x"))
    code += encode([i["type"] for i in constructor["inputs"]], arguments)
    address, _ = boa.env.deploy_code(bytecode=code)
    return boa.loads_abi(json.dumps(artifact["abi"]), name=name).at(address)


def _account(name: str) -> LocalAccount:
    return Account.from_key(keccak(text=f"heartify test key of {name}"))


def _build_world() -> World:
    boa.env.timestamp = START_UTC
    token, registry = deploy_artifact("UnsafeTestToken"), deploy_artifact("Registry")
    market = deploy_artifact("Market", token.address, registry.address, STAKE_BPS)
    author, release = _account("author"), keccak(text="release")
    registry.registerRelease(release, "https://app.example", sender=author.address)
    hospitals = []
    for index in range(HOSPITALS):
        owner, broker = _account(f"hospital {index}"), _account(f"broker {index}")
        dataset = registry.registerDataset(bytes(32), broker.address, "https://broker.example", sender=owner.address)
        version = keccak(text=f"manifest {index}")
        registry.publishVersion(dataset, version, "https://store.example", sender=owner.address)
        hospitals.append(Hospital(owner, broker, dataset, version))
    people = [_account(name) for name in ("lab", "pool", "enclave", "stranger")]
    lab, pool, enclave, stranger = people
    typed = TypedData(boa.env.evm.patch.chain_id, market.address)
    world = World(token, registry, market, typed, lab, pool, author, enclave, stranger, tuple(hospitals), release)
    world.fund(lab)
    world.fund(pool)
    return world


@pytest.fixture(scope="session")
def shared_world() -> World:
    return _build_world()


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The market as built, for one test: whatever the test does is rolled back."""
    with boa.env.anchor():
        boa.env.timestamp = START_UTC
        shared_world.next_nonce = 0
        yield shared_world


@pytest.fixture
def deploy(world: World) -> Any:
    return deploy_artifact
