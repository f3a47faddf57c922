"""Refusals in the audit log: which obligation failed for which deal, joined so that nobody can flood the log.

Anybody can send a broker nonsense, as much as he likes; so only what fails after the chain has confirmed the deal is
recorded. The words of a refusal, which could hold a requester's, are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append
from heartify.broker.audit.refusal_log import Refusal, RefusalLog
from heartify.broker.obligation import Progress


class Refusals:
    """Writes refusals to the audit log; `clock` gives UTC seconds."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock
        self._log = RefusalLog()

    def note(self, progress: Progress) -> None:
        """Record where a release ended, unless the chain didn't know its deal."""
        if not progress.obligation.concerns_a_real_deal:
            return
        due = self._log.note(self._clock(), progress.obligation.value, deal=progress.deal, version=progress.version)
        self._write(due)

    def close(self) -> None:
        """Write what still waits to be joined; for the end of the process."""
        self._write(self._log.drain())

    def _write(self, refusals: Iterable[Refusal]) -> None:
        due = tuple(refusals)
        if not due:
            return
        with db.writing(self._engine) as connection:
            for refusal in due:
                append(connection, self._clock(), AuditEvent.RELEASE_REFUSED, refusal.details())
