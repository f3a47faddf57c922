"""After a restore no deal from before it gets keys: the database forgot which of them had theirs.

A backup is older than the moment of the disaster, so releases may be missing in the use counter that it brings back.
Nobody is asked to tell which: every deal that was matched in a block up to the newest one at the restore is refused,
for ever. Its lab is refunded after the deadline and orders again. A deal of a later block can't have been served by the
database that was lost, so its count of zero is right.
"""

from __future__ import annotations

import sqlalchemy as sa

from heartify.broker.facts import RESTORED_BLOCK, read_fact
from heartify.errors import PolicyError


def check_not_before_restore(matched_block: int, restored_block: int | None) -> None:
    """Refuse a deal that was matched at or before the block of the last restore.

    `matched_block` is the block of the deal's match, read at a final block. Raises PolicyError.
    """
    if restored_block is not None and matched_block <= restored_block:
        raise PolicyError(
            f"the deal was matched in block {matched_block}, and this broker's state was restored at block "
            f"{restored_block}: it can't tell whether the deal's keys were released",
            hint="let the deal be refunded, and order again",
        )


def restored_block(connection: sa.Connection) -> int | None:
    """Return the newest block at the last restore, None when there was none. Read it where the use is counted."""
    value = read_fact(connection, RESTORED_BLOCK)
    return None if value is None else int(value)
