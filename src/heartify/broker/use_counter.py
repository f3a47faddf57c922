"""The use counter: how often a version's keys were released for a deal, kept durably before any key leaves.

A use is one enclave: whoever asks again with the same attested keys, because an answer was lost or the broker was
killed, is counted once and gets the same keys again. A use, its key receipt and its audit entry are one transaction, so
there is no use without a receipt, and no receipt that nothing tells of. Rows are never deleted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append
from heartify.broker.restore_guard import check_not_before_restore, restored_block
from heartify.errors import PolicyError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One enclave that a version's keys are released to for a deal, with the key receipt that says so.

    `encryption_key_digest` is the SHA-256 of the attested key that the column keys are sealed to.
    """

    deal: str
    version: str
    requester: str
    enclave: str
    encryption_key_digest: str
    measurement: str
    tee_kind: str
    simulated: bool
    key_receipt_signature: str


@dataclasses.dataclass(frozen=True, slots=True)
class CountedUse:
    """A use as the counter keeps it. `attempt` counts from 1; `released_at` is the first release, in UTC seconds."""

    deal: str
    version: str
    attempt: int
    enclave: str
    measurement: str
    simulated: bool
    released_at: int
    requester: str
    encryption_key_digest: str
    key_receipt_signature: str


class UseCounter:
    """The counter in the broker's database; `clock` gives UTC seconds."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock

    def count(self, use: Use, limit: int, *, matched_block: int | None = None) -> CountedUse:
        """Count a use and write its audit entry, both or neither; when this returns, they are on disk.

        `matched_block` is the block of the deal's match; it must be given when the broker was restored ever.

        Raises:
            PolicyError: the deal has used up its `limit` of uses, this enclave came with another key before, or the
                deal was matched before the broker's last restore.
        """
        with db.writing(self._engine) as connection:
            restored = restored_block(connection)
            if restored is not None:
                # None: restored between the check of the chain and now.
                check_not_before_restore(0 if matched_block is None else matched_block, restored)
            known = _all(connection, use.deal, use.version)
            counted = next((item for item in known if item.enclave == use.enclave), None)
            if counted is None:
                counted = self._insert(connection, use, attempt=len(known) + 1, limit=limit)
            elif counted.encryption_key_digest != use.encryption_key_digest:
                raise PolicyError("this enclave came with another encryption key before")
            append(connection, self._clock(), AuditEvent.KEYS_RELEASED, _details(use, counted.attempt))
        return counted

    def _insert(self, connection: sa.Connection, use: Use, *, attempt: int, limit: int) -> CountedUse:
        if attempt > limit:
            raise PolicyError(f"the keys for this deal were released {limit} times already")
        values = dataclasses.asdict(use)
        del values["tee_kind"]
        counted = CountedUse(**values, attempt=attempt, released_at=self._clock())
        connection.execute(sa.insert(db.releases).values(dataclasses.asdict(counted)))
        return counted

    def of_deal(self, deal: str, version: str | None = None) -> tuple[CountedUse, ...]:
        """Return the uses for a deal, of one version or of all, first to last."""
        with self._engine.connect() as connection:
            return _all(connection, deal, version)

    def all(self) -> tuple[CountedUse, ...]:
        """Return every use, oldest first."""
        query = sa.select(db.releases).order_by(db.releases.c.released_at, db.releases.c.deal, db.releases.c.attempt)
        with self._engine.connect() as connection:
            return tuple(CountedUse(**row._mapping) for row in connection.execute(query))  # noqa: SLF001 - public mapping

    def deals_of(self, requester: str, *, since: int, besides: str) -> int:
        """Return for how many deals of a requester keys were released since a time, one deal left out."""
        table = db.releases.c
        query = sa.select(sa.func.count(sa.distinct(table.deal))).where(
            table.requester == requester, table.released_at >= since, table.deal != besides
        )
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())


def _all(connection: sa.Connection, deal: str, version: str | None) -> tuple[CountedUse, ...]:
    table = db.releases.c
    query = sa.select(db.releases).where(table.deal == deal).order_by(table.version, table.attempt)
    if version is not None:
        query = query.where(table.version == version)
    return tuple(CountedUse(**row._mapping) for row in connection.execute(query))  # noqa: SLF001 - public mapping


def _details(use: Use, attempt: int) -> dict[str, str]:
    return {
        "deal": use.deal,
        "version": use.version,
        "requester": use.requester,
        "enclave": use.enclave,
        "measurement": use.measurement,
        "tee_kind": use.tee_kind,
        "simulated": "yes" if use.simulated else "no",
        "attempt": str(attempt),
    }
