"""The broker's collateral cache: table `collateral_cache` of its database, shared by all processes on it.

Replacing reads, checks and writes in one exclusive transaction, so that two brokers can't take turns at going back.
"""

from __future__ import annotations

import sqlalchemy as sa

from heartify.attestation.collateral_service.collateral_cache import Check, KeptCollateral
from heartify.broker.database import collateral_cache, writing

_TABLE = collateral_cache.c


class BrokerCollateralCache:
    """A `CollateralCache` on an SQLAlchemy engine."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def kept(self, name: str) -> KeptCollateral | None:
        """Return what is kept under a name."""
        with self._engine.connect() as connection:
            return _kept(connection, name)

    def all_kept(self) -> tuple[KeptCollateral, ...]:
        """Return everything that is kept, by name."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(collateral_cache).order_by(_TABLE.name)).all()
        return tuple(KeptCollateral(row.name, row.content, row.fetched_at) for row in rows)

    def replace(self, new: KeptCollateral, check: Check) -> None:
        """Keep `new` unless `check` raises."""
        with writing(self._engine) as connection:
            check(_kept(connection, new.name))
            connection.execute(sa.delete(collateral_cache).where(_TABLE.name == new.name))
            values = {"name": new.name, "content": new.content, "fetched_at": new.fetched_at}
            connection.execute(sa.insert(collateral_cache).values(values))


def _kept(connection: sa.Connection, name: str) -> KeptCollateral | None:
    row = connection.execute(sa.select(collateral_cache).where(_TABLE.name == name)).first()
    return None if row is None else KeptCollateral(row.name, row.content, row.fetched_at)
