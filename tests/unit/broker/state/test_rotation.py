"""Rotation: every master key under the new KEK or none; nothing of the old wrapping is left in the files."""

from __future__ import annotations

import secrets

import pytest
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.log import entries
from heartify.broker.database import open_database, writing
from heartify.broker.erasure import erase_deleted
from heartify.broker.facts import KEK_ID, read_fact
from heartify.broker.kek.rotation import rewrap_master_keys
from heartify.broker.kek.seed_kek import SeedKek
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault, key_commitment, split_wrapped
from heartify.errors import IntegrityError, KeystoreError

NOW = 1_795_000_000
OLD, NEW = SeedKek(b"\x01" * 32), SeedKek(b"\x02" * 32)
KEYS = {f"0x{number:064x}": secrets.token_bytes(32) for number in range(1, 6)}


@pytest.fixture
def engine(any_database_url):
    opened = open_database(any_database_url)
    with writing(opened) as connection:
        for version, key in KEYS.items():
            row = {"version": version, "dataset": "0x01", "manifest": b"m", "dictionary": b"d", "revoked": False}
            connection.execute(
                sa.insert(db.versions).values(row | {"wrapped_master_key": Vault(OLD).wrap(version, key)})
            )
    yield opened
    opened.dispose()


def wrapped(engine) -> dict[str, bytes]:
    with engine.connect() as connection:
        rows = connection.execute(sa.select(db.versions.c.version, db.versions.c.wrapped_master_key)).all()
    return {version: key for version, key in rows if key is not None}


def test_every_key_opens_under_the_new_kek_and_none_under_the_old(engine):
    assert rewrap_master_keys(engine, Vault(OLD), Vault(NEW), NOW) == 5

    held = wrapped(engine)
    assert {version: Vault(NEW).unwrap(version, blob) for version, blob in held.items()} == KEYS
    for version, blob in held.items():
        assert split_wrapped(blob)[0] == NEW.kek_id
        with pytest.raises(IntegrityError, match="wrapped by"):
            Vault(OLD).unwrap(version, blob)


def test_rotation_is_in_the_log_and_the_database_names_its_kek(engine):
    rewrap_master_keys(engine, Vault(OLD), Vault(NEW), NOW)

    with engine.connect() as connection:
        (entry,) = entries(connection)
        assert read_fact(connection, KEK_ID) == NEW.kek_id
    assert (entry.event.value, entry.time) == ("kek-rotated", NOW)
    assert entry.details == {"from": OLD.kek_id, "to": NEW.kek_id, "count": "5"}


def test_blobs_of_the_first_release_are_wrapped_anew_too(engine):
    version = next(iter(KEYS))
    first = OLD.wrap(KEYS[version], version.encode())
    assert len(first) == 60
    with writing(engine) as connection:
        this = db.versions.c.version == version
        connection.execute(sa.update(db.versions).where(this).values(wrapped_master_key=first))

    rewrap_master_keys(engine, Vault(OLD), Vault(NEW), NOW)

    assert Vault(NEW).unwrap(version, wrapped(engine)[version]) == KEYS[version]


def test_one_key_that_does_not_open_leaves_all_as_they_were(engine):
    version = list(KEYS)[3]
    with writing(engine) as connection:
        this = db.versions.c.version == version
        connection.execute(sa.update(db.versions).where(this).values(wrapped_master_key=b"x" * 60))
    before = wrapped(engine)

    with pytest.raises(IntegrityError, match="does not open"):
        rewrap_master_keys(engine, Vault(OLD), Vault(NEW), NOW)

    assert wrapped(engine) == before
    with engine.connect() as connection:
        assert list(entries(connection)) == []
        assert read_fact(connection, KEK_ID) is None


class Forgetful(SeedKek):
    """A KEK that is pulled out after some wrappings, or opens something else than it wrapped."""

    def __init__(self, wrappings: int, *, lies: bool = False) -> None:
        super().__init__(b"\x03" * 32)
        self.left, self.lies = wrappings, lies

    def wrap(self, secret, context):
        self.left -= 1
        if self.left < 0:
            raise KeystoreError("the token can't be used now")
        return super().wrap(secret, context)

    def unwrap(self, wrapped, context):
        opened = super().unwrap(wrapped, context)
        return bytes(32) if self.lies else opened


@pytest.mark.parametrize(
    ("kek", "error"), [(Forgetful(2), KeystoreError), (Forgetful(9, lies=True), IntegrityError)], ids=["pulled", "lies"]
)
def test_a_new_kek_that_fails_halfway_changes_nothing(engine, kek, error):
    before = wrapped(engine)

    with pytest.raises(error):
        rewrap_master_keys(engine, Vault(OLD), Vault(kek), NOW)

    assert wrapped(engine) == before


def test_destroyed_keys_stay_destroyed_with_the_commitment_they_had(engine):
    store, version = BrokerStore(engine), next(iter(KEYS))
    commitment = key_commitment(version, wrapped(engine)[version])
    store.revoke_version(version)

    assert rewrap_master_keys(engine, Vault(OLD), Vault(NEW), NOW) == 4

    assert store.destroyed_key(version) == commitment
    assert version not in wrapped(engine)


def test_a_key_destroyed_after_a_rotation_is_committed_to_as_it_was_then(engine):
    rewrap_master_keys(engine, Vault(OLD), Vault(NEW), NOW)
    store, version = BrokerStore(engine), next(iter(KEYS))
    commitment = key_commitment(version, wrapped(engine)[version])

    store.revoke_version(version)

    assert store.destroyed_key(version) == commitment


def test_after_rotation_and_after_withdrawal_no_file_holds_what_is_gone(tmp_path):
    url = f"sqlite:///{tmp_path / 'state.sqlite'}"
    engine = open_database(url)
    version, key = next(iter(KEYS.items()))
    row = {"version": version, "dataset": "0x01", "manifest": b"m" * 9000, "dictionary": b"d", "revoked": False}
    with writing(engine) as connection:
        connection.execute(sa.insert(db.versions).values(row | {"wrapped_master_key": Vault(OLD).wrap(version, key)}))
    old = wrapped(engine)[version]
    rewrap_master_keys(engine, Vault(OLD), Vault(NEW), NOW)
    erase_deleted(engine)
    new = wrapped(engine)[version]

    def holds(blob: bytes) -> bool:
        files = [path.read_bytes() for path in tmp_path.iterdir()]
        return any(part in data for data in files for part in (blob[-60:][:16], blob[-16:]))

    assert not holds(old)
    assert holds(new)

    store = BrokerStore(engine)
    store.revoke_version(version)
    store.erase_revoked_keys()

    assert not holds(new)
    engine.dispose()
