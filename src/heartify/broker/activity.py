"""What a broker has done lately, counted from its use counter and audit log: for status pages, not for decisions."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEvent

_DAY = 86400
_WEEK = 7 * _DAY


@dataclasses.dataclass(frozen=True, slots=True)
class Activity:
    """Uses (enclaves that got keys) in all, in the last day and week; refusals of the last week by obligation.

    Times are UTC seconds, None for never.
    """

    uses: int
    uses_day: int
    uses_week: int
    deals: int
    last_use_at: int | None
    refusals_week: dict[str, int]
    audit_entries: int
    last_backup_at: int | None


def recent_activity(engine: sa.Engine, now_utc_seconds: int) -> Activity:
    """Count what happened up to a time."""
    uses, log = db.releases.c, db.audit_entries.c
    with engine.connect() as connection:

        def number(query: sa.Select[Any]) -> int:
            return int(connection.execute(query).scalar_one() or 0)

        def uses_since(time: int) -> int:
            return number(sa.select(sa.func.count()).select_from(db.releases).where(uses.released_at >= time))

        refusals = sa.select(log.details).where(
            log.event == AuditEvent.RELEASE_REFUSED.value, log.time >= now_utc_seconds - _WEEK
        )
        backups = sa.select(sa.func.max(log.time)).where(log.event == AuditEvent.BACKED_UP.value)
        return Activity(
            uses=uses_since(0),
            uses_day=uses_since(now_utc_seconds - _DAY),
            uses_week=uses_since(now_utc_seconds - _WEEK),
            deals=number(sa.select(sa.func.count(sa.distinct(uses.deal)))),
            last_use_at=connection.execute(sa.select(sa.func.max(uses.released_at))).scalar(),
            refusals_week=_by_obligation(row.details for row in connection.execute(refusals)),
            audit_entries=number(sa.select(sa.func.max(log.sequence))),
            last_backup_at=connection.execute(backups).scalar(),
        )


def _by_obligation(details: Iterable[str]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for text in details:
        entry = msgspec.json.decode(text, type=dict[str, str])
        counted[entry["reason_code"]] += int(entry.get("count", "1"))
    return dict(sorted(counted.items()))
