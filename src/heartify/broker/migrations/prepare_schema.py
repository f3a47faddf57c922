"""Bring a database's tables to what this program expects, whoever opens it first.

One process does it, in one transaction, while others wait; a kill leaves the tables as they were. A database that a
later release of this program has changed is refused, because an older one would not keep what that one counts.
"""

from __future__ import annotations

import sqlalchemy as sa

from heartify.errors import ServiceError

CURRENT_REVISION = "0002"
FIRST_REVISION = "0001"
_REVISIONS = (FIRST_REVISION, CURRENT_REVISION)
_FIRST_TABLES = {"versions", "grants", "app_releases", "releases", "destroyed_keys", "collateral_marks"}
_revision_table = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


def is_current(connection: sa.Connection) -> bool:
    """Tell whether nothing has to be done. Raises ServiceError when the database is of no known release."""
    return _revision(connection) == CURRENT_REVISION


def prepare_schema(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Create or migrate the tables, within the caller's transaction, in which nobody else writes.

    Raises:
        ServiceError: the database is of a later release, or of none of this program's.
    """
    revision = _revision(connection)
    if revision == CURRENT_REVISION:
        return
    if revision is None:
        metadata.create_all(connection)
        _revision_table.create(connection)
        connection.execute(sa.insert(_revision_table).values(version_num=CURRENT_REVISION))
        return
    _upgrade(connection, stamped=revision if _has_revision_table(connection) else None)


def _revision(connection: sa.Connection) -> str | None:
    """Return the revision of the tables; None when there are no tables of ours."""
    if _has_revision_table(connection):
        found = connection.execute(sa.select(_revision_table.c.version_num)).scalar()
        if found not in _REVISIONS:
            raise ServiceError(
                f"the broker's database has the revision {found}, this program knows those up to {CURRENT_REVISION}",
                hint="a later release of heartify was here: use that one",
            )
        return str(found)
    there = set(sa.inspect(connection).get_table_names()) - {"sqlite_sequence"}
    if not there & _FIRST_TABLES:
        return None
    if not there >= _FIRST_TABLES or "audit_entries" in there:
        raise ServiceError("the broker's database has tables of no known release", hint="restore it from a backup")
    return FIRST_REVISION


def _has_revision_table(connection: sa.Connection) -> bool:
    return sa.inspect(connection).has_table(_revision_table.name)


def _upgrade(connection: sa.Connection, *, stamped: str | None) -> None:
    # Imported here: Alembic takes half a second, and a database is migrated once in its life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "heartify.broker:migrations")
    config.attributes["connection"] = connection
    if stamped is None:
        command.stamp(config, FIRST_REVISION)
    command.upgrade(config, CURRENT_REVISION)
