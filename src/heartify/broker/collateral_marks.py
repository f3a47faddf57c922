"""The broker's high-water marks of collateral: what it has seen once, nothing older than that is believed again."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from heartify.attestation.high_water import CollateralHighWater
from heartify.attestation.result import CollateralMark
from heartify.broker import database as db


class CollateralMarks:
    """The marks in the broker's database; they only rise."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> dict[str, int]:
        """Return the highest number seen for each scope."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(db.collateral_marks.c.scope, db.collateral_marks.c.number))
            return {row.scope: row.number for row in rows}

    def advance(self, seen: Iterable[CollateralMark]) -> None:
        """Check verified evidence's numbers against the marks, and raise the marks durably.

        Raises:
            AttestationError: a number lies under its mark: the collateral was rolled back. No mark is changed.
        """
        table = db.collateral_marks
        with db.writing(self._engine) as connection:
            rows = connection.execute(sa.select(table.c.scope, table.c.number))
            before = CollateralHighWater({row.scope: row.number for row in rows})
            after = before.advance(seen).marks
            for scope, number in after.items():
                if scope not in before.marks:
                    connection.execute(sa.insert(table).values(scope=scope, number=number))
                elif number > before.marks[scope]:
                    connection.execute(sa.update(table).where(table.c.scope == scope).values(number=number))
