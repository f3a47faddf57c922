"""The audit itself: a list of checks of a log against itself, its broker's signature and the chain, each with a reason.

Without the chain only the log's own consistency is judged, and the verdict says so: a log that was written anew from
the beginning is consistent. A check that can't be made counts as not passed.

A restore that lost entries fails the verdict until the auditor says that he knows of it, by the digest of the entry
that tells of it: an honest hospital can name its reason to him, and a forger can't hide behind the word `restored`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import BinaryIO

from heartify.broker.audit.chain_records import ChainRecords
from heartify.broker.audit.cross_check import CrossCheck, Difference, LoggedRelease, cross_check, logged_release
from heartify.broker.audit.details import AuditEvent, check_details
from heartify.broker.audit.entry import AuditEntry
from heartify.broker.audit.export import ExportHeader, read_entries, read_header
from heartify.broker.audit.restore_findings import RestoreFinding, find_losses, restore_points
from heartify.broker.audit.verification import KnownHead, LogReport, LogVerifier
from heartify.errors import DocumentError, HeartifyError, IntegrityError

ReadChain = Callable[[ExportHeader], ChainRecords]


@dataclasses.dataclass(frozen=True, slots=True)
class AuditCheck:
    """One check: its name, whether it holds, and the reason."""

    name: str
    passed: bool
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class AuditVerdict:
    """The verdict on a log. `differences` are the disagreements with the chain, `restores` what restores lost."""

    broker: str
    checks: tuple[AuditCheck, ...]
    report: LogReport | None
    differences: tuple[Difference, ...]
    chain_read: bool
    restores: tuple[RestoreFinding, ...] = ()

    @property
    def passed(self) -> bool:
        """Return whether every check holds."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def check(self) -> None:
        """Raise IntegrityError unless every check holds."""
        failed = [check for check in self.checks if not check.passed]
        if failed or not self.checks:
            names = ", ".join(check.name for check in failed)
            raise IntegrityError(f"the audit log does not stand: {names}", hint=_hint(failed, self.restores))


def _hint(failed: list[AuditCheck], restores: tuple[RestoreFinding, ...]) -> str:
    open_findings = [finding for finding in restores if not finding.passed]
    if [check.name for check in failed] == ["restores"] and not any(each.contradiction for each in open_findings):
        known = " ".join(f"--known-restore {finding.digest}" for finding in open_findings)
        return f"hear the hospital's reason; if it convinces you, add {known}"
    return "the checks say what was found, and at which entry"


def audit_export(
    stream: BinaryIO, read_chain: ReadChain | None = None, *, known_restores: AbstractSet[str] = frozenset()
) -> AuditVerdict:
    """Return the verdict on an export; `read_chain` gives what the chain has of the broker, None leaves it out.

    `known_restores` are digests of entries `restored` whose losses the auditor has heard the reason of.

    Raises:
        DocumentError: the file is no export of an audit log.
        ChainError: the chain can't be read.
    """
    header = read_header(stream)
    records = None if read_chain is None else read_chain(header)
    signature = _check_signature(header)
    entries = read_entries(stream, header)
    return audit_entries(entries, header.broker, records, more=(signature,), known_restores=known_restores)


def audit_entries(
    entries: Iterable[AuditEntry],
    broker: str,
    records: ChainRecords | None,
    *,
    more: tuple[AuditCheck, ...] = (),
    known_restores: AbstractSet[str] = frozenset(),
) -> AuditVerdict:
    """Return the verdict on entries, from an export or a broker's own database, with further checks given."""
    verifier = LogVerifier(() if records is None else _known_heads(records))
    gathered = _Gathered([], set())
    damage = _take_all(entries, verifier, gathered)
    try:
        report = verifier.finish()
    except IntegrityError as exc:
        return AuditVerdict(broker, (AuditCheck("entries", False, damage or exc.message), *more), None, (), False)
    checks = [_check_entries(report, damage), *more]
    if records is None:
        findings = find_losses(report.restores, None, (), known_restores)
        return AuditVerdict(broker, (*checks, *_check_restores(findings)), report, (), False, findings)
    begins_at = report.first_time if report.is_excerpt else None
    # A log that tells of an anchor was written after the anchor's block, whatever the broker's clock says.
    blocks = [anchored.time for anchored in records.anchors if anchored.event.sequence in gathered.anchored]
    ends_at = max(report.latest_time, *blocks) if blocks else report.latest_time
    points = restore_points(report.restores)
    compared = cross_check(gathered.releases, records.deals, begins_at=begins_at, ends_at=ends_at, restores=points)
    findings = find_losses(report.restores, records, compared.lost, known_restores)
    checks += [_check_broker(broker, records), _check_anchors(report, records), *_check_restores(findings)]
    checks += _check_deals(compared)
    differences = (*compared.unlogged, *compared.lost, *compared.unknown)
    return AuditVerdict(broker, tuple(checks), report, differences, True, findings)


@dataclasses.dataclass(frozen=True, slots=True)
class _Gathered:
    """What of a log is compared with the chain; `anchored` are the entries that it says are anchored."""

    releases: list[LoggedRelease]
    anchored: set[int]


def _take_all(entries: Iterable[AuditEntry], verifier: LogVerifier, gathered: _Gathered) -> str | None:
    """Take what can be read; return why no more could."""
    try:
        for entry in entries:
            verifier.take(entry)
            _gather(entry, gathered)
    except IntegrityError as exc:
        return exc.message
    return None


def _gather(entry: AuditEntry, gathered: _Gathered) -> None:
    try:
        check_details(entry.event, entry.details)
    except DocumentError:
        return  # reported by the verifier, as an entry that no broker writes
    if entry.event is AuditEvent.KEYS_RELEASED:
        gathered.releases.append(logged_release(entry))
    elif entry.event is AuditEvent.ANCHORED:
        gathered.anchored.add(int(entry.details["sequence"]))
    elif entry.event is AuditEvent.RESTORED and "anchor_sequence" in entry.details:
        gathered.anchored.add(int(entry.details["anchor_sequence"]))


def _known_heads(records: ChainRecords) -> Iterator[KnownHead]:
    for anchored in records.anchors:
        event = anchored.event
        yield KnownHead(event.sequence, event.head, f"the anchor in block {event.place.block_number}")


def _check_signature(header: ExportHeader) -> AuditCheck:
    try:
        header.anchor.verify()
    except HeartifyError as exc:
        return AuditCheck("signature", False, exc.message)
    return AuditCheck("signature", True, f"broker {header.broker} signed the digest of entry {header.last}")


def _check_entries(report: LogReport, damage: str | None) -> AuditCheck:
    own = [problem.text for problem in report.problems if not problem.source]
    if damage is not None:
        own.append(damage)
    if own:
        more = f" (and {len(own) - 1} more)" if len(own) > 1 else ""
        return AuditCheck("entries", False, f"{own[0]}{more}")
    excerpt = "" if not report.is_excerpt else "; an excerpt, what is before it isn't judged"
    clock = "" if not report.clock_steps else _clock_note(report)
    return AuditCheck(
        "entries", True, f"{report.first} to {report.last} follow one another, none is altered{excerpt}{clock}"
    )


def _clock_note(report: LogReport) -> str:
    step = max(report.clock_steps, key=lambda item: item.seconds)
    return (
        f"; the broker's clock went back {len(report.clock_steps)} times, most by {step.seconds} s at {step.sequence}"
    )


def _check_broker(broker: str, records: ChainRecords) -> AuditCheck:
    if not records.datasets:
        return AuditCheck("broker", False, f"no dataset on chain has ever named {broker} as its broker")
    return AuditCheck("broker", True, f"datasets that named it on chain: {', '.join(sorted(records.datasets))}")


def _check_anchors(report: LogReport, records: ChainRecords) -> AuditCheck:
    against = [problem.text for problem in report.problems if problem.source]
    if against:
        return AuditCheck("anchors", False, against[0])
    if not report.heads_met:
        return AuditCheck(
            "anchors", False, "no anchor on chain belongs to these entries: a log written anew would look the same"
        )
    newest = max(known.sequence for known in report.heads_met)
    (time,) = {anchored.time for anchored in records.anchors if anchored.event.sequence == newest}
    skipped = sum(r.told.sequence - r.told.kept - 1 for r in report.restores if r.told.sequence > newest)
    open_entries = report.last - newest - skipped
    tail = f"; entries after it that are not anchored yet: {open_entries}" if open_entries > 0 else ""
    held = f"anchors that hold: {len(report.heads_met)}, the newest of entry {newest} on {_day(time)}{tail}"
    return AuditCheck("anchors", True, held)


def _check_restores(findings: tuple[RestoreFinding, ...]) -> tuple[AuditCheck, ...]:
    """Return nothing for a log that was never restored: most aren't, and one that was is to stand out."""
    if not findings:
        return ()
    unknown = [finding for finding in findings if not finding.passed]
    first = (unknown or findings)[0]
    others = len(unknown or findings) - 1
    return (AuditCheck("restores", not unknown, first.text + (f" (and {others} more)" if others else "")),)


def _check_deals(compared: CrossCheck) -> tuple[AuditCheck, AuditCheck]:
    late = f"; {compared.too_late} settled too recently to judge by this log" if compared.too_late else ""
    early = f"; {compared.too_early} from before this excerpt" if compared.too_early else ""
    lost = f"; {len(compared.lost)} without an entry, see restores" if compared.lost else ""
    settled = compared.unlogged[0].text if compared.unlogged else f"key receipts that were settled: {compared.receipts}"
    released = compared.unknown[0].text if compared.unknown else f"releases that the log tells of: {compared.releases}"
    return (
        AuditCheck("settled deals", not compared.unlogged, f"{settled}{early}{lost}{late}{_more(compared.unlogged)}"),
        AuditCheck("releases", not compared.unknown, f"{released}{_more(compared.unknown)}"),
    )


def _more(differences: tuple[Difference, ...]) -> str:
    return f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""


def _day(time: int) -> str:
    return dt.datetime.fromtimestamp(time, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
