"""The steward's stop button: a paused broker answers, and releases nothing.

It is for the hour in which something looks wrong and nobody knows yet what. It survives restarts, because a broker that
a crash sets going again is not stopped.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append
from heartify.errors import PolicyError, UsageError

_FACT = "paused"
_REASON_CHARACTERS = 200


class Pause:
    """Whether the broker is paused, in its database; `clock` gives UTC seconds."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock

    def begin(self, reason: str) -> None:
        """Pause. The reason is for the hospital's own log and status, never for a requester.

        Raises:
            UsageError: no reason, or an endless one.
        """
        if not 0 < len(reason) <= _REASON_CHARACTERS:
            raise UsageError(f"a reason has 1 to {_REASON_CHARACTERS} characters")
        with db.writing(self._engine) as connection:
            connection.execute(sa.delete(db.facts).where(db.facts.c.name == _FACT))
            connection.execute(sa.insert(db.facts).values(name=_FACT, value=reason))
            append(connection, self._clock(), AuditEvent.PAUSED, {"reason": reason})

    def end(self) -> None:
        """Go on.

        Raises:
            UsageError: the broker isn't paused.
        """
        with db.writing(self._engine) as connection:
            if connection.execute(sa.delete(db.facts).where(db.facts.c.name == _FACT)).rowcount == 0:
                raise UsageError("the broker is not paused")
            append(connection, self._clock(), AuditEvent.RESUMED, {})

    def reason(self) -> str | None:
        """Return why the broker is paused, None when it isn't."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(db.facts.c.value).where(db.facts.c.name == _FACT)).scalar()
        return None if found is None else str(found)

    def check(self) -> None:
        """Raise PolicyError when the broker is paused."""
        if self.reason() is not None:
            raise PolicyError("this hospital has paused its key broker", hint="ask the hospital when it goes on")
