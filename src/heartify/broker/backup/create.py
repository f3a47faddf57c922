"""Make a backup of the broker's state while the broker runs: one moment of it, encrypted, for nobody else to read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import FIRST_PREVIOUS, AuditEvent
from heartify.broker.audit.log import append, head
from heartify.broker.backup.envelope import BackupHeader, write_envelope
from heartify.broker.backup.rows import dump_rows
from heartify.broker.kek.key_encryption_key import KeyEncryptionKey
from heartify.broker.migrations.prepare_schema import CURRENT_REVISION
from heartify.errors import UsageError
from heartify.protocol.eip712 import Domain


def create_backup(
    path: Path, engine: sa.Engine, kek: KeyEncryptionKey, *, broker: str, domain: Domain, clock: Callable[[], int]
) -> BackupHeader:
    """Write a backup to a new file of mode 0600, and note it in the audit log; return its header.

    Raises:
        UsageError: the file exists already or can't be written; nothing is left behind.
        KeystoreError, ServiceError: the key or the database can't be used now.
    """
    if path.exists():
        raise UsageError(f"{path} exists already", hint="give each backup a name of its own")
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from its first moment
    except OSError as exc:
        raise UsageError(f"{path} can't be written: {exc.strerror or type(exc).__name__}") from exc
    try:
        with os.fdopen(descriptor, "wb") as file:
            with _one_moment(engine) as connection:
                header = _header(connection, kek, broker, domain, clock())
                digest = write_envelope(file, header, kek, dump_rows(connection))
            file.flush()
            os.fsync(file.fileno())
        with db.writing(engine) as connection:
            append(connection, clock(), AuditEvent.BACKED_UP, {"digest": digest})
        os.link(name, path)  # unlike a rename, this fails when there is a file of that name
    except OSError as exc:
        raise UsageError(f"{path} can't be written: {exc.strerror or type(exc).__name__}") from exc
    finally:
        Path(name).unlink()
    return header


def _one_moment(engine: sa.Engine) -> sa.Connection:
    """Return a connection whose reads all show the same moment."""
    if engine.dialect.name == "sqlite":
        return engine.connect()  # a transaction on the write-ahead log sees what was committed when it began
    return engine.connect().execution_options(isolation_level="REPEATABLE READ")


def _header(
    connection: sa.Connection, kek: KeyEncryptionKey, broker: str, domain: Domain, created_at: int
) -> BackupHeader:
    newest = head(connection)
    return BackupHeader(
        broker=broker,
        chain_id=domain.chain_id,
        market=domain.contract,
        revision=CURRENT_REVISION,
        created_at=created_at,
        audit_sequence=0 if newest is None else newest.sequence,
        audit_head=FIRST_PREVIOUS if newest is None else newest.digest,
        kek_id=kek.kek_id,
    )
