"""The export of an audit log, for whoever is to check the broker: JSON lines, written and read as a stream.

    line 1        the header: whose log, for which registry, which entries, and the broker's signature
    every other   one entry, canonical JSON (RFC 8785), in order

The signature is that of an audit anchor (protocol/audit_anchor.py) over the last entry's digest. So the broker can't
deny an export, two exports that differ prove that it keeps two logs, and whoever holds one can anchor it on chain.
A reader trusts none of it: `verification.py` says what holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, BinaryIO, Literal, TypeVar

import msgspec
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.entry import AuditEntry
from heartify.broker.audit.log import entries, head
from heartify.errors import DocumentError, IntegrityError, UsageError
from heartify.protocol.audit_anchor import AuditAnchor, SignedAuditAnchor, sign_audit_anchor
from heartify.protocol.canonical import Address, Digest, HexBytes, encode_canonical, parse_canonical
from heartify.protocol.eip712 import Domain, address, bytes32, uint256

T = TypeVar("T")

_MAX_LINE_BYTES = 16_384
_Number = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]


class ExportHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an export says of itself. `first` is 1 unless it is an excerpt; `head` is the digest of entry `last`."""

    format: Literal["heartify.audit-log/1"] = "heartify.audit-log/1"
    broker: Address
    chain_id: _Number
    registry: Address
    first: _Number
    last: _Number
    head: Digest
    signature: HexBytes

    @property
    def anchor(self) -> SignedAuditAnchor:
        """Return the signed anchor that the header amounts to; its signature isn't verified."""
        return SignedAuditAnchor(
            broker=self.broker,
            sequence=self.last,
            head=self.head,
            chain_id=self.chain_id,
            registry=self.registry,
            signature=self.signature,
        )


def write_export(
    engine: sa.Engine,
    out: BinaryIO,
    *,
    broker: str,
    domain: Domain,
    sign: Callable[[bytes], str],
    since: int | None = None,
) -> ExportHeader:
    """Write the log as it is now, from the first entry of a time (UTC seconds) on if one is given.

    `domain` is the registry's; `sign` signs a digest with the broker's key.

    Raises:
        UsageError: the log is empty, or has no entry since then.
    """
    with engine.connect() as connection:
        newest = head(connection)
        if newest is None:
            raise UsageError("the audit log is empty", hint="it begins with the broker's first decision")
        first = _first_since(connection, since)
        anchor = AuditAnchor(broker=address(broker), sequence=uint256(newest.sequence), head=bytes32(newest.digest))
        signed = sign_audit_anchor(anchor, domain, sign)
        header = ExportHeader(
            broker=broker,
            chain_id=domain.chain_id,
            registry=domain.contract,
            first=first,
            last=newest.sequence,
            head=newest.digest,
            signature=signed.signature,
        )
        out.write(encode_canonical(header) + b"\n")
        out.writelines(
            encode_canonical(entry) + b"\n" for entry in entries(connection, after=first - 1, until=newest.sequence)
        )
    return header


def read_header(stream: BinaryIO) -> ExportHeader:
    """Read the first line of an export.

    Raises:
        DocumentError: it is no export.
    """
    line = stream.readline(_MAX_LINE_BYTES)
    try:
        return _parse_line(line, ExportHeader)
    except DocumentError as exc:
        raise DocumentError(
            f"not an export of an audit log: {exc.message}", hint="`heartify hospital audit export` writes one"
        ) from exc


def read_entries(stream: BinaryIO, header: ExportHeader) -> Iterator[AuditEntry]:
    """Yield the entries after the header, each well-formed; whether they belong together isn't checked here.

    Raises:
        IntegrityError: a line is no entry, or the first or the last one isn't the one that the header names.
    """
    number, expected, entry = 1, header.first, None
    while line := stream.readline(_MAX_LINE_BYTES):
        number += 1
        try:
            entry = _parse_line(line, AuditEntry)
        except DocumentError as exc:
            raise IntegrityError(f"line {number}, entry {expected}, was altered: {exc.message}") from exc
        if number == 2 and entry.sequence != header.first:
            raise IntegrityError(f"the export begins with entry {entry.sequence}, its header says {header.first}")
        expected = entry.sequence + 1
        yield entry
    if entry is None or entry.sequence != header.last:
        ends = 0 if entry is None else entry.sequence
        raise IntegrityError(f"the export ends at entry {ends}, its header says {header.last}: it was cut or added to")
    if entry.digest != header.head:
        raise IntegrityError(f"entry {header.last} has not the digest that the broker signed in the header")


def _first_since(connection: sa.Connection, since: int | None) -> int:
    """Return the first entry's number; a log that was begun anew in a restore doesn't begin with 1."""
    table = db.audit_entries.c
    wanted = sa.true() if since is None else table.time >= since
    found = connection.execute(sa.select(sa.func.min(table.sequence)).where(wanted)).scalar()
    if found is None:
        raise UsageError("the audit log has no entry since then", hint="give an earlier --since")
    return int(found)


def _parse_line(line: bytes, kind: type[T]) -> T:
    if not line.endswith(b"\n"):
        raise DocumentError(f"a line is cut off or has over {_MAX_LINE_BYTES} bytes")
    return parse_canonical(line[:-1], kind)
