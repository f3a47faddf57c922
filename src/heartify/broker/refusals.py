"""Refusals in the audit log: which obligation failed for which deal, at most once a minute each.

Anybody can send a broker nonsense, as much as he likes; so only what fails after the chain has confirmed the deal is
recorded. The words of a refusal, which could hold a requester's, are not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append
from heartify.broker.obligation import Obligation, Progress

_QUIET_SECONDS = 60
_REMEMBERED = 10_000


class Refusals:
    """Writes refusals to the audit log; `clock` gives UTC seconds."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock
        self._noted: dict[tuple[str, str, Obligation], int] = {}
        self._lock = threading.Lock()

    def note(self, progress: Progress) -> None:
        """Record where a release ended, unless the chain didn't know its deal or the same was noted a moment ago."""
        if not progress.obligation.concerns_a_real_deal or not self._is_news(progress):
            return
        details = {"deal": progress.deal, "version": progress.version, "reason_code": progress.obligation.value}
        with db.writing(self._engine) as connection:
            append(connection, self._clock(), AuditEvent.RELEASE_REFUSED, details)

    def _is_news(self, progress: Progress) -> bool:
        now, this = self._clock(), (progress.deal, progress.version, progress.obligation)
        with self._lock:
            self._noted = {key: time for key, time in self._noted.items() if now - time < _QUIET_SECONDS}
            if this in self._noted or len(self._noted) >= _REMEMBERED:
                return False
            self._noted[this] = now
            return True
