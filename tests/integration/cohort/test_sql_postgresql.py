"""PostgreSQL, a server of our own on a Unix socket: snapshot, read-only transaction, server's types, password file.

Needs the server's programs, a Python driver (psycopg) that Heartify doesn't bring, and, as root, an account `postgres`
or `nobody` to run the server under; it is skipped without one of them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartify.cohort.rows import BATCH_ROWS
from heartify.cohort.sources.csv_source import load_rows
from heartify.cohort.sources.sql_connection import SqlConnection
from heartify.cohort.sources.sql_raw import SqlRaw
from heartify.cohort.sources.sql_rows import SqlRows
from heartify.errors import InputError, ServiceError
from heartify.protocol.dictionary import Column, DataDictionary, Level

PASSWORD = "hunter2-of-a-test"
COHORT = DataDictionary(
    title="t",
    description="",
    columns=(
        Column(name="patient", title="p", datatype="category", role="id"),
        Column(name="chol", title="c", datatype="number", role="factor", decimals=2, missing_codes=("", "-9")),
        Column(name="count", title="c", datatype="integer", role="factor"),
        Column(name="smoker", title="s", datatype="boolean", role="factor"),
        Column(
            name="cp", title="c", datatype="category", role="factor", levels=tuple(Level(code=c, label=c) for c in "14")
        ),
        Column(name="visit", title="v", datatype="date", role="time"),
    ),
)
TABLE = """
create schema clinic;
create table clinic.visits(
    patient text primary key, chol numeric(9, 2), count bigint, smoker boolean, cp smallint, visit timestamp);
insert into clinic.visits values
    ('p2', 233.50, 3, true, 4, '2021-03-04'), ('p1', null, null, null, null, null),
    ('p3', -9, 0, false, 1, '1969-12-31');
create table many as select n as patient, 1 as chol, n as count, true as smoker, '1' as cp, null::date as visit
    from generate_series(1, 70000) n;
"""


@dataclass(frozen=True)
class Server:
    """A running server: its socket's folder, and what changes its data."""

    folder: Path
    execute: Callable[[str], None]

    def url(self, user: str = "owner") -> str:
        return f"postgresql+psycopg://{user}@/postgres?host={self.folder}"


def find_programs() -> Path:
    programs = shutil.which("pg_ctl")
    if programs is None:
        pytest.skip("PostgreSQL's server programs (pg_ctl, initdb) are not installed")
    return Path(programs).resolve().parent


def find_account() -> pwd.struct_passwd | None:
    """Return the account to run the server under, None when it is our own: the server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return pytest.skip("as root, a PostgreSQL server needs an account 'postgres' or 'nobody'")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: install psycopg beside heartify")
    programs, account = find_programs(), find_account()
    # Not pytest's folder: another account must reach it, and a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="heartify-pg-"))
    rights = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [programs / program, *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=60, **rights
        )

    data = folder / "data"
    run("initdb", "-D", str(data), "-U", "owner", "--auth=scram-sha-256", f"--pwfile={folder}/password", "--no-sync")
    settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start")
    engine = sa.create_engine(
        f"postgresql+psycopg://owner:{PASSWORD}@/postgres?host={folder}",
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
    )

    def execute(statements: str) -> None:
        with engine.connect() as connection:
            for statement in statements.split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement.strip().rstrip(";"))

    try:
        execute(TABLE)
        yield Server(folder, execute)
    finally:
        run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def opened(server: Server, password_file: Path) -> Iterator[Callable[..., SqlRows]]:
    found: list[SqlRows] = []

    def run(**options: object) -> SqlRows:
        found.append(SqlRows(server.url(), COHORT, password_file=password_file, **options))
        return found[-1]

    yield run
    for rows in found:
        rows.close()


def test_the_types_of_the_server_are_read(opened: Callable[..., SqlRows]) -> None:
    table = load_rows(opened(table="clinic.visits")).to_pydict()

    assert table["patient"] == ["p1", "p2", "p3"]
    assert table["chol"] == [None, 233.5, None]
    assert table["count"] == [None, 3, 0]
    assert table["smoker"] == [None, True, False]
    assert table["cp"] == [None, "4", "1"]
    assert [str(day) for day in table["visit"]] == ["None", "2021-03-04", "1969-12-31"]


def test_a_long_result_comes_in_batches_and_from_any_row(opened: Callable[..., SqlRows]) -> None:
    rows = opened(query="SELECT * FROM many ORDER BY patient")

    assert [batch.num_rows for batch in rows.batches()] == [BATCH_ROWS, 70_000 - BATCH_ROWS]
    assert next(rows.batches(69_998)).column("count").to_pylist() == [69_999, 70_000]


def test_all_passes_see_one_snapshot(opened: Callable[..., SqlRows], server: Server) -> None:
    rows = opened(table="clinic.visits")
    first = load_rows(rows)
    server.execute("insert into clinic.visits(patient) values ('p0')")

    second, anew = load_rows(rows), load_rows(opened(table="clinic.visits"))
    server.execute("delete from clinic.visits where patient = 'p0'")

    assert second.equals(first)
    assert anew.num_rows == first.num_rows + 1


def test_the_transaction_is_read_only(server: Server, password_file: Path) -> None:
    opened = SqlConnection(server.url(), password_file)
    connection = opened.connection.execution_options(stream_results=False)

    with pytest.raises(sa.exc.InternalError, match="read-only transaction"):
        connection.exec_driver_sql("delete from clinic.visits")
    opened.close()


def test_a_value_in_the_words_of_the_server_is_not_passed_on(opened: Callable[..., SqlRows]) -> None:
    # The server's own words: invalid input syntax for type integer: "p1".
    query = "SELECT *, cast(patient AS integer) AS number FROM clinic.visits ORDER BY patient"

    with pytest.raises(InputError, match=r"query: .*SQLSTATE 22P02") as caught:
        load_rows(opened(query=query, ignore=("number",)))
    assert "p1" not in caught.value.message
    assert caught.value.__context__ is None


def test_a_wrong_password_or_address_is_refused_without_showing_either(server: Server, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("another-password")
    wrong.chmod(0o600)

    for url in (server.url(), "postgresql+psycopg://owner@/postgres?host=/nonexistent-folder"):
        with pytest.raises(ServiceError, match="the database cannot be reached") as caught:
            SqlRows(url, COHORT, table="clinic.visits", password_file=wrong)
        assert caught.value.__context__ is None
        assert not [
            secret for secret in ("another-password", "owner", str(server.folder)) if secret in str(caught.value)
        ]


def test_raw_texts_are_the_natural_ones(server: Server, password_file: Path) -> None:
    raw = SqlRaw(server.url(), table="clinic.visits", query=None, password_file=password_file)

    (batch,) = raw.batches()
    raw.close()

    assert batch["chol"] == [None, "233.50", "-9.00"]
    assert batch["smoker"] == [None, "true", "false"]
    assert batch["visit"] == [None, "2021-03-04", "1969-12-31"]
