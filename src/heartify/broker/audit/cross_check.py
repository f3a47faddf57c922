"""Compare what a log says was released with what the chain says was settled. Pure.

    a deal settled with this broker's key receipt   must have an entry `keys-released` for that version and enclave
    an entry `keys-released`                        must name a deal that the chain has, with this broker and version

The contract settles a grant only with the broker's signature over deal, version and enclave, so a settlement proves
that the broker gave its word: a broker that released keys without logging it is found when the pool is paid. Keys that
were released and never settled leave no trace on chain; that they are all in the log can't be proved.

A broker that was restored releases nothing for deals matched up to the restore's block. So a settled deal of such a
block, without an entry, was served by the state that was lost, or is hidden behind the restore: it is told apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from heartify.broker.audit.entry import AuditEntry

CLOCK_TOLERANCE_SECONDS = 600
"""How far a broker's clock may be from the chain's; a broker with a worse one releases nothing (key_broker.py)."""


@dataclasses.dataclass(frozen=True, slots=True)
class LoggedRelease:
    """What an entry `keys-released` says; `time` is by the broker's clock, in UTC seconds."""

    sequence: int
    time: int
    deal: str
    version: str
    enclave: str
    requester: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DealWithBroker:
    """A deal on chain that names the broker for `versions`. Times are the chain's, in UTC seconds.

    `matched_block` is the number of the block of its match.

    `enclave`, `contributed` and `settled_at` say how it was settled: which versions a key receipt was given for, and to
    whom. They are None and empty for a deal that was not.
    """

    deal: str
    requester: str
    matched_block: int
    matched_at: int
    deadline: int
    versions: frozenset[str]
    enclave: str | None = None
    settled_at: int | None = None
    contributed: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """Log and chain disagree about a deal. `sequence` is the entry's number, None where there should be one.

    `restore` is the number of the entry `restored` that may explain it.
    """

    deal: str
    sequence: int | None
    text: str
    restore: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class RestorePoint:
    """A restore that entry `sequence` tells of: deals of blocks up to `block` get nothing after it.

    `kept_time` is when the newest entry was written that it kept, in UTC seconds by the broker's clock.
    """

    sequence: int
    block: int
    kept_time: int


@dataclasses.dataclass(frozen=True, slots=True)
class CrossCheck:
    """The comparison. `receipts` settled and `releases` logged were compared.

    `unlogged` are settled receipts without an entry, `lost` those of them that a restore may have lost.

    `too_early` and `too_late` count settled receipts that lie outside the time that the log covers.
    """

    receipts: int
    releases: int
    too_early: int
    too_late: int
    unlogged: tuple[Difference, ...]
    lost: tuple[Difference, ...]
    unknown: tuple[Difference, ...]


def logged_release(entry: AuditEntry) -> LoggedRelease:
    """Return what an entry `keys-released` says. Its details must have been checked before."""
    details = entry.details
    return LoggedRelease(
        entry.sequence, entry.time, details["deal"], details["version"], details["enclave"], details["requester"]
    )


def cross_check(
    releases: Iterable[LoggedRelease],
    deals: Iterable[DealWithBroker],
    *,
    begins_at: int | None,
    ends_at: int,
    restores: Iterable[RestorePoint] = (),
) -> CrossCheck:
    """Return where log and chain disagree; `restores` in the order of the log.

    The log covers the time from `begins_at` (None: from the beginning) to `ends_at`, in UTC seconds: the time of its
    first entry, and the latest that it is known to have been written at.
    """
    logged = tuple(releases)
    known = {deal.deal: deal for deal in deals}
    made = {(release.deal, release.version, release.enclave) for release in logged}
    points = tuple(restores)
    unlogged, lost, receipts, too_early, too_late = [], [], 0, 0, 0
    for deal in known.values():
        for version in sorted(deal.contributed):
            receipts += 1
            if (deal.deal, version, deal.enclave) in made:
                continue
            if begins_at is not None and deal.matched_at < begins_at + CLOCK_TOLERANCE_SECONDS:
                too_early += 1
            elif (point := _restore_after(deal, points)) is not None:
                why = f"{_unlogged(version, deal, logged)}; entry {point.sequence} tells of a restore that lost it"
                lost.append(Difference(deal.deal, None, why, point.sequence))
            elif (deal.settled_at or 0) + CLOCK_TOLERANCE_SECONDS > ends_at:
                too_late += 1
            else:
                unlogged.append(Difference(deal.deal, None, _unlogged(version, deal, logged)))
    unknown = [
        Difference(release.deal, release.sequence, text)
        for release in logged
        if (text := _fault(release, known.get(release.deal))) is not None
    ]
    return CrossCheck(receipts, len(logged), too_early, too_late, tuple(unlogged), tuple(lost), tuple(unknown))


def _restore_after(deal: DealWithBroker, points: Iterable[RestorePoint]) -> RestorePoint | None:
    """Return the restore that can have lost a deal's release: the first one after its match, if not all was kept."""
    first = next((point for point in points if point.block >= deal.matched_block), None)
    if first is None or (deal.settled_at or 0) + CLOCK_TOLERANCE_SECONDS < first.kept_time:
        return None
    return first


def _unlogged(version: str, deal: DealWithBroker, logged: Iterable[LoggedRelease]) -> str:
    others = [r.sequence for r in logged if (r.deal, r.version) == (deal.deal, version)]
    besides = f"; entry {others[0]} is for another enclave" if others else ""
    return (
        f"deal {deal.deal} was settled with this broker's key receipt for version {version} and enclave "
        f"{deal.enclave}, and no entry tells of that release{besides}"
    )


def _fault(release: LoggedRelease, deal: DealWithBroker | None) -> str | None:
    """Return what is wrong with a logged release, None when the chain bears it out."""
    where = f"entry {release.sequence}"
    if deal is None:
        return f"{where} names a deal that the chain doesn't have with this broker"
    if release.version not in deal.versions:
        return f"{where} names a version that the deal doesn't have from this broker"
    if release.requester != deal.requester:
        return f"{where} names another requester than the deal"
    if not deal.matched_at - CLOCK_TOLERANCE_SECONDS <= release.time <= deal.deadline + CLOCK_TOLERANCE_SECONDS:
        return f"{where} tells of a release before the deal was matched or after its deadline"
    return None
