"""A broker's audit log in a database of its own, with entries as a broker writes them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from heartify.broker import database as db
from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.entry import AuditEntry
from heartify.broker.audit.export import ExportHeader, write_export
from heartify.broker.audit.log import append, entries
from heartify.broker.database import open_database, writing
from heartify.protocol.eip712 import Domain
from heartify.protocol.signing import address_of, sign_digest

NOW = 1_795_000_000
BROKER_KEY = b"\x21" * 32
DOMAIN = Domain(31337, "0x" + "ab" * 20)


def digest_for(number: int) -> str:
    return f"0x{number:064x}"


def address_for(number: int) -> str:
    return f"0x{number:040x}"


@dataclass
class Clock:
    """The broker's clock."""

    now: int = NOW

    def __call__(self) -> int:
        self.now += 1
        return self.now


@dataclass
class Log:
    """One broker's log."""

    engine: sa.Engine
    clock: Clock = field(default_factory=Clock)
    key: bytes = BROKER_KEY
    domain: Domain = DOMAIN
    now = NOW
    digest_for = staticmethod(digest_for)
    address_for = staticmethod(address_for)

    @property
    def broker(self) -> str:
        return address_of(self.key)

    def sign(self, digest: bytes) -> str:
        return sign_digest(self.key, digest)

    def append(self, event: AuditEvent, **details: str) -> AuditEntry:
        with writing(self.engine) as connection:
            return append(connection, self.clock(), event, details)

    def released(self, deal: int, version: int = 1, enclave: int = 7, requester: int = 9) -> AuditEntry:
        return self.append(
            AuditEvent.KEYS_RELEASED,
            deal=digest_for(deal),
            version=digest_for(version),
            requester=address_for(requester),
            enclave=address_for(enclave),
            measurement=digest_for(3),
            tee_kind="simulated-sgx",
            simulated="yes",
            attempt="1",
        )

    def fill(self, count: int) -> None:
        """Append what a broker has to tell on an ordinary day."""
        for number in range(count):
            if number % 3 == 0:
                self.append(AuditEvent.STARTED, version="0.1.0")
            elif number % 3 == 1:
                self.released(100 + number)
            else:
                self.append(AuditEvent.RELEASE_REFUSED, deal=digest_for(number), reason_code="plan", count="2")

    def copy_from(self, other: Log, *, until: int) -> None:
        """Hold what another log had up to an entry, as a backup of that time does."""
        with other.engine.connect() as source, writing(self.engine) as connection:
            for row in source.execute(sa.select(db.audit_entries).where(db.audit_entries.c.sequence <= until)):
                connection.execute(sa.insert(db.audit_entries).values(dict(row._mapping)))
        self.clock.now = other.clock.now

    def restored(self, block: int, anchor: AuditEntry | None = None) -> AuditEntry:
        """Tell of a restore as backup/restore.py does; `anchor` is the newest anchored entry, if this log lost it."""
        mine = self.entries()
        details = {"digest": digest_for(5), "sequence": str(mine[-1].sequence if mine else 0), "block": str(block)}
        if anchor is not None:
            details |= {"anchor_sequence": str(anchor.sequence), "anchor_head": anchor.digest}
        return self.append(AuditEvent.RESTORED, **details)

    def entries(self, **bounds: int) -> list[AuditEntry]:
        with self.engine.connect() as connection:
            return list(entries(connection, **bounds))

    def export(self, *, since: int | None = None) -> tuple[ExportHeader, bytes]:
        out = io.BytesIO()
        header = write_export(self.engine, out, broker=self.broker, domain=self.domain, sign=self.sign, since=since)
        return header, out.getvalue()


@pytest.fixture(params=["sqlite", "postgresql"])
def make_log(request, tmp_path) -> Iterator[Callable[[str], Log]]:
    """Make logs in databases of both kinds that a broker's state may lie in."""
    made: list[Log] = []

    def make(name: str) -> Log:
        url = f"sqlite:///{tmp_path / name}.sqlite"
        if request.param == "postgresql":
            url = request.getfixturevalue("postgresql_server").new_database()
        made.append(Log(open_database(url)))
        return made[-1]

    yield make
    for log in made:
        log.engine.dispose()


@pytest.fixture
def log(make_log) -> Log:
    return make_log("broker")
