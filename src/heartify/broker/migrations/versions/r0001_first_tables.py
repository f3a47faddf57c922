"""The tables of the first release, which carried no revision: a database that has just these is taken to be here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "versions",
        sa.Column("version", sa.String(66), primary_key=True),
        sa.Column("dataset", sa.String(66), nullable=False),
        sa.Column("manifest", sa.LargeBinary, nullable=False),
        sa.Column("dictionary", sa.LargeBinary, nullable=False),
        sa.Column("wrapped_master_key", sa.LargeBinary),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )
    op.create_table(
        "grants",
        sa.Column("order_digest", sa.String(66), primary_key=True),
        sa.Column("version", sa.String(66), sa.ForeignKey("versions.version"), nullable=False),
        sa.Column("policy_digest", sa.String(66), nullable=False),
        sa.Column("policy", sa.LargeBinary, nullable=False),
        sa.Column("signed_order", sa.LargeBinary, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )
    op.create_table(
        "app_releases",
        sa.Column("release_id", sa.String(66), primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("approved", sa.Boolean, nullable=False),
    )
    op.create_table(
        "releases",
        sa.Column("deal", sa.String(66), primary_key=True),
        sa.Column("version", sa.String(66), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("enclave", sa.String(42), nullable=False),
        sa.Column("measurement", sa.String(98), nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("released_at", sa.Integer, nullable=False),
    )
    op.create_table(
        "destroyed_keys",
        sa.Column("version", sa.String(66), sa.ForeignKey("versions.version"), primary_key=True),
        sa.Column("key_commitment", sa.String(66), nullable=False),
    )
    op.create_table(
        "collateral_marks",
        sa.Column("scope", sa.String(255), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
