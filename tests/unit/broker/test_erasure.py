"""A revoked version's wrapped key is in no file of the broker's database any more, whatever lies around it."""

from __future__ import annotations

import secrets
import sqlite3

import pytest
import sqlalchemy as sa

from heartify.broker.database import open_database
from heartify.broker.erasure import erase_deleted
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault, key_commitment
from heartify.errors import PolicyError, ServiceError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.destruction import DestructionMethod
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import ColumnFile, Manifest

DICTIONARY = DataDictionary(
    title="Small", description="", columns=(Column(name="age", title="Age", datatype="integer", role="factor"),)
)


def manifest_of(columns: int) -> Manifest:
    files = tuple(
        ColumnFile(column=f"x{i}", part=0, first_row=0, padded_rows=512, size=64, digest="0x" + secrets.token_hex(32))
        for i in range(columns)
    )
    return Manifest(
        dataset="0x" + "21" * 32,
        previous=None,
        version_nonce="0x" + secrets.token_hex(32),
        dictionary_digest=DICTIONARY.digest(),
        report_digest="0x" + "00" * 32,
        rows_rounded=500,
        columns=files,
    )


class Database:
    """A broker's database file with its store, and a look at its raw bytes."""

    def __init__(self, folder):
        self.folder = folder
        self.engine = open_database(f"sqlite:///{folder / 'broker.sqlite'}")
        self.store = BrokerStore(self.engine)

    def add(self, columns: int) -> tuple[str, bytes]:
        manifest = manifest_of(columns)
        version = manifest.version_id()
        wrapped = Vault(bytes(32)).wrap(version, secrets.token_bytes(32))
        self.store.add_version(version, encode_canonical(manifest), encode_canonical(DICTIONARY), wrapped)
        return version, wrapped

    def holds(self, secret: bytes) -> bool:
        """Whether any file holds the secret, or the half of it that a page's end could have cut off."""
        data = [path.read_bytes() for path in self.folder.iterdir()]
        return any(part in one for one in data for part in (secret[-60:][:16], secret[-16:]))  # not the key's name


@pytest.fixture
def database(tmp_path):
    found = Database(tmp_path)
    yield found
    found.engine.dispose()


@pytest.mark.parametrize("columns", [1, 12, 300])
def test_the_wrapped_key_is_in_the_files_before_and_nowhere_after(database, columns):
    held = [database.add(columns) for _ in range(12)]
    version, wrapped = held[5]
    assert database.holds(wrapped)

    database.store.revoke_version(version)
    method = database.store.erase_revoked_keys()

    assert method is DestructionMethod.DATABASE_REWRITTEN
    assert not database.holds(wrapped)
    assert database.store.destroyed_key(version) == key_commitment(version, wrapped)


def test_the_other_versions_keep_their_keys(database):
    held = [database.add(3) for _ in range(4)]
    revoked, _ = held[0]

    database.store.revoke_version(revoked)
    database.store.erase_revoked_keys()

    for version, wrapped in held[1:]:
        assert database.store.live_version(version).wrapped_master_key == wrapped
        assert database.store.destroyed_key(version) is None
    with pytest.raises(PolicyError, match="is revoked"):
        database.store.live_version(revoked)


def test_both_steps_may_be_repeated(database):
    version, wrapped = database.add(3)

    for _ in range(3):
        database.store.revoke_version(version)
        database.store.erase_revoked_keys()

    assert database.store.destroyed_key(version) == key_commitment(version, wrapped)
    assert database.store.versions() == ((version, "0x" + "21" * 32, True),)


def test_a_destroyed_key_never_comes_back(database):
    version, wrapped = database.add(3)
    database.store.revoke_version(version)

    with pytest.raises(PolicyError, match="was destroyed"):
        database.store.add_version(version, b"", b"", wrapped)


def test_while_somebody_reads_nothing_is_claimed_and_a_later_call_succeeds(database):
    version, wrapped = database.add(3)
    impatient = sa.create_engine(database.engine.url)
    with database.engine.connect() as reader:
        assert reader.execute(sa.text("SELECT count(*) FROM versions")).scalar() == 1
        database.store.revoke_version(version)
        with impatient.connect() as connection:
            connection.execute(sa.text("PRAGMA busy_timeout=1"))
        with pytest.raises(ServiceError, match="just now"):
            erase_deleted(impatient)
        reader.rollback()
    impatient.dispose()

    database.store.erase_revoked_keys()

    assert not database.holds(wrapped)


def test_what_a_tool_without_secure_delete_left_behind_is_erased_too(database):
    left = secrets.token_bytes(60)
    careless = sqlite3.connect(database.folder / "broker.sqlite")
    careless.execute("PRAGMA secure_delete=OFF")
    careless.execute("CREATE TABLE scratch (content BLOB)")
    careless.execute("INSERT INTO scratch VALUES (?)", (left,))
    careless.commit()
    careless.execute("UPDATE scratch SET content = NULL")
    careless.commit()
    careless.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    careless.close()
    assert database.holds(left)

    database.store.erase_revoked_keys()

    assert not database.holds(left)


def test_the_commitment_is_of_this_version_and_this_key():
    commitments = {
        key_commitment("0x" + version * 32, wrapped) for version in ("01", "02") for wrapped in (b"a" * 60, b"b" * 60)
    }

    assert len(commitments) == 4


class OtherDialect:
    """As much of an engine as tells that it isn't SQLite."""

    class dialect:  # noqa: N801
        name = "postgresql"


def test_of_another_server_no_more_is_claimed_than_an_overwritten_row():
    assert erase_deleted(OtherDialect()) is DestructionMethod.ROW_OVERWRITTEN
