"""The broker's tables. SQLite by default; any SQLAlchemy URL works.

`releases` is the use counter: a row is committed before a key leaves, and its key (deal, version, attempt) is unique,
so two releases can't count as one. `destroyed_keys` remembers a destroyed key by its commitment. `collateral_marks` are
high-water marks against the rollback of collateral.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

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
    sa.Column("approved", sa.Boolean, nullable=False),
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
    sa.Column("released_at", sa.Integer, nullable=False),
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
    sa.Column("number", sa.Integer, nullable=False),
)


def open_database(url: str) -> sa.Engine:
    """Open the database and create what is missing. SQLite is set to write-ahead logging and full durability."""
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
    metadata.create_all(engine)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    # secure_delete overwrites what is deleted: a destroyed key must not live on in a free page (see broker/erasure.py).
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")
