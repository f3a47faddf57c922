"""Single values in the broker's database, by name; each is read and set within the caller's transaction."""

from __future__ import annotations

import sqlalchemy as sa

from heartify.broker import database as db

KEK_ID = "kek-id"
"""The id of the key-encryption key that the master keys are wrapped by; absent before the first rotation."""

PAUSED = "paused"
"""Why the broker is paused; see pause.py."""

RESTORED_BLOCK = "restored-block"
"""The newest block when the database was last restored; see restore_guard.py."""


def read_fact(connection: sa.Connection, name: str) -> str | None:
    """Return a fact, None when it isn't set."""
    value = connection.execute(sa.select(db.facts.c.value).where(db.facts.c.name == name)).scalar()
    return None if value is None else str(value)


def set_fact(connection: sa.Connection, name: str, value: str) -> None:
    """Set a fact, whatever it was."""
    connection.execute(sa.delete(db.facts).where(db.facts.c.name == name))
    connection.execute(sa.insert(db.facts).values(name=name, value=value))
