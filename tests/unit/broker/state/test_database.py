"""The broker's tables on SQLite and PostgreSQL: migrated once and whole, refused when too new, closed when away."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from heartify.broker import database as db
from heartify.broker.database import open_database, writing
from heartify.broker.migrations.prepare_schema import CURRENT_REVISION, FIRST_REVISION
from heartify.errors import ServiceError

# The tables of the first release, as its SQLAlchemy wrote them; {bytes} is BLOB or BYTEA.
FIRST_DDL = """
CREATE TABLE versions (version VARCHAR(66) NOT NULL, dataset VARCHAR(66) NOT NULL, manifest {bytes} NOT NULL,
    dictionary {bytes} NOT NULL, wrapped_master_key {bytes}, revoked BOOLEAN NOT NULL, PRIMARY KEY (version));
CREATE TABLE app_releases (release_id VARCHAR(66) NOT NULL, document {bytes} NOT NULL, approved BOOLEAN NOT NULL,
    PRIMARY KEY (release_id));
CREATE TABLE releases (deal VARCHAR(66) NOT NULL, version VARCHAR(66) NOT NULL, attempt INTEGER NOT NULL,
    enclave VARCHAR(42) NOT NULL, measurement VARCHAR(98) NOT NULL, simulated BOOLEAN NOT NULL,
    released_at INTEGER NOT NULL, PRIMARY KEY (deal, version, attempt));
CREATE TABLE collateral_marks (scope VARCHAR(255) NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (scope));
CREATE TABLE grants (order_digest VARCHAR(66) NOT NULL, version VARCHAR(66) NOT NULL,
    policy_digest VARCHAR(66) NOT NULL, policy {bytes} NOT NULL, signed_order {bytes} NOT NULL,
    revoked BOOLEAN NOT NULL, PRIMARY KEY (order_digest), FOREIGN KEY(version) REFERENCES versions (version));
CREATE TABLE destroyed_keys (version VARCHAR(66) NOT NULL, key_commitment VARCHAR(66) NOT NULL, PRIMARY KEY (version),
    FOREIGN KEY(version) REFERENCES versions (version))
"""
V = "0x" + "aa" * 32
DEAL = "0x" + "dd" * 32
ROWS = (
    ("versions", {"version": V, "dataset": "0x01", "manifest": b"m\0", "dictionary": b"d", "revoked": False}),
    ("app_releases", {"release_id": "0x02", "document": b"doc", "approved": True}),
    ("grants", {"order_digest": "0x03", "version": V, "policy_digest": "0x04", "policy": b"p", "signed_order": b"s"}),
    ("destroyed_keys", {"version": V, "key_commitment": "0x05"}),
    ("collateral_marks", {"scope": "root-crl/aa", "number": 7}),
)


def release_row(attempt: int, enclave: str) -> dict:
    fields = {"deal": DEAL, "version": V, "attempt": attempt, "enclave": enclave, "measurement": "0x06"}
    return {**fields, "simulated": True, "released_at": 1_795_000_000 + attempt}


def make_first_database(url: str) -> None:
    """Make a database as the first release left it, with a row in every table."""
    engine = sa.create_engine(url)
    kind = "BLOB" if engine.dialect.name == "sqlite" else "BYTEA"
    with engine.begin() as connection:
        for statement in FIRST_DDL.format(bytes=kind).split(";\n"):
            connection.exec_driver_sql(statement)
        reflected = sa.MetaData()
        reflected.reflect(connection)
        releases = [("releases", release_row(attempt, enclave)) for attempt, enclave in ((1, "0x0a"), (2, "0x0b"))]
        for name, row in (*ROWS, *releases):
            table = reflected.tables[name]
            values = {"revoked": False, **row} if "revoked" in table.c else row
            connection.execute(sa.insert(table).values(values))
    engine.dispose()


def rows_of(engine: sa.Engine, table: sa.Table) -> list[dict]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(table))]


def differences(engine: sa.Engine) -> list:
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), db.metadata)
    return [one for one in found if "alembic_version" not in str(one)]


def test_a_new_database_is_what_the_program_expects(any_database_url):
    engine = open_database(any_database_url)

    assert differences(engine) == []
    engine.dispose()


def test_a_database_of_the_first_release_becomes_the_same(any_database_url):
    make_first_database(any_database_url)

    engine = open_database(any_database_url)

    assert differences(engine) == []
    indexes = sa.inspect(engine).get_unique_constraints("releases")
    assert [one["column_names"] for one in indexes] == [["deal", "version", "enclave"]]
    engine.dispose()


def test_migrating_keeps_every_row(any_database_url):
    make_first_database(any_database_url)

    engine = open_database(any_database_url)

    for name, row in ROWS:
        (found,) = rows_of(engine, db.metadata.tables[name])
        assert {**found, **row} == found
    releases = rows_of(engine, db.releases)
    expected = [release_row(1, "0x0a"), release_row(2, "0x0b")]
    assert [{**found, **row} for found, row in zip(releases, expected, strict=True)] == releases
    assert {row["key_receipt_signature"] for row in releases} == {"0x"}
    engine.dispose()


def test_two_attempts_of_one_enclave_stay_two_uses(any_database_url):
    make_first_database(any_database_url)
    old = sa.create_engine(any_database_url)
    with old.begin() as connection:
        connection.exec_driver_sql("UPDATE releases SET enclave = '0x0a'")
    old.dispose()

    engine = open_database(any_database_url)

    found = sorted((row["attempt"], row["enclave"]) for row in rows_of(engine, db.releases))
    assert found == [(1, "earlier-attempt-1"), (2, "0x0a")]
    engine.dispose()


def test_after_migrating_references_are_enforced(any_database_url):
    make_first_database(any_database_url)
    engine = open_database(any_database_url)

    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:
        connection.execute(sa.insert(db.destroyed_keys).values(version="0xnone", key_commitment="0x"))
    defaults = {"requester": "", "encryption_key_digest": "", "key_receipt_signature": "0x"}
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:
        connection.execute(sa.insert(db.releases).values({**release_row(3, "0x0b"), **defaults}))
    engine.dispose()


def test_opening_again_changes_nothing(any_database_url):
    make_first_database(any_database_url)
    open_database(any_database_url).dispose()

    engine = open_database(any_database_url)

    assert len(rows_of(engine, db.releases)) == 2
    engine.dispose()


def test_a_database_of_a_later_release_is_refused(any_database_url):
    engine = open_database(any_database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()

    with pytest.raises(ServiceError, match="revision 9999, this program knows"):
        open_database(any_database_url)


@pytest.mark.parametrize("statement", ["DROP TABLE releases", "CREATE TABLE audit_entries (sequence INTEGER)"])
def test_tables_of_no_known_release_are_refused(any_database_url, statement):
    make_first_database(any_database_url)
    engine = sa.create_engine(any_database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()

    with pytest.raises(ServiceError, match="no known release"):
        open_database(any_database_url)


def test_eight_openings_at_once_migrate_once(any_database_url):
    make_first_database(any_database_url)

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        engines = list(threads.map(lambda _: open_database(any_database_url), range(8)))

    assert [len(rows_of(engine, db.releases)) for engine in engines] == [2] * 8
    for engine in engines:
        engine.dispose()


def test_processes_that_open_a_new_database_at_once_agree(any_database_url):
    code = "import sys; from heartify.broker.database import open_database; open_database(sys.argv[1]).dispose()"
    started = [subprocess.Popen([sys.executable, "-c", code, any_database_url]) for _ in range(3)]

    assert [process.wait(60) for process in started] == [0, 0, 0]
    engine = open_database(any_database_url)
    assert differences(engine) == []
    engine.dispose()


def test_a_failed_migration_leaves_the_tables_as_they_were(any_database_url):
    make_first_database(any_database_url)
    blocker = sa.create_engine(any_database_url)
    with blocker.begin() as connection:  # the migration's own table is in its way
        connection.exec_driver_sql("CREATE TABLE collateral_cache (x INTEGER)")

    with pytest.raises(sa.exc.DatabaseError):
        open_database(any_database_url)
    with blocker.begin() as connection:
        connection.exec_driver_sql("DROP TABLE collateral_cache")
    blocker.dispose()

    engine = open_database(any_database_url)
    assert differences(engine) == []
    assert len(rows_of(engine, db.releases)) == 2
    engine.dispose()


def test_the_program_knows_every_revision_and_their_order():
    config = Config()
    config.set_main_option("script_location", "heartify.broker:migrations")
    scripts = ScriptDirectory.from_config(config)

    assert scripts.get_heads() == [CURRENT_REVISION]
    assert scripts.get_base() == FIRST_REVISION


def test_a_current_database_opens_without_alembic(tmp_path):
    url = f"sqlite:///{tmp_path / 'state.sqlite'}"
    open_database(url).dispose()
    code = (
        "import sys; from heartify.broker.database import open_database; open_database(sys.argv[1]).dispose(); "
        "sys.exit('alembic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code, url], check=False, timeout=60).returncode == 0


def test_writers_take_turns(any_database_url):
    """Each adds one to what it read; without turns, additions would be lost."""
    engine = open_database(any_database_url)
    with writing(engine) as connection:
        connection.execute(sa.insert(db.facts).values(name="count", value="0"))

    def add(_number: int) -> None:
        with writing(engine) as connection:
            read = int(connection.execute(sa.select(db.facts.c.value)).scalar_one())
            connection.execute(sa.update(db.facts).values(value=str(read + 1)))

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(40)))

    assert rows_of(engine, db.facts) == [{"name": "count", "value": "40"}]
    engine.dispose()


def test_times_beyond_2038_are_kept(any_database_url):
    engine = open_database(any_database_url)

    with writing(engine) as connection:
        connection.execute(sa.insert(db.collateral_marks).values(scope="far", number=2**40))

    assert rows_of(engine, db.collateral_marks) == [{"scope": "far", "number": 2**40}]
    engine.dispose()


@pytest.mark.parametrize("url", ["nonsense", "cobol://x/y", "sqlite:////nonexistent/folder/state.sqlite"])
def test_a_database_that_cannot_be_opened_is_a_service_error(url):
    with pytest.raises(ServiceError, match="database can't be"):
        open_database(url)


def test_nobody_at_the_address_is_a_service_error(tmp_path):
    pytest.importorskip("psycopg")

    with pytest.raises(ServiceError, match="can't be reached") as refused:
        open_database(f"postgresql+psycopg://owner@/state?host={tmp_path}")
    assert "owner" not in refused.value.message


def test_a_server_that_goes_away_fails_closed_and_a_restarted_one_is_used_again(postgresql_server):
    engine = open_database(postgresql_server.new_database())
    with writing(engine) as connection:
        connection.execute(sa.insert(db.facts).values(name="kept", value="1"))

    def write_while_the_server_goes() -> None:
        with writing(engine) as connection:
            connection.execute(sa.insert(db.facts).values(name="lost", value="1"))
            postgresql_server.stop()
            connection.execute(sa.insert(db.facts).values(name="lost too", value="1"))

    with pytest.raises(ServiceError, match="can't be reached"):
        write_while_the_server_goes()
    with pytest.raises(ServiceError, match="can't be reached"):
        rows_of(engine, db.facts)
    postgresql_server.start()

    assert rows_of(engine, db.facts) == [{"name": "kept", "value": "1"}]
    engine.dispose()
