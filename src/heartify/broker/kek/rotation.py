"""Wrap every master key anew under another key-encryption key: all of them or none, in one transaction.

The old wrapping is overwritten; what the database's files still hold of it is erased afterwards (erasure.py). Then the
old KEK opens nothing but backups from before. Commitments to keys that were destroyed earlier stay as they are, because
they are of bytes that no longer exist; a key that is destroyed later is committed to as it was wrapped then.
"""

from __future__ import annotations

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append
from heartify.broker.facts import KEK_ID, set_fact
from heartify.broker.vault import Vault
from heartify.errors import IntegrityError


def rewrap_master_keys(engine: sa.Engine, old: Vault, new: Vault, now: int) -> int:
    """Wrap every master key by `new` and note it in the audit log; return how many there were.

    Raises:
        IntegrityError, KeystoreError: a key doesn't open, or one of the two can't be used; nothing has changed.
    """
    with db.writing(engine) as connection:
        held = sa.select(db.versions.c.version, db.versions.c.wrapped_master_key)
        rows = connection.execute(held.where(db.versions.c.wrapped_master_key.is_not(None))).all()
        for version, wrapped in rows:
            master_key = old.unwrap(version, wrapped)
            rewrapped = new.wrap(version, master_key)
            if new.unwrap(version, rewrapped) != master_key:  # else the data would be lost
                raise IntegrityError(f"the new key-encryption key does not open what it wraps of version {version}")
            this = db.versions.c.version == version
            connection.execute(sa.update(db.versions).where(this).values(wrapped_master_key=bytes(len(wrapped))))
            connection.execute(sa.update(db.versions).where(this).values(wrapped_master_key=rewrapped))
        set_fact(connection, KEK_ID, new.kek_id)
        details = {"from": old.kek_id, "to": new.kek_id, "count": str(len(rows))}
        append(connection, now, AuditEvent.KEK_ROTATED, details)
    return len(rows)
