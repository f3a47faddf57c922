"""Audit log, requesters' rules, facts, cached collateral; receipts and one use an enclave; times beyond 2038.

A first release may have counted two attempts of one enclave. The older of them keeps its row, since rows are the use
counter, under a name that is no enclave's: the deal's uses stay as many as they were.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NEW_TEXTS = (("requester", 42, ""), ("encryption_key_digest", 66, ""), ("key_receipt_signature", 200, "0x"))


def upgrade() -> None:
    """Create the new tables, and widen those that are there."""
    _create_new_tables()
    _widen_app_releases()
    _widen_releases()
    with op.batch_alter_table("collateral_marks") as table:
        table.alter_column("number", type_=sa.BigInteger, existing_type=sa.Integer, existing_nullable=False)


def _widen_releases() -> None:
    op.execute(
        "UPDATE releases SET enclave = 'earlier-attempt-' || attempt WHERE EXISTS (SELECT 1 FROM releases AS later "
        "WHERE later.deal = releases.deal AND later.version = releases.version "
        "AND later.enclave = releases.enclave AND later.attempt > releases.attempt)"
    )
    with op.batch_alter_table("releases") as table:
        for name, length, value in _NEW_TEXTS:
            table.add_column(sa.Column(name, sa.String(length), nullable=False, server_default=value))
        table.alter_column("released_at", type_=sa.BigInteger, existing_type=sa.Integer, existing_nullable=False)
        table.create_unique_constraint("one_use_an_enclave", ["deal", "version", "enclave"])
    with op.batch_alter_table("releases") as table:  # the defaults were for the rows that were there
        for name, length, _ in _NEW_TEXTS:
            table.alter_column(name, server_default=None, existing_type=sa.String(length), existing_nullable=False)


def _widen_app_releases() -> None:
    with op.batch_alter_table("app_releases") as table:
        table.add_column(sa.Column("name", sa.String(63), nullable=False, server_default=""))
        table.add_column(sa.Column("decided_at", sa.BigInteger, nullable=False, server_default="0"))
    with op.batch_alter_table("app_releases") as table:
        table.alter_column("name", server_default=None, existing_type=sa.String(63), existing_nullable=False)
        table.alter_column("decided_at", server_default=None, existing_type=sa.BigInteger, existing_nullable=False)


def _create_new_tables() -> None:
    op.create_table(
        "requester_rules",
        sa.Column("requester", sa.String(42), primary_key=True),
        sa.Column("decision", sa.String(8), nullable=False),
        sa.Column("max_deals", sa.Integer),
        sa.Column("per_days", sa.Integer),
        sa.Column("note", sa.String(200), nullable=False),
    )
    op.create_table(
        "audit_entries",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("previous", sa.String(66), nullable=False),
        sa.Column("digest", sa.String(66), nullable=False, unique=True),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "collateral_cache",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("fetched_at", sa.BigInteger, nullable=False),
    )
