"""What an entry `restored` says: what was kept, up to which block deals are refused, and which anchor the log has lost.

    sequence, digest                 the newest entry that was kept (0: none), and what was restored
    block                            the newest block then; deals matched up to it get no keys any more
    anchor_sequence, anchor_head     the newest anchor on chain then, if the log does not continue it

Such an entry takes the number after the anchor's, and its `previous` is the newest entry that was kept: so the log can
be anchored again, and the gap in the numbers shows what is missing. It is the broker's word, signed with the next
anchor. It excuses nothing by itself: verification.py and verdict.py say what the chain knows of the gap.
"""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEntry, AuditEvent
from heartify.broker.audit.log import entry_at


@dataclasses.dataclass(frozen=True, slots=True)
class LostAnchor:
    """An anchor on chain that a restored log doesn't continue: entry number `sequence` had the digest `head`."""

    sequence: int
    head: str


@dataclasses.dataclass(frozen=True, slots=True)
class RestoredEntry:
    """What entry number `sequence`, with this digest, says of a restore; `kept` is the newest entry before it."""

    sequence: int
    digest: str
    kept: int
    block: int
    anchor: LostAnchor | None


def restored_entry(entry: AuditEntry) -> RestoredEntry:
    """Return what an entry `restored` says. Its details must have been checked before."""
    details = entry.details
    lost = LostAnchor(int(details["anchor_sequence"]), details["anchor_head"]) if "anchor_head" in details else None
    return RestoredEntry(entry.sequence, entry.digest, int(details["sequence"]), int(details["block"]), lost)


def acknowledges(connection: sa.Connection, sequence: int, head: str) -> bool:
    """Tell whether a restore of this log has acknowledged just this anchor as lost."""
    table = db.audit_entries.c
    query = sa.select(table.sequence).where(table.event == AuditEvent.RESTORED.value, table.sequence > sequence)
    found = (entry_at(connection, number) for number in connection.execute(query).scalars().all())
    return any(entry is not None and restored_entry(entry).anchor == LostAnchor(sequence, head) for entry in found)
