"""What tests of several rooms share: a PostgreSQL server of our own, on a Unix socket, started when one asks for it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa


@dataclass(frozen=True)
class PostgresqlServer:
    """A running server: what makes an empty database, and what stops and starts it."""

    new_database: Callable[[], str]
    stop: Callable[[], None]
    start: Callable[[], None]


def _account() -> pwd.struct_passwd | None:
    """Return the account to run the server under, None when it is our own: the server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return pytest.skip("as root, a PostgreSQL server needs an account 'postgres' or 'nobody'")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: install psycopg beside heartify")
    pg_ctl = shutil.which("pg_ctl")
    if pg_ctl is None:
        pytest.skip("PostgreSQL's server programs (pg_ctl, initdb) are not installed")
    programs, account = Path(pg_ctl).resolve().parent, _account()
    # Not pytest's folder: another account must reach it, and a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="heartify-pg-"))
    rights = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [programs / program, *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=60, **rights
        )

    data, settings = folder / "data", f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"

    def start() -> None:
        run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start")

    def stop() -> None:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")

    def new_database() -> str:
        name = f"broker_{secrets.token_hex(4)}"
        server = f"postgresql+psycopg://owner@/postgres?host={folder}"
        engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"create database {name}")
        return f"postgresql+psycopg://owner@/{name}?host={folder}"

    run("initdb", "-D", str(data), "-U", "owner", "--auth=trust", "--no-sync")
    start()
    try:
        yield PostgresqlServer(new_database, stop, start)
    finally:
        stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database_url(request, tmp_path) -> str:
    """An empty database of each kind that a broker's state may lie in."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.sqlite'}"
    return request.getfixturevalue("postgresql_server").new_database()
