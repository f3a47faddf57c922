"""Notice a database that was put back silently: its audit log must continue what the broker anchored on chain.

An anchor is the number and digest of the log's newest entry at that time, signed by this broker. A copy from before it
lacks the entry; two copies that went on independently (a fork) each have another entry of that number, so the first one
to anchor convicts the other, and then both, as soon as the second one anchors too. Either way nothing is released until
the steward acknowledges it, which is a restore: deals from before get no keys (restore_guard.py), and the log says
which anchor it has lost (audit/restored.py).

What it can't notice: a copy from after the newest anchor, or a fork before either copy anchored. A lease with a
heartbeat in the database would not help, since it is copied with the rest, and each copy would renew its own. So
anchors are made often, and brokers that share the load share one database, whose writers take turns.
"""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from heartify.broker.audit.log import entry_at
from heartify.broker.audit.restored import acknowledges
from heartify.errors import IntegrityError

_HINT = "find out who put the database back; then `heartify hospital broker restore --acknowledge-rollback`"


@dataclasses.dataclass(frozen=True, slots=True)
class Anchor:
    """A broker's newest audit anchor on chain; sequence 0 when it never made one."""

    sequence: int
    head: str


def continues(connection: sa.Connection, anchor: Anchor) -> bool:
    """Tell whether this database's log has the anchored entry, or a restore in it has acknowledged just this anchor."""
    if anchor.sequence == 0:
        return True
    own = entry_at(connection, anchor.sequence)
    if own is not None and own.digest == anchor.head:
        return True
    return acknowledges(connection, anchor.sequence, anchor.head)


def check_against_anchor(connection: sa.Connection, anchor: Anchor) -> None:
    """Check that this database's log continues the anchor, or that a restore has acknowledged just this anchor.

    Read the anchor at the newest block: one that isn't final yet tells as much.

    Raises:
        IntegrityError: the database was rolled back, or forked.
    """
    if continues(connection, anchor):
        return
    own = entry_at(connection, anchor.sequence)
    if own is None:
        raise IntegrityError(
            f"the broker's database was put back: entry {anchor.sequence} of its audit log is anchored on chain, and "
            "it has none of that number",
            hint=_HINT,
        )
    if own.digest != anchor.head:
        raise IntegrityError(
            f"the broker's database is not the one that was anchored: its audit entry {anchor.sequence} is another",
            hint=_HINT,
        )
