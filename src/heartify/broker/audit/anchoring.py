"""Sign the head of the log now and then, keep the newest signed head for its submitters, and log what was submitted.

A broker's account needs no money: its signature is what counts, and anyone may pay for the transaction. Signing the
head of one's own log tells how many decisions there were, and nothing of them. Nothing is signed twice for one entry:
two heads of one number would prove that the broker keeps two logs.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEntry, AuditEvent
from heartify.broker.audit.log import append, entry_at, head
from heartify.broker.facts import read_fact, set_fact
from heartify.broker.rollback import Anchor, continues
from heartify.errors import IntegrityError
from heartify.protocol.audit_anchor import AuditAnchor, SignedAuditAnchor, sign_audit_anchor
from heartify.protocol.canonical import encode_canonical, parse_canonical
from heartify.protocol.eip712 import Domain, address, bytes32, uint256

_NEWEST = "audit-anchor"


@dataclasses.dataclass(frozen=True, slots=True)
class AnchorSchedule:
    """When the head is signed anew: after so many entries, or so many seconds, whichever comes first."""

    entries: int = 100
    seconds: int = 3600

    def is_due(self, new_entries: int, seconds_since: int) -> bool:
        """Tell whether to sign; never while there is nothing new. A clock that went back makes it due."""
        return new_entries > 0 and (new_entries >= self.entries or seconds_since >= self.seconds or seconds_since < 0)


def newest_signed(connection: sa.Connection, broker: str, domain: Domain) -> SignedAuditAnchor | None:
    """Return the newest head that was signed for this registry, None before the first."""
    value = read_fact(connection, _NEWEST)
    if value is None:
        return None
    anchor = parse_canonical(value.encode(), SignedAuditAnchor)
    return anchor if (anchor.broker, anchor.domain) == (broker, domain) else None


class AuditAnchoring:
    """The signed heads of one broker's log. `domain` is the registry's, `sign` signs a digest with the broker's key."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        broker: str,
        domain: Domain,
        sign: Callable[[bytes], str],
        clock: Callable[[], int],
        schedule: AnchorSchedule | None = None,
    ) -> None:
        self.broker = broker
        self.domain = domain
        self._engine = engine
        self._sign = sign
        self._clock = clock
        self._schedule = schedule or AnchorSchedule()
        self._lock = threading.Lock()

    def newest(self) -> SignedAuditAnchor | None:
        """Return the newest signed head for this registry, None before the first."""
        with self._engine.connect() as connection:
            return newest_signed(connection, self.broker, self.domain)

    def sign_if_due(self) -> SignedAuditAnchor | None:
        """Sign the head if the schedule says so; return the newest signed head."""
        return self._sign_head(self._schedule.is_due)

    def sign_head(self) -> SignedAuditAnchor | None:
        """Sign the head unless nothing but anchors was logged since; return the newest signed head."""
        return self._sign_head(lambda new, _: new > 0)

    def record_anchored(self, sequence: int, digest: str, *, tx_hash: str, block_number: int) -> AuditEntry | None:
        """Log that the anchor of an entry is on chain; None when it was logged before."""
        details = {"sequence": str(sequence), "head": digest, "tx": tx_hash, "block": str(block_number)}
        with db.writing(self._engine) as connection:
            if self._is_recorded(connection, sequence):
                return None
            return append(connection, self._clock(), AuditEvent.ANCHORED, details)

    def is_recorded(self, sequence: int) -> bool:
        """Tell whether the log says that the anchor of this entry is on chain, be it as one that a restore has lost."""
        with self._engine.connect() as connection:
            return self._is_recorded(connection, sequence)

    def check_continues(self, sequence: int, digest: str) -> None:
        """Check that this log has the entry that was anchored, or says that a restore has lost just this one.

        Raises:
            IntegrityError: it is shorter or another one: the database was put back, or exchanged.
        """
        with self._engine.connect() as connection:
            if continues(connection, Anchor(sequence, digest)):
                return
            entry = entry_at(connection, sequence)
        found = "has no such entry" if entry is None else "has another one"
        raise IntegrityError(
            f"entry {sequence} of the audit log is anchored on chain, and this log {found}",
            hint="the broker's database was put back: find out by whom, then `heartify hospital broker restore "
            "--acknowledge-rollback`",
        )

    def _sign_head(self, wanted: Callable[[int, int], bool]) -> SignedAuditAnchor | None:
        with self._lock, db.writing(self._engine) as connection:
            newest, last = newest_signed(connection, self.broker, self.domain), head(connection)
            signed_up_to = 0 if newest is None else newest.sequence
            if last is None or last.sequence <= signed_up_to:
                return newest
            signed_at = entry_at(connection, signed_up_to)
            # The time of the entry that was signed stands for that of the signature, so a restart changes nothing.
            seconds = self._clock() - (0 if signed_at is None else signed_at.time)
            if not wanted(self._news_after(connection, signed_up_to), seconds):
                return newest
            anchor = AuditAnchor(
                broker=address(self.broker), sequence=uint256(last.sequence), head=bytes32(last.digest)
            )
            signed = sign_audit_anchor(anchor, self.domain, self._sign)
            set_fact(connection, _NEWEST, encode_canonical(signed).decode())
            return signed

    def _news_after(self, connection: sa.Connection, sequence: int) -> int:
        """Count the entries that aren't about anchors: else each anchor would ask for the next."""
        table = db.audit_entries.c
        query = sa.select(sa.func.count()).where(table.sequence > sequence, table.event != AuditEvent.ANCHORED.value)
        return int(connection.execute(query).scalar_one())

    def _is_recorded(self, connection: sa.Connection, sequence: int) -> bool:
        table = db.audit_entries.c
        events = (AuditEvent.ANCHORED.value, AuditEvent.RESTORED.value)
        query = sa.select(table.event, table.details).where(table.event.in_(events), table.sequence > sequence)
        names = {AuditEvent.ANCHORED.value: "sequence", AuditEvent.RESTORED.value: "anchor_sequence"}
        return any(f'"{names[row.event]}":"{sequence}"' in row.details for row in connection.execute(query))
