"""The audit log in the broker's database: appended to within the transaction of what it records, so neither is without
the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEntry, AuditEvent, next_entry
from heartify.errors import IntegrityError

_PAGE = 1000


def append(connection: sa.Connection, time: int, event: AuditEvent, details: Mapping[str, str]) -> AuditEntry:
    """Append an entry inside the caller's transaction and return it.

    Two writers at once can't both succeed: the sequence number is the primary key. `database.begin` makes them wait for
    each other.
    """
    entry = next_entry(head(connection), time, event, details)
    connection.execute(
        sa.insert(db.audit_entries).values(
            sequence=entry.sequence,
            time=entry.time,
            event=entry.event.value,
            details=msgspec.json.encode(entry.details).decode(),
            previous=entry.previous,
            digest=entry.digest,
        )
    )
    return entry


def head(connection: sa.Connection) -> AuditEntry | None:
    """Return the newest entry."""
    row = connection.execute(sa.select(db.audit_entries).order_by(db.audit_entries.c.sequence.desc()).limit(1)).first()
    return None if row is None else _parse(row)


def entry_at(connection: sa.Connection, sequence: int) -> AuditEntry | None:
    """Return the entry of a sequence number, None when the log has none."""
    row = connection.execute(sa.select(db.audit_entries).where(db.audit_entries.c.sequence == sequence)).first()
    return None if row is None else _parse(row)


def entries(connection: sa.Connection, *, after: int = 0, until: int | None = None) -> Iterator[AuditEntry]:
    """Yield the entries after a sequence number, up to one if given, oldest first, without holding all of them."""
    table = db.audit_entries
    bound = sa.true() if until is None else table.c.sequence <= until
    while True:
        query = sa.select(table).where(table.c.sequence > after, bound).order_by(table.c.sequence).limit(_PAGE)
        page = [_parse(row) for row in connection.execute(query)]
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].sequence


def _parse(row: sa.Row[tuple[object, ...]]) -> AuditEntry:
    """Raise IntegrityError for a row that nothing here has written."""
    try:
        return msgspec.convert(
            {
                "sequence": row.sequence,
                "time": row.time,
                "event": row.event,
                "details": msgspec.json.decode(row.details, type=dict[str, str]),
                "previous": row.previous,
                "digest": row.digest,
            },
            AuditEntry,
        )
    except (msgspec.MsgspecError, TypeError) as exc:
        raise IntegrityError(f"audit entry {row.sequence} in the database is no entry: it was altered") from exc
