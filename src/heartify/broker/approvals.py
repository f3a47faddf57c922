"""Which app releases the hospital has approved: only an enclave of one of these gets keys.

To approve is to replace: a new release of an app ends the approval of every other release of the same name, because a
former version that nobody looks after any more is what an attacker would run. A steward may keep a former one for a
while, by saying so.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append
from heartify.errors import PolicyError, UsageError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, parse_canonical


class Approvals:
    """The approved app releases in the broker's database; `clock` gives UTC seconds."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock

    def approve(self, release: AppRelease, *, keep_former: bool = False) -> tuple[str, ...]:
        """Approve a release, and end the approval of its app's other releases; return the ids of those.

        With `keep_former` they stay approved. Approving again what was withdrawn is allowed.
        """
        release_id = release.release_id()
        with db.writing(self._engine) as connection:
            former = () if keep_former else self._end_former(connection, release, release_id)
            connection.execute(sa.delete(db.app_releases).where(db.app_releases.c.release_id == release_id))
            row = {
                "release_id": release_id,
                "document": encode_canonical(release),
                "name": release.name,
                "approved": True,
                "decided_at": self._clock(),
            }
            connection.execute(sa.insert(db.app_releases).values(row))
            details = {"release": release_id, "name": f"{release.name} {release.version}"}
            append(connection, self._clock(), AuditEvent.RELEASE_APPROVED, details)
        return former

    def _end_former(self, connection: sa.Connection, release: AppRelease, release_id: str) -> tuple[str, ...]:
        table = db.app_releases.c
        query = sa.select(table.release_id, table.document).where(table.approved, table.release_id != release_id)
        former = tuple(
            row.release_id
            for row in connection.execute(query)
            if parse_canonical(row.document, AppRelease).name == release.name
        )
        for item in former:
            self._set(connection, item, approved=False)
            details = {"release": item, "by": release_id}
            append(connection, self._clock(), AuditEvent.RELEASE_REPLACED, details)
        return former

    def withdraw(self, release_id: str) -> None:
        """End the approval of a release: from now on no enclave of it gets keys.

        Raises:
            UsageError: it isn't approved.
        """
        with db.writing(self._engine) as connection:
            if not self._set(connection, release_id, approved=False):
                raise UsageError(f"the app release {release_id} is not approved", hint="`hospital broker approvals`")
            append(connection, self._clock(), AuditEvent.APPROVAL_WITHDRAWN, {"release": release_id})

    def find(self, release_id: str) -> AppRelease:
        """Return an approved app release.

        Raises:
            PolicyError: the hospital has not approved it, or not any more.
        """
        query = sa.select(db.app_releases).where(db.app_releases.c.release_id == release_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None or not row.approved:
            raise PolicyError(f"this hospital has not approved the app release {release_id}")
        return parse_canonical(row.document, AppRelease)

    def all(self) -> tuple[AppRelease, ...]:
        """Return every approved app release, the newest decision first."""
        table = db.app_releases
        query = sa.select(table).where(table.c.approved).order_by(table.c.decided_at.desc(), table.c.release_id)
        with self._engine.connect() as connection:
            return tuple(parse_canonical(row.document, AppRelease) for row in connection.execute(query))

    def _set(self, connection: sa.Connection, release_id: str, *, approved: bool) -> bool:
        table = db.app_releases
        change = sa.update(table).where(table.c.release_id == release_id, table.c.approved != approved)
        return connection.execute(change.values(approved=approved, decided_at=self._clock())).rowcount == 1
