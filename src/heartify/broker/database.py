"""The broker's tables. SQLite by default, PostgreSQL where a hospital has it; any SQLAlchemy URL works.

`releases` is the use counter: a row is committed before a key leaves, together with the key receipt that it pays for
and the audit entry that tells of it. Its key (deal, version, attempt) is unique, and so is (deal, version, enclave): an
enclave that asks again, because an answer was lost, is the same use. `destroyed_keys` remembers a destroyed key by its
commitment. `collateral_marks` are high-water marks against the rollback of collateral. `facts` are single values, such
as whether the broker is paused and the time of the last restore.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
import weakref
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from heartify.broker.migrations.prepare_schema import is_current, prepare_schema
from heartify.errors import ServiceError

metadata = sa.MetaData()

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("version", sa.String(66), primary_key=True),
    sa.Column("dataset", sa.String(66), nullable=False),
    sa.Column("manifest", sa.LargeBinary, nullable=False),
    sa.Column("dictionary", sa.LargeBinary, nullable=False),
    sa.Column("wrapped_master_key", sa.LargeBinary),
    sa.Column("revoked", sa.Boolean, nullable=False, default=False),
)

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("order_digest", sa.String(66), primary_key=True),
    sa.Column("version", sa.String(66), sa.ForeignKey("versions.version"), nullable=False),
    sa.Column("policy_digest", sa.String(66), nullable=False),
    sa.Column("policy", sa.LargeBinary, nullable=False),
    sa.Column("signed_order", sa.LargeBinary, nullable=False),
    sa.Column("revoked", sa.Boolean, nullable=False, default=False),
)

app_releases = sa.Table(
    "app_releases",
    metadata,
    sa.Column("release_id", sa.String(66), primary_key=True),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("name", sa.String(63), nullable=False, default=""),
    sa.Column("approved", sa.Boolean, nullable=False),
    sa.Column("decided_at", sa.BigInteger, nullable=False, default=0),
)

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("deal", sa.String(66), primary_key=True),
    sa.Column("version", sa.String(66), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("enclave", sa.String(42), nullable=False),
    sa.Column("measurement", sa.String(98), nullable=False),
    sa.Column("simulated", sa.Boolean, nullable=False),
    sa.Column("released_at", sa.BigInteger, nullable=False),
    sa.Column("requester", sa.String(42), nullable=False, default=""),
    sa.Column("encryption_key_digest", sa.String(66), nullable=False, default=""),
    sa.Column("key_receipt_signature", sa.String(200), nullable=False, default="0x"),
    sa.UniqueConstraint("deal", "version", "enclave", name="one_use_an_enclave"),
)

requester_rules = sa.Table(
    "requester_rules",
    metadata,
    sa.Column("requester", sa.String(42), primary_key=True),
    sa.Column("decision", sa.String(8), nullable=False),
    sa.Column("max_deals", sa.Integer),
    sa.Column("per_days", sa.Integer),
    sa.Column("note", sa.String(200), nullable=False, default=""),
)

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("event", sa.String(40), nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("previous", sa.String(66), nullable=False),
    sa.Column("digest", sa.String(66), nullable=False, unique=True),
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

collateral_cache = sa.Table(
    "collateral_cache",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("fetched_at", sa.BigInteger, nullable=False),
)

destroyed_keys = sa.Table(
    "destroyed_keys",
    metadata,
    sa.Column("version", sa.String(66), sa.ForeignKey("versions.version"), primary_key=True),
    sa.Column("key_commitment", sa.String(66), nullable=False),
)


collateral_marks = sa.Table(
    "collateral_marks",
    metadata,
    sa.Column("scope", sa.String(255), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)


_WRITERS_TAKE_TURNS = 0x48454152  # an advisory lock's number, "HEAR"
_LOG_TRIES, _LOG_WAIT_SECONDS = 100, 0.05
_UNREACHABLE = "the broker's database can't be reached"
_REACH_HINT = "check that its server runs, its folder and its rights; no key leaves without it"


def open_database(url: str) -> sa.Engine:
    """Open the database, and create or migrate its tables.

    SQLite is set to write-ahead logging and full durability. Any later loss of the connection is a ServiceError too.

    Raises:
        ServiceError: it can't be reached, its driver isn't installed, or its tables are of a later release.
    """
    engine = _engine(url)
    event.listen(engine, "handle_error", _name_lost_connection)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        weakref.finalize(engine, engine.pool.dispose)  # a server's connections are closed when the process ends
    try:
        with engine.connect() as connection:
            current = is_current(connection)
        if not current:
            with writing(engine) as connection:
                prepare_schema(connection, metadata)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextlib.contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Give a transaction in which this process is the only one that writes: what it reads stays so until it commits."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS_TAKE_TURNS)))
        yield connection


def _engine(url: str) -> sa.Engine:
    try:
        # A broken connection is noticed before it is used: a restarted server costs nobody an answer.
        return sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (sa.exc.ArgumentError, ImportError) as exc:
        raise ServiceError(
            "the broker's database can't be opened: its address or its driver is missing or wrong",
            hint='install heartify with the extra "postgresql" for postgresql+psycopg://USER@HOST/DATABASE',
        ) from exc


def _name_lost_connection(context: sa.engine.ExceptionContext) -> None:
    """Turn a refused or broken connection into an error of our family, wherever it happens; nothing was committed."""
    is_refused = context.connection is None and isinstance(context.sqlalchemy_exception, sa.exc.OperationalError)
    if context.is_disconnect or is_refused:
        raise ServiceError(_UNREACHABLE, hint=_REACH_HINT) from context.original_exception


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin_sqlite` does
    # secure_delete overwrites what is deleted: a destroyed key must not live on in a free page (see broker/erasure.py).
    for pragma in ("busy_timeout=5000", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _begin_log(connection)


def _begin_log(connection: Any) -> None:
    """Change to write-ahead logging, which stays in the file. It doesn't wait for others by itself, so try for a while.

    Raises:
        ServiceError: another process keeps the file locked.
    """
    for _ in range(_LOG_TRIES):
        with contextlib.suppress(sqlite3.OperationalError):
            if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] in ("wal", "memory"):
                return
        time.sleep(_LOG_WAIT_SECONDS)
    raise ServiceError("the broker's database is locked by another process", hint="try again in a moment")


def _begin_sqlite(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":
        # A transaction that reads first and writes later could be refused in the middle: take the turn at once.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")
