"""A broker's audit log against a real chain, by the commands that a steward and an outside auditor type."""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.log import append, entries
from heartify.broker.use_counter import Use, UseCounter
from heartify.chain.deployment import store_deployment
from heartify.chain.node import unsafe_fund
from heartify.chain.registry import RegistryClient
from heartify.cli.main import main
from heartify.errors import RevertError, UsageError
from heartify.hospital.anchoring import build_anchoring
from heartify.hospital.home import HospitalHome, HospitalSettings
from heartify.party.home import store_document
from heartify.party.keystore import store_secret
from heartify.protocol.audit_anchor import AuditAnchor, sign_audit_anchor
from heartify.protocol.eip712 import Domain, address, bytes32, uint256
from heartify.protocol.signing import address_of, generate_private_key, sign_digest

PASSWORD = "a long password of a test"
HOUR = 3600
HEAD, NEXT_HEAD = bytes32("0x" + "1a" * 32), bytes32("0x" + "2b" * 32)


@dataclasses.dataclass
class Run:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    def reason(self, name: str) -> str:
        (check,) = [check for check in self.document["checks"] if check["name"] == name]
        return str(check["reason"])

    @property
    def failed(self) -> list[str]:
        return [check["name"] for check in self.document["checks"] if not check["passed"]]


@dataclasses.dataclass
class Broker:
    """A hospital's home on this market, and what its broker logs."""

    world: Any
    home: HospitalHome
    key: bytes
    engine: sa.Engine
    now: int

    @property
    def address(self) -> str:
        return address_of(self.key)

    def clock(self) -> int:
        return self.now

    def append(self, event: AuditEvent, **details: str) -> None:
        with db.writing(self.engine) as connection:
            append(connection, self.now, event, details)

    def release(self, deal: Any, enclave: str) -> None:
        """Count and log a release, as the broker does before any key leaves."""
        use = Use(
            deal=deal.deal_id(self.world.deployment.domain),
            version=self.world.hospitals[0].version,
            requester=deal.requester,
            enclave=enclave,
            encryption_key_digest="0x" + "0d" * 32,
            measurement="0x" + "0e" * 32,
            tee_kind="simulated-sgx",
            simulated=True,
            key_receipt_signature="0x",
        )
        UseCounter(self.engine, self.clock).count(use, 2)

    def deal(self, *, is_logged: bool = True) -> str:
        """Match and settle a deal, and log its release, or not."""
        world = self.world
        deal = world.match(world.sign_orders(1)).deal
        signed = world.sign_settlement(deal)
        if is_logged:
            self.release(deal, signed.enclave)
        world.pool.market.settle(
            deal,
            signed.settlement,
            enclave=signed.enclave,
            key_receipt_signatures=signed.key_receipts,
            enclave_signature=signed.signature,
        )
        return str(deal.deal_id(world.deployment.domain))

    def later(self) -> None:
        """Go on until everything settled so far can be judged."""
        self.now += HOUR
        self.append(AuditEvent.RESUMED)

    def entries(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(entries(connection))


@pytest.fixture
def broker(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A new hospital with a broker of its own, so that every test knows all of its deals."""
    (tmp_path / "password").write_text(PASSWORD)
    monkeypatch.setenv("HEARTIFY_PASSWORD_FILE", str(tmp_path / "password"))
    party, key = world.new_party(), generate_private_key()
    dataset, _ = party.registry.register_dataset(bytes(32), address_of(key), "https://broker.example")
    version = bytes32("0x" + secrets.token_hex(32))
    party.registry.publish_version(dataset, version, "file:///store")
    hospital = type(world.hospitals[0])(party, key, dataset, version)
    home = HospitalHome(tmp_path / "home")
    store_secret(home.broker_keystore, key, PASSWORD.encode())
    store_secret(home.account_keystore, party.key, PASSWORD.encode())
    store_deployment(home.path / "deployment.json", world.deployment)
    settings = HospitalSettings(
        name="aspen",
        account=party.address,
        broker=address_of(key),
        store_url="file:///store",
        broker_url="http://127.0.0.1:1",
    )
    store_document(home.settings_file, settings)
    engine = db.open_database(home.database_url)
    own_world = dataclasses.replace(world, hospitals=(hospital,))
    return Broker(own_world, home, key, engine, int(time.time()))


@pytest.fixture
def run(broker: Broker, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run a command with --json."""

    def call(*words: object, as_json: bool = True) -> Run:
        capsys.readouterr()
        code = main([*(str(word) for word in words), *(["--json"] if as_json else [])])
        shown = capsys.readouterr()
        return Run(code, shown.out, shown.err)

    return call


@pytest.fixture
def steward(broker: Broker, run: Callable[..., Run]) -> Callable[..., Run]:
    return lambda *words, **chosen: run("hospital", "audit", *words, "--home", broker.home.path, **chosen)


@pytest.fixture
def auditor(broker: Broker, steward: Callable[..., Run], run: Callable[..., Run], tmp_path: Path) -> Callable[..., Run]:
    """Export as the steward, then verify as somebody who has the file, the deployment document and nothing else."""
    store_deployment(tmp_path / "auditor" / "deployment.json", broker.world.deployment)

    def call(*options: object, edit: Callable[[bytes], bytes] = lambda data: data, **chosen: Any) -> Run:
        file = tmp_path / "auditor" / "log.jsonl"
        assert steward("export", file).code == 0
        file.write_bytes(edit(file.read_bytes()))
        document = ("--deployment", tmp_path / "auditor" / "deployment.json")
        return run("audit", "verify", file, *document, *options, **chosen)

    return call


# the commands


def test_an_honest_broker_stands_before_its_steward_and_before_an_auditor(broker, steward, auditor):
    broker.deal()
    broker.deal()
    broker.later()

    anchored = steward("anchor")
    own = steward("verify")
    outside = auditor("--broker", broker.address)

    assert (anchored.code, own.code, outside.code) == (0, 0, 0), (own.out, outside.out)
    assert anchored.document["sequence"] == 3
    assert anchored.document["gas_used"] < 80_000
    assert outside.document["passed"]
    assert [check["name"] for check in outside.document["checks"]] == [
        "whose log", "entries", "signature", "broker", "anchors", "settled deals", "releases",
    ]  # fmt: skip
    assert "settled: 2" in outside.reason("settled deals")
    assert own.reason("use counter") == "releases that are counted, each with its entry: 2"
    assert broker.entries()[-1].details["tx"] == anchored.document["sent"]


def test_anchoring_again_sends_nothing(broker, steward):
    broker.later()
    first = steward("anchor").document

    again = steward("anchor").document

    assert (again["sent"], again["sequence"], again["head"]) == (None, first["sequence"], first["head"])
    assert "nothing new to anchor: entry 1 is anchored" in steward("anchor", as_json=False).out


def test_a_settled_deal_that_the_log_hides_is_found_by_an_auditor(broker, steward, auditor):
    broker.deal()
    hidden = broker.deal(is_logged=False)
    broker.later()
    steward("anchor")

    found = auditor()

    assert (found.code, found.failed) == (4, ["settled deals"])
    assert found.document["differences"][0]["deal"] == hidden
    assert "does not stand: settled deals" in found.err
    assert hidden[:12] in auditor(as_json=False).out


def test_a_logged_release_of_a_deal_that_never_was_is_found(broker, steward, auditor):
    deal = broker.world.match(broker.world.sign_orders(1)).deal
    broker.release(dataclasses.replace(deal, poolPrice=uint256(7)), "0x" + "77" * 20)
    steward("anchor")

    found = auditor()

    assert (found.code, found.failed) == (4, ["releases"])
    assert found.document["differences"][0]["sequence"] == 1


def test_an_edited_export_is_found_and_the_entry_named(broker, steward, auditor):
    broker.deal()
    broker.later()
    steward("anchor")

    found = auditor(edit=lambda data: data.replace(b'"simulated":"yes"', b'"simulated":"no"'))

    assert (found.code, found.failed) == (4, ["entries"])
    assert "entry 1 was altered" in found.reason("entries")


def test_a_log_that_was_written_anew_is_found_by_its_anchor_and_cannot_be_anchored(broker, steward, auditor):
    broker.deal()
    broker.later()
    steward("anchor")
    with db.writing(broker.engine) as connection:
        kept = [(entry.time, entry.event, entry.details) for entry in entries(connection)]
        connection.execute(sa.delete(db.audit_entries))
        for moment, event, details in kept[1:]:  # the release is left out, all digests are right
            append(connection, moment, event, details)
        connection.execute(sa.delete(db.facts))

    own, found, anchored = steward("verify"), auditor(), steward("anchor")

    assert (own.code, found.code, anchored.code) == (4, 4, 4)
    assert found.failed == ["anchors", "settled deals"]
    assert own.failed == ["anchors", "settled deals", "use counter"]
    assert "the log was rewritten after entry 0, and not after entry 2" in found.reason("anchors")
    assert "anchored on chain" in anchored.document["message"]


def test_a_database_that_was_set_back_below_its_anchor_is_found(broker, steward):
    broker.deal()
    broker.later()
    steward("anchor")
    with db.writing(broker.engine) as connection:
        connection.execute(sa.delete(db.audit_entries).where(db.audit_entries.c.sequence > 1))

    found = steward("verify")

    assert found.code == 4
    assert "the log ends at entry 1, but the anchor in block" in found.reason("anchors")


def test_a_counted_release_without_its_entry_is_found(broker, steward):
    broker.deal()
    broker.append(AuditEvent.RESUMED)
    with db.writing(broker.engine) as connection:
        row = dict(connection.execute(sa.select(db.releases)).mappings().one())
        connection.execute(sa.insert(db.releases).values({**row, "attempt": 2, "enclave": "0x" + "88" * 20}))

    found = steward("verify", "--offline")

    assert (found.code, found.failed) == (4, ["use counter"])
    assert not found.document["chain_read"]


def test_a_logged_release_that_is_not_counted_is_found(broker, steward):
    broker.deal()
    with db.writing(broker.engine) as connection:
        connection.execute(sa.delete(db.releases))

    assert "entry 1 tells of a release" in steward("verify", "--offline").reason("use counter")


def test_a_log_without_an_anchor_does_not_stand(broker, auditor):
    broker.later()

    assert auditor().failed == ["anchors"]


def test_somebody_elses_log_does_not_stand_for_this_broker(broker, steward, auditor):
    broker.later()
    steward("anchor")

    assert auditor("--broker", "0x" + "AB" * 20).failed == ["whose log"]


def test_without_the_chain_the_verdict_says_so(broker, steward, run, tmp_path):
    broker.later()
    steward("export", tmp_path / "log.jsonl")

    found = run("audit", "verify", tmp_path / "log.jsonl", as_json=False)

    assert found.code == 0
    assert "WITHOUT THE CHAIN" in found.out


def test_a_node_of_the_auditors_own_is_asked_instead(broker, steward, auditor):
    broker.later()
    steward("anchor")

    assert auditor("--rpc-url", broker.world.deployment.rpc_url).code == 0
    assert auditor("--rpc-url", "http://127.0.0.1:1").code == 7
    assert auditor("--broker", "0x1234").code == 2
    assert auditor("--known-restore", "0x1234").code == 2


def test_an_export_for_another_registry_is_a_wrong_question(broker, steward, run, tmp_path):
    broker.later()
    steward("export", tmp_path / "log.jsonl")
    other = msgspec.structs.replace(broker.world.deployment, registry=broker.world.deployment.token)
    store_deployment(tmp_path / "other.json", other)

    assert run("audit", "verify", tmp_path / "log.jsonl", "--deployment", tmp_path / "other.json").code == 2


def test_a_file_that_is_no_export_or_is_not_there_is_said(run, tmp_path):
    (tmp_path / "cohort.csv").write_text("age,cvd\n50,1\n")

    assert run("audit", "verify", tmp_path / "cohort.csv").code == 3
    assert run("audit", "verify", tmp_path / "none.jsonl").code == 3


def test_entries_are_shown_by_event_deal_requester_and_time(broker, steward):
    start = broker.now
    deal = broker.deal()
    broker.now += 10
    broker.append(AuditEvent.PAUSED, reason="odd requests [from a pool]")
    broker.now += 86_400
    broker.append(AuditEvent.RESUMED)
    lab, tomorrow = broker.world.lab.address, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(start + 3600))

    def numbers(*options: object) -> list[int]:
        return [entry["sequence"] for entry in steward("show", *options).document]

    assert numbers() == [1, 2, 3]
    assert numbers("--event", "paused", "--event", "resumed") == [2, 3]
    assert numbers("--deal", deal) == numbers("--deal", deal[:12].upper().replace("X", "x")) == [1]
    assert numbers("--requester", lab) == [1]
    assert numbers("--since", tomorrow) == [3]
    assert numbers("--until", tomorrow) == [1, 2]
    assert numbers("--limit", 1) == [3]
    assert numbers("--deal", "0x" + "00" * 32) == []
    assert "odd requests [from a pool]" in steward("show", as_json=False).out


def test_an_export_of_a_time_begins_there(broker, steward, tmp_path):
    broker.append(AuditEvent.RESUMED)
    broker.now += 2 * 86_400
    broker.append(AuditEvent.RESUMED)
    day = time.strftime("%Y-%m-%d", time.gmtime(broker.now))

    assert steward("export", tmp_path / "new.jsonl", "--since", day).document["first"] == 2
    assert len((tmp_path / "new.jsonl").read_text().splitlines()) == 2


def test_an_empty_log_is_neither_exported_nor_anchored(steward, tmp_path):
    assert (steward("export", tmp_path / "log.jsonl").code, steward("anchor").code) == (2, 2)
    assert steward("verify", "--offline").failed == ["entries"]
    assert not list(tmp_path.glob("*.jsonl"))


def test_an_export_that_cannot_be_written_leaves_nothing(broker, steward, tmp_path):
    broker.later()
    (tmp_path / "file").write_text("")

    assert steward("export", tmp_path / "file" / "log.jsonl").code == 2


# the registry's client


@pytest.fixture
def signed(world: Any) -> Callable[..., Any]:
    def make(key: bytes, sequence: int, head: bytes32 = HEAD, domain: Domain | None = None) -> Any:
        anchor = AuditAnchor(broker=address(address_of(key)), sequence=uint256(sequence), head=head)
        own = RegistryClient(world.connection, world.deployment).domain
        return sign_audit_anchor(anchor, domain or own, lambda digest: sign_digest(key, digest))

    return make


def test_the_client_signs_under_the_contracts_domain(world: Any) -> None:
    registry = RegistryClient(world.connection, world.deployment)

    assert registry.domain_separator() == registry.domain.separator()


def test_anchors_are_read_back_oldest_first(world: Any, signed: Any) -> None:
    key, registry = generate_private_key(), world.lab.registry
    broker = address_of(key)
    assert registry.audit_anchor(broker).sequence == 0

    first = registry.anchor_audit_log(signed(key, 3))
    registry.anchor_audit_log(signed(key, 9, NEXT_HEAD))

    newest, found = registry.audit_anchor(broker), registry.audit_anchors(broker)
    assert (newest.sequence, newest.head) == (9, NEXT_HEAD)
    assert newest.time == world.connection.time_utc_seconds()
    assert [(event.broker, event.sequence, event.head) for event in found] == [
        (broker, 3, HEAD),
        (broker, 9, NEXT_HEAD),
    ]
    assert found[0].place.tx_hash == first.tx_hash
    with pytest.raises(RevertError, match="registry: anchor not newer"):
        registry.anchor_audit_log(signed(key, 9))


def test_an_anchor_for_another_registry_is_not_sent(world: Any, signed: Any) -> None:
    with pytest.raises(UsageError, match="another registry or chain"):
        world.lab.registry.anchor_audit_log(signed(generate_private_key(), 3, domain=world.deployment.domain))


def test_every_dataset_that_ever_named_a_broker_is_found(world: Any) -> None:
    first, second = address_of(generate_private_key()), address_of(generate_private_key())
    party = world.new_party()
    dataset, _ = party.registry.register_dataset(b"\x05" * 32, first, "https://one.example")
    party.registry.set_broker(dataset, second, "https://two.example")

    named = party.registry.brokers_named()

    assert named[first] == named[second] == {dataset}


# a broker that anchors by itself


def test_a_broker_with_ether_of_its_own_anchors_by_itself(broker: Broker) -> None:
    world = broker.world
    broker.later()
    built = build_anchoring(broker.engine, world.connection, world.deployment, broker.key)

    assert built.keeper.tick() is None
    waiting = built.anchoring.newest()
    unsafe_fund(world.connection.rpc_url, broker.address, 1)
    submitted = built.keeper.tick()

    assert submitted is not None
    assert submitted.anchor == waiting
    assert world.lab.registry.audit_anchor(broker.address).sequence == waiting.sequence == 1
    assert broker.entries()[-1].event is AuditEvent.ANCHORED


def test_anybody_submits_the_head_of_a_broker_without_ether(broker: Broker) -> None:
    world = broker.world
    broker.later()
    built = build_anchoring(broker.engine, world.connection, world.deployment, broker.key)

    with built.keeper:
        sent = world.lab.registry.anchor_audit_log(built.anchoring.newest())
    unsafe_fund(world.connection.rpc_url, broker.address, 1)
    built.keeper.tick()

    assert broker.entries()[-1].details["tx"] == sent.tx_hash
