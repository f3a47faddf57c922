"""The steward's use cases on the broker's audit log: look, export, verify, anchor.

They work on the home beside a running broker: the log is only ever appended to, one writer at a time. Anchoring pays
from the hospital's account what the broker's key has signed, so the broker's own account needs no ether.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from heartify.broker.audit.anchoring import AuditAnchoring
from heartify.broker.audit.chain_records import read_chain_records
from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.entry import AuditEntry
from heartify.broker.audit.export import ExportHeader, write_export
from heartify.broker.audit.log import entries, head
from heartify.broker.audit.submission import Submitted, note_anchored, submit_newest
from heartify.broker.audit.verdict import AuditCheck, AuditVerdict, audit_entries
from heartify.broker.database import open_database
from heartify.broker.use_counter import UseCounter
from heartify.chain.deployment import load_deployment
from heartify.chain.registry import AnchoredHead
from heartify.errors import UsageError
from heartify.hospital.home import HospitalHome
from heartify.party.keystore import load_secret
from heartify.party.market_access import DEPLOYMENT_FILE, open_market
from heartify.protocol.eip712 import Domain
from heartify.protocol.signing import sign_digest

_Use = tuple[str, str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries to show; None lets all through. Ids may be given by their beginning, times are UTC seconds."""

    events: frozenset[AuditEvent] = frozenset()
    deal: str | None = None
    requester: str | None = None
    since: int | None = None
    until: int | None = None

    def lets_through(self, entry: AuditEntry) -> bool:
        """Tell whether an entry is wanted."""
        return (
            (not self.events or entry.event in self.events)
            and _begins(entry.details.get("deal"), self.deal)
            and _begins(entry.details.get("requester"), self.requester)
            and (self.since is None or entry.time >= self.since)
            and (self.until is None or entry.time <= self.until)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class AnchorState:
    """What anchoring came to: what was sent now, if anything, and the newest anchor on chain."""

    submitted: Submitted | None
    on_chain: AnchoredHead


class HospitalAudit:
    """The audit log of one hospital's home; the password is needed to export and to anchor.

    Raises UsageError when the home isn't initialised.
    """

    def __init__(self, home: Path, password: bytes = b"") -> None:
        self.home = HospitalHome(home)
        self.broker = self.home.settings().broker
        self._password = password
        self._engine = open_database(self.home.database_url)

    def entries(self, wanted: EntryFilter) -> Iterator[AuditEntry]:
        """Yield the wanted entries, oldest first."""
        with self._engine.connect() as connection:
            yield from filter(wanted.lets_through, entries(connection))

    def export(self, out: Path, *, since: int | None = None) -> ExportHeader:
        """Write an export, whole or not at all, signed by the broker's key.

        Raises:
            UsageError: the log is empty, has nothing since then, or the file can't be written.
            KeystoreError: the password is wrong.
        """
        key = load_secret(self.home.broker_keystore, self._password)
        try:
            return self._write_export(out, key, since)
        except OSError as exc:
            raise UsageError(f"{out} can't be written: {exc.strerror or type(exc).__name__}") from exc

    def verify(self, *, offline: bool = False, known_restores: AbstractSet[str] = frozenset()) -> AuditVerdict:
        """Verify the log in the database as an outside auditor would, and against the use counter besides.

        Raises ChainError when the node can't be reached; `offline` leaves the chain out. `known_restores` are digests
        of entries `restored` whose losses are known.
        """
        records = None
        if not offline:
            access = open_market(self.home.path)
            records = read_chain_records(access.connection, access.deployment, self.broker)
        # A broker may run meanwhile. What is logged up to this head was counted with it, and is read after it.
        with self._engine.connect() as connection:
            newest = head(connection)
        counted = {(use.deal, use.version, use.enclave) for use in UseCounter(self._engine, _now).all()}
        logged: dict[_Use, int] = {}
        with self._engine.connect() as connection:
            found = _noting(entries(connection), logged)
            verdict = audit_entries(found, self.broker, records, known_restores=known_restores)
        check = _check_counter(logged, counted, up_to=0 if newest is None else newest.sequence)
        return dataclasses.replace(verdict, checks=(*verdict.checks, check))

    def anchor(self) -> AnchorState:
        """Sign the head if there is news, submit it from the hospital's account, and log that.

        Raises:
            IntegrityError: this log isn't the one that was anchored before; nothing was sent.
            ChainError: the chain refuses or can't be reached.
            KeystoreError: the password is wrong.
        """
        broker_key = load_secret(self.home.broker_keystore, self._password)
        access = open_market(self.home.path, load_secret(self.home.account_keystore, self._password))
        anchoring = AuditAnchoring(
            self._engine,
            broker=self.broker,
            domain=access.registry.domain,
            sign=lambda digest: sign_digest(broker_key, digest),
            clock=_now,
        )
        note_anchored(anchoring, access.registry)
        if anchoring.sign_head() is None:
            raise UsageError("the audit log is empty", hint="it begins with the broker's first decision")
        submitted = submit_newest(anchoring, access.registry)
        return AnchorState(submitted, access.registry.audit_anchor(self.broker, block="latest"))

    def _write_export(self, out: Path, key: bytes, since: int | None) -> ExportHeader:
        deployment = load_deployment(self.home.path / DEPLOYMENT_FILE)
        out.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                header = write_export(
                    self._engine,
                    stream,
                    broker=self.broker,
                    domain=Domain(deployment.chain_id, deployment.registry),
                    sign=lambda digest: sign_digest(key, digest),
                    since=since,
                )
            Path(name).chmod(0o644)
            Path(name).replace(out)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return header


def _noting(found: Iterable[AuditEntry], logged: dict[_Use, int]) -> Iterator[AuditEntry]:
    for entry in found:
        if entry.event is AuditEvent.KEYS_RELEASED:
            details = entry.details
            use = (details.get("deal", ""), details.get("version", ""), details.get("enclave", ""))
            logged.setdefault(use, entry.sequence)
        yield entry


def _check_counter(logged: dict[_Use, int], counted: set[_Use], *, up_to: int) -> AuditCheck:
    name = "use counter"
    if missing := counted - set(logged):
        return AuditCheck(name, False, f"no entry tells of the counted release for deal {min(missing)[0]}")
    if uncounted := [(sequence, use) for use, sequence in logged.items() if sequence <= up_to and use not in counted]:
        sequence, use = min(uncounted)
        return AuditCheck(name, False, f"entry {sequence} tells of a release for deal {use[0]} that is not counted")
    return AuditCheck(name, True, f"releases that are counted, each with its entry: {len(counted)}")


def _begins(value: str | None, start: str | None) -> bool:
    return start is None or (value is not None and value.startswith(start.lower()))


def _now() -> int:
    return int(time.time())
