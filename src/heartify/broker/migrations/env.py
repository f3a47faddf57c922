"""Alembic's environment: it runs on the connection and in the transaction that prepare_schema.py hands over."""

from __future__ import annotations

from alembic import context

from heartify.broker import database

# SQLite can't alter a table's constraints in place: render_as_batch is for whoever lets Alembic write a new revision.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=database.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
