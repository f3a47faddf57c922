"""`heartify hospital broker` create-kek, rotate-kek, backup, restore, on a hospital with a published version."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from heartify.broker.database import open_database
from heartify.broker.restore_guard import restored_block
from heartify.broker.rollback import check_against_anchor
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault
from heartify.cli.main import main
from heartify.errors import IntegrityError, KeystoreError, PolicyError, UsageError
from heartify.hospital.broker import build_key_broker
from heartify.hospital.broker_state import NodeRestoreChain
from heartify.hospital.home import HospitalHome
from heartify.hospital.kek import open_kek
from heartify.hospital.state_lock import using_state
from heartify.party.keystore import load_secret
from heartify.party.market_access import open_market

PASSWORD = b"a long password of a test"
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")


class Office:
    """A hospital's home of its own, driven by commands."""

    def __init__(self, home: Path, run, publish) -> None:
        self.home, self._run, self._publish = home, run, publish

    def run(self, *arguments, code: int = 0):
        ran = self._run("hospital", *arguments, "--json", home=self.home)
        assert ran.code == code, ran.err
        return ran

    def broker(self, *arguments, code: int = 0):
        return self.run("broker", *arguments, code=code)

    def publish(self, name: str) -> str:
        return self._publish(self, name)

    def store(self) -> BrokerStore:
        return BrokerStore(open_database(HospitalHome(self.home).database_url))

    def opens(self, version: str) -> bool:
        """Whether a broker that starts now can open the version's key."""
        home = HospitalHome(self.home)
        store = self.store()
        kek = open_kek(self.home, store.engine, lambda path: load_secret(path, PASSWORD), {})
        assert build_key_broker(home.path, PASSWORD).address == home.settings().broker
        return len(Vault(kek).unwrap(version, store.live_version(version).wrapped_master_key)) == 32


@pytest.fixture
def office(run, market, patients, write_csv, dictionary, tmp_path) -> Office:
    home = tmp_path / "office"
    market.add_hospital(f"office-{secrets.token_hex(3)}", home, str(tmp_path / "store"))

    def publish(office: Office, name: str) -> str:
        arguments = ("publish", write_csv(patients), "--dictionary", dictionary, "--dataset", name)
        return office.run(*arguments).document["version"]

    return Office(home, run, publish)


def test_a_backup_restores_what_was_lost_and_closes_what_came_before(office, tmp_path):
    version = office.publish("a")
    made = office.broker("backup", tmp_path / "one.backup").document
    for path in office.home.glob("broker.sqlite*"):
        path.unlink()

    restored = office.broker("restore", tmp_path / "one.backup").document

    assert made["kek"].startswith("seed:")
    assert office.opens(version)
    with office.store().engine.connect() as connection:
        assert restored_block(connection) == restored["block"] > 0
    assert restored["paused"] is True
    with pytest.raises(PolicyError, match="paused"):
        office.store().pause.check()


def test_a_version_withdrawn_after_the_backup_stays_destroyed(office, tmp_path):
    kept, withdrawn = office.publish("kept"), office.publish("withdrawn")
    office.broker("backup", tmp_path / "one.backup")
    office.run("withdraw", withdrawn)
    for path in office.home.glob("broker.sqlite*"):
        path.unlink()
    shutil.rmtree(office.home / "destructions")  # only the chain still knows

    restored = office.broker("restore", tmp_path / "one.backup").document

    assert restored["erased"] == [withdrawn]
    assert office.opens(kept)
    with pytest.raises(PolicyError, match="is revoked"):
        office.store().live_version(withdrawn)


def test_going_on_after_a_backup_is_not_lost_by_mistake(office, tmp_path):
    office.publish("a")
    office.broker("backup", tmp_path / "one.backup")
    later = office.publish("b")

    refused = office.broker("restore", tmp_path / "one.backup", code=PolicyError.exit_code)

    assert "gone on since the backup" in refused.err
    assert office.opens(later)
    office.broker("restore", tmp_path / "one.backup", "--replace")
    with pytest.raises(PolicyError, match="does not hold"):
        office.store().live_version(later)


def test_a_home_takes_no_other_homes_backup(office, run, market, tmp_path):
    market.add_hospital(f"other-{secrets.token_hex(3)}", tmp_path / "other", str(tmp_path / "store"))
    ran = run("hospital", "broker", "backup", tmp_path / "other.backup", home=tmp_path / "other")
    assert ran.code == 0

    refused = office.broker("restore", tmp_path / "other.backup", code=PolicyError.exit_code)

    assert "not of this home's" in refused.err


def test_a_database_that_was_put_back_is_acknowledged(office, tmp_path):
    version = office.publish("a")

    done = office.broker("restore", "--acknowledge-rollback").document

    home = HospitalHome(office.home)
    chain = NodeRestoreChain(open_market(office.home), 0)
    with office.store().engine.connect() as connection:
        check_against_anchor(connection, chain.audit_anchor(home.settings().broker))
        assert restored_block(connection) == done["block"]
    assert office.opens(version)


@pytest.mark.parametrize(
    "arguments", [(), ("x.backup", "--acknowledge-rollback"), ("--acknowledge-rollback", "--replace")]
)
def test_restore_wants_a_backup_or_an_acknowledgement(office, arguments):
    refused = office.broker("restore", *arguments, code=UsageError.exit_code)

    assert "--acknowledge-rollback alone" in refused.err


def test_while_the_broker_runs_nothing_is_exchanged_but_backups_are_made(office, tmp_path):
    with using_state(office.home):
        for command in (("rotate-kek",), ("restore", "--acknowledge-rollback")):
            refused = office.broker(*command, code=UsageError.exit_code)
            assert "the broker runs" in refused.err
        office.broker("backup", tmp_path / "one.backup")


def test_a_rotated_keystore_opens_all_and_publishing_goes_on(office, tmp_path):
    first = office.publish("a")

    rotated = office.broker("rotate-kek").document

    assert rotated["count"] == 1
    assert (office.home / "kek-2.json").exists()
    second = office.publish("b")
    assert office.opens(first)
    assert office.opens(second)
    again = office.broker("rotate-kek").document
    assert (again["from"], again["count"]) == (rotated["to"], 2)
    assert (office.home / "kek-3.json").exists()
    assert office.opens(first)


def test_a_secret_of_the_environment_wraps_from_then_on(office, tmp_path, monkeypatch):
    version = office.publish("a")
    (tmp_path / "kek").write_text(secrets.token_hex(32))
    (tmp_path / "kek").chmod(0o600)
    monkeypatch.setenv("HEARTIFY_BROKER_KEK_FILE", str(tmp_path / "kek"))

    office.broker("rotate-kek", "--to", "environment")

    assert build_key_broker(office.home, PASSWORD).address == HospitalHome(office.home).settings().broker
    assert office.publish("b") != version
    (tmp_path / "kek").write_text(secrets.token_hex(32))
    with pytest.raises(KeystoreError, match="is wrapped by the key"):
        build_key_broker(office.home, PASSWORD)


def test_a_token_wraps_from_then_on(office, tmp_path, token_folder):
    version = office.publish("a")
    named = ("--module", MODULE, "--token-label", "cli", "--pin-file", token_folder / "pin")

    # create-kek has no --home: it works on the token alone
    assert main(["hospital", "broker", "create-kek", *map(str, named), "--json"]) == 0
    rotated = office.broker("rotate-kek", "--to", "pkcs11", *named).document

    assert rotated["to"].startswith("pkcs11:")
    assert office.opens(version)
    assert office.opens(office.publish("b"))


def test_a_publication_under_way_holds_up_a_rotation(office):
    office.publish("a")
    journal = office.home / "publishing" / ("ab" * 32) / "journal.json"
    journal.parent.mkdir(parents=True)
    journal.write_text("{}")

    refused = office.broker("rotate-kek", code=UsageError.exit_code)

    assert f"0x{'ab' * 32}" in refused.err


def test_a_damaged_backup_is_refused(office, tmp_path):
    version = office.publish("a")
    office.broker("backup", tmp_path / "one.backup")
    data = bytearray((tmp_path / "one.backup").read_bytes())
    data[-1] ^= 1
    (tmp_path / "bad.backup").write_bytes(data)

    refused = office.broker("restore", tmp_path / "bad.backup", "--replace", code=IntegrityError.exit_code)

    assert "damaged or was cut" in refused.err
    assert office.opens(version)


def test_a_hospital_on_postgresql_publishes_backs_up_and_restores(run, market, tmp_path, postgresql_server, office):
    version = office.publish("a")
    office.broker("backup", tmp_path / "sqlite.backup")
    settings = office.home / "hospital.json"
    url = postgresql_server.new_database()
    text = settings.read_text()
    settings.write_text(text.replace('"format"', f'"database_url":"{url}","format"'))

    office.broker("restore", tmp_path / "sqlite.backup")

    assert office.opens(version)
    second = office.publish("b")
    assert office.opens(second)
    receipt = office.run("withdraw", second).document
    assert receipt["method"] == "row-overwritten"
    with pytest.raises(PolicyError, match="is revoked"):
        office.store().live_version(second)


@pytest.fixture
def token_folder(tmp_path, monkeypatch) -> Path:
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: it comes with the extra pkcs11")
    program = shutil.which("softhsm2-util")
    if program is None or not MODULE.exists():
        pytest.skip("SoftHSM is not installed (Debian: softhsm2)")
    import pkcs11

    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    arguments = [program, "--init-token", "--free", "--label", "cli", "--pin", "hunter2", "--so-pin", "hunter22"]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, timeout=60)
    (tmp_path / "pin").write_text("hunter2\n")
    (tmp_path / "pin").chmod(0o600)
    pkcs11.lib(str(MODULE)).reinitialize()  # it may have read another configuration before
    return tmp_path
