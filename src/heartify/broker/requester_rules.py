"""Rules about requesters: whom the hospital gives keys to, and for how many deals in how many days.

A grant says who may match it, and that is settled on chain; these rules are the hospital's own, take effect at once,
and hold for every grant. A requester's own rule goes before the rule for everybody else. Where there is no rule,
nothing is restricted beyond the grant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from enum import StrEnum

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append
from heartify.errors import PolicyError, UsageError

EVERYBODY_ELSE = "*"
_NOTE_CHARACTERS = 200
_SECONDS_A_DAY = 86400


class Decision(StrEnum):
    """What a rule says of a requester."""

    ALLOW = "allow"
    DENY = "deny"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequesterRule:
    """A rule for one account, or for everybody else (`*`). `max_deals` in any `per_days` days; both or neither.

    `note` is for the steward's eyes. Raises UsageError when the members contradict each other.
    """

    requester: str
    decision: Decision
    max_deals: int | None = None
    per_days: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if (self.max_deals is None) != (self.per_days is None):
            raise UsageError("a limit of deals needs its number of days, and the other way round")
        if self.max_deals is not None and (self.max_deals < 1 or (self.per_days or 0) < 1):
            raise UsageError("a limit is at least one deal in one day", hint="deny the requester instead")
        if self.decision is Decision.DENY and self.max_deals is not None:
            raise UsageError("who is denied needs no limit")
        if len(self.note) > _NOTE_CHARACTERS:
            raise UsageError(f"a note has at most {_NOTE_CHARACTERS} characters")


def check_requester(
    rules: Mapping[str, RequesterRule], requester: str, deals_since: Callable[[int], int], now_utc_seconds: int
) -> None:
    """Raise PolicyError unless the rules let a requester have keys for one more deal.

    `deals_since` returns for how many of his other deals keys were released since a time in UTC seconds.
    """
    rule = rules.get(requester, rules.get(EVERYBODY_ELSE))
    if rule is None:
        return
    if rule.decision is Decision.DENY:
        raise PolicyError(f"this hospital gives no keys to the requester {requester}")
    if rule.max_deals is None or rule.per_days is None:
        return
    if deals_since(now_utc_seconds - rule.per_days * _SECONDS_A_DAY) >= rule.max_deals:
        raise PolicyError(f"this hospital gives this requester keys for {rule.max_deals} deals in {rule.per_days} days")


class RequesterRules:
    """The rules in the broker's database; `clock` gives UTC seconds."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock

    def set(self, rule: RequesterRule) -> None:
        """Keep a rule; it replaces the requester's former one."""
        table = db.requester_rules
        with db.writing(self._engine) as connection:
            connection.execute(sa.delete(table).where(table.c.requester == rule.requester))
            connection.execute(sa.insert(table).values(dataclasses.asdict(rule)))
            append(connection, self._clock(), AuditEvent.REQUESTER_RULE_SET, _details(rule))

    def remove(self, requester: str) -> None:
        """Remove a requester's rule.

        Raises:
            UsageError: there is none.
        """
        table = db.requester_rules
        with db.writing(self._engine) as connection:
            if connection.execute(sa.delete(table).where(table.c.requester == requester)).rowcount == 0:
                raise UsageError(f"there is no rule for {requester}")
            append(connection, self._clock(), AuditEvent.REQUESTER_RULE_REMOVED, {"requester": requester})

    def all(self) -> dict[str, RequesterRule]:
        """Return every rule by its requester."""
        with self._engine.connect() as connection:
            rows = list(connection.execute(sa.select(db.requester_rules).order_by(db.requester_rules.c.requester)))
        return {
            row.requester: RequesterRule(
                requester=row.requester,
                decision=Decision(row.decision),
                max_deals=row.max_deals,
                per_days=row.per_days,
                note=row.note,
            )
            for row in rows
        }


def _details(rule: RequesterRule) -> dict[str, str]:
    limit = {"max_deals": str(rule.max_deals), "per_days": str(rule.per_days)} if rule.max_deals else {}
    return {"requester": rule.requester, "decision": rule.decision.value, **limit}
