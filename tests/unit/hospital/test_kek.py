"""The hospital's KEK: the database says which one is right, and a rotation that was killed is finished or undone."""

from __future__ import annotations

import pytest

from heartify.broker.database import open_database, writing
from heartify.broker.facts import KEK_ID, set_fact
from heartify.broker.kek.seed_kek import SeedKek
from heartify.broker.kek.settings import EnvironmentKek, KekDocument, KeystoreKek, load_kek_document, store_kek_document
from heartify.errors import KeystoreError, UsageError
from heartify.hospital.home import HospitalHome, check_database_url
from heartify.hospital.kek import open_kek, rotate_kek
from heartify.hospital.state_lock import exchanging_state, using_state

SEEDS = {"vault.json": b"\x01" * 32, "kek-2.json": b"\x02" * 32}
OLD, NEW = SeedKek(SEEDS["vault.json"]), SeedKek(SEEDS["kek-2.json"])
NEXT = KekDocument(current=KeystoreKek(), next=KeystoreKek("kek-2.json"))


@pytest.fixture
def engine(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'broker.sqlite'}")
    yield opened
    opened.dispose()


def open_keystore(path) -> bytes:
    if path.name not in SEEDS:
        raise KeystoreError(f"there is no keystore at {path}")
    return SEEDS[path.name]


def wrapped_by(engine, kek_id: str) -> None:
    with writing(engine) as connection:
        set_fact(connection, KEK_ID, kek_id)


def test_a_rotation_killed_before_the_database_changed_is_undone(tmp_path, engine):
    store_kek_document(tmp_path, NEXT)

    assert open_kek(tmp_path, engine, open_keystore, {}).kek_id == OLD.kek_id
    wrapped_by(engine, OLD.kek_id)
    assert open_kek(tmp_path, engine, open_keystore, {}).kek_id == OLD.kek_id


def test_a_rotation_killed_after_the_database_changed_is_finished(tmp_path, engine):
    store_kek_document(tmp_path, NEXT)
    wrapped_by(engine, NEW.kek_id)

    assert open_kek(tmp_path, engine, open_keystore, {}).kek_id == NEW.kek_id
    assert load_kek_document(tmp_path) == KekDocument(current=KeystoreKek("kek-2.json"))


def test_finishing_needs_the_old_key_no_more(tmp_path, engine):
    store_kek_document(tmp_path, KekDocument(current=EnvironmentKek("GONE"), next=KeystoreKek("kek-2.json")))
    wrapped_by(engine, NEW.kek_id)

    assert open_kek(tmp_path, engine, open_keystore, {}).kek_id == NEW.kek_id


def test_another_key_than_the_databases_is_refused(tmp_path, engine):
    wrapped_by(engine, "seed:" + "00" * 16)

    with pytest.raises(KeystoreError, match="is wrapped by the key seed:0000"):
        open_kek(tmp_path, engine, open_keystore, {})


def test_rotating_to_the_same_key_is_refused(tmp_path, engine):
    with pytest.raises(UsageError, match="already"):
        rotate_kek(HospitalHome(tmp_path), engine, KeystoreKek(), open_keystore, {}, lambda: 1_795_000_000)


def test_rotating_to_a_key_that_is_not_there_changes_nothing(tmp_path, engine):
    with pytest.raises(KeystoreError):
        rotate_kek(HospitalHome(tmp_path), engine, KeystoreKek("kek-9.json"), open_keystore, {}, lambda: 1_795_000_000)

    assert load_kek_document(tmp_path) == KekDocument(current=KeystoreKek())


def test_users_of_the_state_share_it_and_an_exchange_has_it_alone(tmp_path):
    both = (using_state(tmp_path), using_state(tmp_path))
    with both[0], both[1], pytest.raises(UsageError, match="the broker runs"), exchanging_state(tmp_path):
        pass
    with exchanging_state(tmp_path):
        with pytest.raises(UsageError, match="being exchanged"), using_state(tmp_path):
            pass
        with pytest.raises(UsageError, match="the broker runs"), exchanging_state(tmp_path):
            pass
    with using_state(tmp_path):
        pass


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("postgresql+psycopg://u:hunter2@h/d", "holds a password"),
        ("postgresql+psycopg://u@h/d?password=hunter2", "holds a password"),
        ("postgresql+psycopg://u@h/d?sslpassword=hunter2", "holds a password"),
        ("mysql://u@h/d", "no kind of database"),
        ("sqlite:///state.sqlite", "no kind of database"),
        ("nonsense", "malformed"),
    ],
)
def test_a_database_with_a_password_or_of_another_kind_is_refused(url, complaint):
    with pytest.raises(UsageError, match=complaint) as refused:
        check_database_url(url)
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u@h/d", "postgresql+psycopg://u@/d?host=/run/pg&passfile=/etc/p"]
)
def test_a_postgresql_database_is_taken(url):
    check_database_url(url)
