"""The use counter and what a broker holds, on SQLite and PostgreSQL alike: counted once, within limits, and logged."""

from __future__ import annotations

import concurrent.futures
import dataclasses

import pytest

from heartify.broker.audit.log import entries
from heartify.broker.audit.verification import verify_log
from heartify.broker.database import open_database
from heartify.broker.store import BrokerStore
from heartify.broker.use_counter import Use
from heartify.broker.vault import Vault, key_commitment
from heartify.errors import PolicyError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.destruction import DestructionMethod
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import ColumnFile, Manifest

NOW = 1_795_000_000
DICTIONARY = DataDictionary(
    title="Small", description="", columns=(Column(name="age", title="Age", datatype="integer", role="factor"),)
)
FILE = ColumnFile(column="age", part=0, first_row=0, padded_rows=512, size=64, digest="0x" + "0a" * 32)
MANIFEST = Manifest(
    dataset="0x" + "21" * 32,
    previous=None,
    version_nonce="0x" + "0b" * 32,
    dictionary_digest=DICTIONARY.digest(),
    report_digest="0x" + "00" * 32,
    rows_rounded=500,
    columns=(FILE,),
)
VERSION = MANIFEST.version_id()
USE = Use(
    deal="0x" + "dd" * 32,
    version=VERSION,
    requester="0x" + "0c" * 20,
    enclave="0x" + "01" * 20,
    encryption_key_digest="0x" + "0d" * 32,
    measurement="0x" + "0e" * 32,
    tee_kind="simulated-sgx",
    simulated=True,
    key_receipt_signature="0x" + "0f" * 65,
)


@pytest.fixture
def store(any_database_url):
    engine = open_database(any_database_url)
    yield BrokerStore(engine, lambda: NOW)
    engine.dispose()


def use_of(number: int) -> Use:
    return dataclasses.replace(USE, enclave=f"0x{number:040x}")


def hold(store: BrokerStore) -> bytes:
    wrapped = Vault(bytes(32)).wrap(VERSION, b"\x07" * 32)
    store.add_version(VERSION, encode_canonical(MANIFEST), encode_canonical(DICTIONARY), wrapped)
    return wrapped


def check_log(store: BrokerStore) -> int:
    """Verify the audit log; return how many entries it has."""
    with store.engine.connect() as connection:
        found = list(entries(connection))
    verify_log(found).check()
    return len(found)


def test_sixteen_enclaves_at_once_get_no_more_than_the_limit(store):
    def count(number: int) -> bool:
        try:
            store.uses.count(use_of(number), 3)
        except PolicyError:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        counted = list(threads.map(count, range(16)))

    assert sum(counted) == 3
    assert [use.attempt for use in store.uses.all()] == [1, 2, 3]
    assert check_log(store) == 3


def test_one_enclave_that_asks_from_many_threads_is_one_use(store):
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        counted = list(threads.map(lambda _: store.uses.count(USE, 1), range(8)))

    assert {use.attempt for use in counted} == {1}
    assert len(store.uses.all()) == 1
    check_log(store)


def test_two_brokers_on_one_database_share_the_limit(store, any_database_url):
    other = open_database(any_database_url)
    store.uses.count(use_of(1), 1)

    with pytest.raises(PolicyError, match="released 1 times already"):
        BrokerStore(other).uses.count(use_of(2), 1)
    other.dispose()


def test_a_version_is_held_revoked_and_destroyed(store):
    wrapped = hold(store)
    assert store.live_version(VERSION).wrapped_master_key == wrapped

    store.revoke_version(VERSION)
    method = store.erase_revoked_keys()

    expected = {
        "sqlite": DestructionMethod.DATABASE_REWRITTEN,
        "postgresql": DestructionMethod.ROW_OVERWRITTEN,
    }
    assert method is expected[store.engine.dialect.name]
    assert store.destroyed_key(VERSION) == key_commitment(VERSION, wrapped)
    with pytest.raises(PolicyError, match="is revoked"):
        store.live_version(VERSION)
    with pytest.raises(PolicyError, match="was destroyed"):
        hold(store)
    check_log(store)


def test_a_pause_is_seen_by_every_broker(store, any_database_url):
    other = open_database(any_database_url)
    store.pause.begin("looks odd")

    with pytest.raises(PolicyError, match="paused"):
        BrokerStore(other).pause.check()
    BrokerStore(other).pause.end()
    store.pause.check()
    other.dispose()
