"""Withdrawal: the key is gone from the home, a receipt says so, and every interruption is finished by a second call."""

from __future__ import annotations

import secrets

import pytest

from heartify.broker.database import open_database
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault, key_commitment
from heartify.cohort.storage.store import open_store
from heartify.errors import (
    ChainError,
    HeartifyError,
    IntegrityError,
    PolicyError,
    RevertError,
    ServiceError,
    UsageError,
)
from heartify.hospital.withdrawal import WithdrawalPorts, receipt_file, withdraw_version
from heartify.protocol.canonical import encode_canonical, sha256_digest
from heartify.protocol.destruction import (
    DestructionMethod,
    DestructionReason,
    parse_destruction,
    verify_destruction,
)
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.eip712 import Domain
from heartify.protocol.manifest import ColumnFile, Manifest
from heartify.protocol.signing import address_of

NOW = 1_795_000_000
DOMAIN = Domain(31337, "0x" + "ab" * 20)
BROKER_PRIVATE_KEY = b"\x11" * 32
SIGNER = address_of(BROKER_PRIVATE_KEY)
DATASET = "0x" + "21" * 32
DICTIONARY = DataDictionary(
    title="Small", description="", columns=(Column(name="age", title="Age", datatype="integer", role="factor"),)
)
PORTS = ("copies", "database", "home", "registry", "store")


class Registry:
    """The registry of a chain that can be down, and refuses what the contract refuses."""

    def __init__(self) -> None:
        self.live: set[str] = set()
        self.withdrawn: list[str] = []

    def withdraw_version(self, version: str) -> None:
        if version in self.withdrawn:
            raise RevertError("registry: version already withdrawn")
        if version not in self.live:
            raise RevertError("registry: not the owner")
        self.withdrawn.append(version)

    def dataset_of(self, version: str, *, block: str) -> str:
        return DATASET if version in self.live else "0x" + "00" * 32


class Case:
    """A hospital's home with versions in broker, chain and store, and a journal that has a copy of a key."""

    def __init__(self, folder) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.engine = open_database(f"sqlite:///{self.home / 'broker.sqlite'}")
        self.broker_store = BrokerStore(self.engine)
        self.registry = Registry()
        self.store = open_store(str(folder / "store"))
        self.wrapped: dict[str, bytes] = {}
        self.down: set[str] = set()
        self.now = NOW
        self.version = self.publish()
        self.journal = self.home / "journal.json"
        self.journal.write_bytes(b"copy of " + self.wrapped[self.version])

    def publish(self) -> str:
        file = secrets.token_bytes(64)
        digest = sha256_digest(file)
        manifest = Manifest(
            dataset=DATASET,
            previous=None,
            version_nonce="0x" + secrets.token_hex(32),
            dictionary_digest=DICTIONARY.digest(),
            report_digest="0x" + "00" * 32,
            rows_rounded=500,
            columns=(ColumnFile(column="age", part=0, first_row=0, padded_rows=512, size=64, digest=digest),),
        )
        version = manifest.version_id()
        self.wrapped[version] = Vault(bytes(32)).wrap(version, secrets.token_bytes(32))
        self.broker_store.add_version(
            version, encode_canonical(manifest), encode_canonical(DICTIONARY), self.wrapped[version]
        )
        self.store.put(f"objects/{digest[2:]}", file)
        self.store.put(f"{version[2:]}/manifest.json", encode_canonical(manifest))
        self.registry.live.add(version)
        return version

    def ports(self) -> WithdrawalPorts:
        return WithdrawalPorts(
            broker_store=UnwillingStore(self) if "database" in self.down else self.broker_store,
            destructions=self.home / "destructions",
            domain=DOMAIN,
            broker_private_key=BROKER_PRIVATE_KEY,
            registry=lambda: self.unless_down("registry", ChainError, self.registry),
            store=lambda: self.unless_down("store", ServiceError, self.store),
            clock=lambda: self.unless_down("home", ServiceError, self.now),
            shred_copies=(self.shred,),
        )

    def unless_down(self, name, error, value):
        if name in self.down:
            raise error(f"the {name} is away")
        return value

    def shred(self, dataset: str, version: str) -> None:
        assert (dataset, version) == (DATASET, self.version)
        self.unless_down("copies", ServiceError, None)
        self.journal.unlink(missing_ok=True)

    def withdraw(self, **options):
        return withdraw_version(self.version, self.ports(), **options)

    def is_usable(self) -> bool:
        try:
            return self.broker_store.live_version(self.version).wrapped_master_key == self.wrapped[self.version]
        except PolicyError:
            return False

    def files_with_the_key(self) -> list[str]:
        key = self.wrapped[self.version]
        files = (path for path in self.home.rglob("*") if path.is_file())
        return sorted(
            path.name for path in files if key[-60:][:16] in path.read_bytes() or key[-16:] in path.read_bytes()
        )


class UnwillingStore(BrokerStore):
    """A broker's state that another process reads from, so that it can't be rewritten."""

    def __init__(self, case: Case) -> None:
        super().__init__(case.engine)

    def erase_revoked_keys(self):
        raise ServiceError("the broker's database can't be rewritten just now")


@pytest.fixture
def case(tmp_path):
    found = Case(tmp_path)
    yield found
    found.engine.dispose()


def test_the_wrapped_key_is_in_the_home_before_and_nowhere_after(case):
    assert "journal.json" in case.files_with_the_key()
    assert len(case.files_with_the_key()) > 1

    case.withdraw()

    assert case.files_with_the_key() == []
    assert not case.is_usable()


def test_the_receipt_names_the_key_and_is_signed_by_the_broker(case):
    receipt = case.withdraw(reason=DestructionReason.OPT_OUT)

    verify_destruction(receipt, SIGNER, version=case.version, domain=DOMAIN)
    assert receipt.key_commitment == key_commitment(case.version, case.wrapped[case.version])
    assert (receipt.dataset, receipt.destroyed_at, receipt.reason) == (DATASET, NOW, DestructionReason.OPT_OUT)
    assert receipt.method is DestructionMethod.DATABASE_REWRITTEN


def test_the_receipt_lies_in_the_home_and_beside_the_version(case):
    receipt = case.withdraw()

    kept = receipt_file(case.home / "destructions", case.version).read_bytes()
    assert parse_destruction(kept) == receipt
    assert case.store.get(f"{case.version[2:]}/destroyed.json", max_bytes=4096) == kept
    assert case.store.exists(f"{case.version[2:]}/manifest.json")
    assert case.registry.withdrawn == [case.version]


def test_files_are_removed_only_when_asked_and_the_receipt_stays(case):
    other = case.publish()

    case.withdraw(remove_files=True)

    assert case.store.list(case.version[2:]) == ("destroyed.json",)
    assert len(case.store.list("objects")) == 1
    assert case.store.exists(f"{other[2:]}/manifest.json")


def test_other_versions_stay_usable(case):
    other = case.publish()

    case.withdraw()

    assert case.broker_store.live_version(other).wrapped_master_key == case.wrapped[other]
    assert case.registry.withdrawn == [case.version]


@pytest.mark.parametrize("down", PORTS)
def test_after_a_failure_the_version_is_usable_or_its_key_is_out_of_use_and_a_second_call_completes(case, down):
    case.down = {down}
    with pytest.raises(HeartifyError):
        case.withdraw(reason=DestructionReason.KEY_EXPOSED)
    assert case.is_usable() == (down == "copies")
    assert (case.files_with_the_key() == []) == (down not in {"copies", "database"})
    case.down = set()

    receipt = case.withdraw(reason=DestructionReason.KEY_EXPOSED)

    verify_destruction(receipt, SIGNER, version=case.version)
    assert receipt.key_commitment == key_commitment(case.version, case.wrapped[case.version])
    assert case.files_with_the_key() == []
    assert case.registry.withdrawn == [case.version]
    assert case.store.exists(f"{case.version[2:]}/destroyed.json")


def test_no_receipt_is_signed_before_the_key_is_erased(case):
    case.down = {"database"}

    with pytest.raises(ServiceError):
        case.withdraw()
    assert not (case.home / "destructions").exists()
    assert case.registry.withdrawn == []


def test_a_second_call_gives_the_first_receipt(case):
    first = case.withdraw(reason=DestructionReason.OPT_OUT)
    case.now += 100

    assert case.withdraw(reason=DestructionReason.REPLACED) == first
    assert case.registry.withdrawn == [case.version]


def test_a_receipt_that_was_tampered_with_is_not_passed_on(case):
    case.withdraw()
    path = receipt_file(case.home / "destructions", case.version)
    path.write_bytes(path.read_bytes().replace(b"1795000000", b"1795000001"))

    with pytest.raises(IntegrityError, match="destruction receipt"):
        case.withdraw()


def test_a_version_that_was_never_registered_is_withdrawn_all_the_same(case):
    case.registry.live.clear()

    case.withdraw()

    assert case.files_with_the_key() == []
    assert case.store.exists(f"{case.version[2:]}/destroyed.json")


def test_a_registry_that_refuses_for_another_reason_is_heard(case):
    case.registry.withdraw_version = refuse

    with pytest.raises(RevertError, match="not the owner"):
        case.withdraw()
    assert case.files_with_the_key() == []


def refuse(_version: str) -> None:
    raise RevertError("registry: not the owner")


def test_a_version_of_somebody_else_cannot_be_withdrawn(case):
    with pytest.raises(UsageError, match="no version"):
        withdraw_version("0x" + "99" * 32, case.ports())
    assert case.is_usable()
    assert case.journal.exists()


def test_a_withdrawn_version_cannot_come_back_from_a_journal(case):
    case.withdraw()

    with pytest.raises(PolicyError, match="was destroyed"):
        case.broker_store.add_version(case.version, b"", b"", case.wrapped[case.version])
