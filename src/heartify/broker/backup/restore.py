"""Restore a backup so that nothing it forgets does harm. It trusts the file only as far as the KEK vouches for it.

In one transaction, so that a failure changes nothing:

    1 the backup is this home's, whole, of this program's tables, and not older than what it would overwrite
    2 its rows replace what is there
    3 keys destroyed since stay destroyed: those that this database, receipts or the chain say are withdrawn
    4 marks of collateral never go back
    5 deals matched up to the newest block get no keys any more, and the audit log names the anchor that it has lost
    6 the broker is paused: approvals and rules are old again too, and only the steward knows which have been withdrawn

The operator is asked for nothing that could be told wrongly: blocks and withdrawals come from the hospital's node.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import FIRST_PREVIOUS, AuditEntry, AuditEvent
from heartify.broker.audit.log import append, entry_at, head
from heartify.broker.audit.restored import RestoredEntry, restored_entry
from heartify.broker.backup.envelope import BackupHeader, read_header, read_lines
from heartify.broker.backup.rows import backed_up_tables, load_rows
from heartify.broker.erasure import erase_deleted
from heartify.broker.facts import PAUSED, RESTORED_BLOCK, read_fact, set_fact
from heartify.broker.kek.key_encryption_key import KeyEncryptionKey
from heartify.broker.migrations.prepare_schema import CURRENT_REVISION
from heartify.broker.rollback import Anchor, continues
from heartify.broker.vault import key_commitment
from heartify.errors import PolicyError, UsageError
from heartify.protocol.eip712 import Domain

_PAUSE_REASON = "restored from a backup: look through approvals, grants and rules of requesters before going on"
_REPLACE_HINT = "make a backup of it; then restore with --replace if it is really to be thrown away"


class RestoreChain(Protocol):
    """What a restore must know of the chain at its newest block; every method raises ChainError."""

    def newest_block(self) -> int:
        """Return the newest block's number; refuse when the node is behind."""

    def audit_anchor(self, broker: str) -> Anchor:
        """Return the broker's newest audit anchor."""

    def withdrawn_versions(self) -> frozenset[str]:
        """Return every version that was ever withdrawn."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTarget:
    """The home that a backup is restored to; `destroyed` are the versions of its destruction receipts."""

    engine: sa.Engine
    kek: KeyEncryptionKey
    broker: str
    domain: Domain
    destroyed: frozenset[str]
    now: int


@dataclasses.dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: up to which block deals are refused, and which versions' keys it destroyed again.

    `kept` is the newest audit entry that is left, `lost_anchor` the number of the one that is anchored on chain and was
    lost, 0 if none was.
    """

    block: int
    erased: tuple[str, ...]
    kept: int
    lost_anchor: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """What the chain says, asked for before anything is locked."""

    block: int
    anchor: Anchor
    withdrawn: frozenset[str]

    @classmethod
    def of(cls, chain: RestoreChain, broker: str) -> _Known:
        anchor = chain.audit_anchor(broker)  # before the block, so that the block is not older than the anchor's
        return cls(chain.newest_block(), anchor, chain.withdrawn_versions())


@dataclasses.dataclass(frozen=True, slots=True)
class _Kept:
    """What outlives a restore: commitments to destroyed keys, marks of collateral, the block of an earlier restore."""

    commitments: dict[str, str]
    marks: dict[str, int]
    restored_block: int


def restore_backup(path: Path, target: RestoreTarget, chain: RestoreChain, *, replace: bool = False) -> Restored:
    """Restore a backup; `replace` permits to overwrite a state that has gone on since.

    Raises:
        UsageError, DocumentError: the file can't be read, or is no backup.
        IntegrityError: it is damaged, or wrapped by another key.
        PolicyError: it is another home's or program's, or there is a newer state.
        ChainError: the hospital's node can't be reached or is behind.
    """
    known = _Known.of(chain, target.broker)
    try:
        with path.open("rb") as file:
            header, digest = read_header(file)
            _check_ours(header, target)
            with db.writing(target.engine) as connection:
                before = head(connection)
                if not replace:
                    _check_not_newer(connection, before, header)
                kept = _kept(connection)
                for table in reversed(backed_up_tables()):
                    connection.execute(sa.delete(table))
                load_rows(connection, read_lines(file, header, digest, target.kek))
                if not replace and before is not None:
                    _check_holds(connection, before)
                erased = _destroy_again(connection, kept.commitments, known.withdrawn | target.destroyed)
                _raise_marks(connection, kept.marks)
                closed = _close(connection, target.now, known, kept.restored_block, digest)
    except OSError as exc:
        raise UsageError(f"the backup {path} can't be read: {exc.strerror or type(exc).__name__}") from exc
    erase_deleted(target.engine)
    return Restored(closed.block, erased, closed.kept, 0 if closed.anchor is None else closed.anchor.sequence)


def acknowledge_rollback(target: RestoreTarget, chain: RestoreChain) -> Restored:
    """Treat the database as it lies there as restored just now.

    Raises:
        ChainError: the hospital's node can't be reached or is behind.
    """
    known = _Known.of(chain, target.broker)
    with db.writing(target.engine) as connection:
        newest = head(connection)
        erased = _destroy_again(connection, {}, known.withdrawn | target.destroyed)
        closed = _close(connection, target.now, known, 0, FIRST_PREVIOUS if newest is None else newest.digest)
    erase_deleted(target.engine)
    return Restored(closed.block, erased, closed.kept, 0 if closed.anchor is None else closed.anchor.sequence)


def _close(connection: sa.Connection, now: int, known: _Known, earlier_block: int, digest: str) -> RestoredEntry:
    """Write down what makes the restored state safe; return what the log says of it."""
    block = max(known.block, earlier_block, int(read_fact(connection, RESTORED_BLOCK) or 0))
    set_fact(connection, RESTORED_BLOCK, str(block))
    newest = head(connection)
    details = {"digest": digest, "sequence": str(0 if newest is None else newest.sequence), "block": str(block)}
    if not continues(connection, known.anchor):
        details |= {"anchor_sequence": str(known.anchor.sequence), "anchor_head": known.anchor.head}
    entry = append(connection, now, AuditEvent.RESTORED, details)
    set_fact(connection, PAUSED, _PAUSE_REASON)
    append(connection, now, AuditEvent.PAUSED, {"reason": _PAUSE_REASON})
    return restored_entry(entry)


def _check_ours(header: BackupHeader, target: RestoreTarget) -> None:
    theirs = (header.broker, header.chain_id, header.market)
    if theirs != (target.broker, target.domain.chain_id, target.domain.contract):
        raise PolicyError(
            f"the backup is of the broker {header.broker}, chain {header.chain_id}, market {header.market}: not of "
            "this home's",
            hint="take a backup of this home",
        )
    if header.revision != CURRENT_REVISION:
        raise PolicyError(
            f"the backup has tables of the revision {header.revision}, this program those of {CURRENT_REVISION}",
            hint="restore it with the release of heartify that made it, and open it with this one then",
        )


def _check_not_newer(connection: sa.Connection, newest: AuditEntry | None, header: BackupHeader) -> None:
    """Refuse to overwrite what the backup doesn't know: an audit log that goes further than its, or has none."""
    if newest is None:
        is_empty = connection.execute(sa.select(sa.func.count()).select_from(db.versions)).scalar_one() == 0
        if not is_empty:
            raise PolicyError("the broker's database holds versions, and no audit log", hint=_REPLACE_HINT)
    elif newest.sequence > header.audit_sequence:
        raise PolicyError("the broker's database has gone on since the backup", hint=_REPLACE_HINT)


def _check_holds(connection: sa.Connection, before: AuditEntry) -> None:
    """Refuse a backup that doesn't continue the log that it has just replaced; the transaction is rolled back."""
    found = entry_at(connection, before.sequence)
    if found is None or found.digest != before.digest:
        raise PolicyError("the broker's database has another history than the backup", hint=_REPLACE_HINT)


def _kept(connection: sa.Connection) -> _Kept:
    commitments = {row.version: row.key_commitment for row in connection.execute(sa.select(db.destroyed_keys))}
    marks = {row.scope: row.number for row in connection.execute(sa.select(db.collateral_marks))}
    return _Kept(commitments, marks, int(read_fact(connection, RESTORED_BLOCK) or 0))


def _destroy_again(connection: sa.Connection, commitments: dict[str, str], withdrawn: Iterable[str]) -> tuple[str, ...]:
    """Overwrite the keys of versions that were destroyed or withdrawn; return which had one."""
    gone = {*commitments, *withdrawn}
    found = connection.execute(sa.select(db.versions).where(db.versions.c.wrapped_master_key.is_not(None))).all()
    erased = [row for row in found if row.version in gone]
    for row in erased:
        this = db.versions.c.version == row.version
        wrapped = row.wrapped_master_key
        commitment = commitments.get(row.version) or key_commitment(row.version, wrapped)
        connection.execute(sa.insert(db.destroyed_keys).values(version=row.version, key_commitment=commitment))
        connection.execute(sa.update(db.versions).where(this).values(wrapped_master_key=bytes(len(wrapped))))
        connection.execute(sa.update(db.versions).where(this).values(wrapped_master_key=None, revoked=True))
    return tuple(row.version for row in erased)


def _raise_marks(connection: sa.Connection, marks: dict[str, int]) -> None:
    """Put back the marks of collateral that were higher than the backup's."""
    restored = {row.scope: row.number for row in connection.execute(sa.select(db.collateral_marks))}
    for scope, number in marks.items():
        if number > restored.get(scope, -1):
            connection.execute(sa.delete(db.collateral_marks).where(db.collateral_marks.c.scope == scope))
            connection.execute(sa.insert(db.collateral_marks).values(scope=scope, number=number))
