"""Erase what a database keeps of deleted bytes, as far as the program reaches.

SQLite: the file is rewritten without what was deleted (VACUUM), the write-ahead log is moved into it and cut to nothing
(wal_checkpoint). After that no file of the database holds the bytes. Blocks that the file system gave up, snapshots and
backups are out of reach. Any other server keeps old rows, logs and replicas by rules of its own: there the row is
overwritten, and that is all that may be claimed.
"""

from __future__ import annotations

import sqlalchemy as sa

from heartify.errors import ServiceError
from heartify.protocol.destruction import DestructionMethod

_HINT = "stop the broker or wait a moment, then withdraw the version again: its key is out of use already"


def erase_deleted(engine: sa.Engine) -> DestructionMethod:
    """Erase deleted bytes; return what that amounts to.

    Raises:
        ServiceError: another process uses the database just now.
    """
    if engine.dialect.name != "sqlite":
        return DestructionMethod.ROW_OVERWRITTEN
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            connection.execute(sa.text("VACUUM"))
            checkpoint = connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)")).one()
        except sa.exc.OperationalError as exc:
            raise ServiceError("the broker's database can't be rewritten just now", hint=_HINT) from exc
    if checkpoint[0]:  # the first number says that somebody still reads from the log
        raise ServiceError("the broker's write-ahead log is in use and can't be emptied just now", hint=_HINT)
    return DestructionMethod.DATABASE_REWRITTEN
