"""Verify a log entry by entry: the chain of digests, the forms of the details, and the heads that were anchored.

Pure: it takes entries in the order in which they stand, and says what is wrong and where. It trusts the anchors that it
is given and nothing of the log. A clock that went back is told of, not refused: an honest broker's may be set right.

What an anchor adds. Whoever has the database can write the whole chain anew; only a head that is known from elsewhere
(the chain, an earlier export) shows it. So a rewriting is found if it reaches back to any anchored entry, and its place
is known to lie between the last anchor that the log still meets and the first that it doesn't.

What a restore changes. A log may go on without anchored entries if an entry `restored` names the newest anchor that it
has lost, and that anchor is known. Then those anchors are no problems but losses, told as a `Restore` each: whether a
loss is believed isn't decided here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from heartify.broker.audit.details import AuditEvent, check_details
from heartify.broker.audit.entry import FIRST_PREVIOUS, AuditEntry, entry_digest, next_sequence
from heartify.broker.audit.restored import LostAnchor, RestoredEntry, restored_entry
from heartify.errors import DocumentError, IntegrityError

_MOST_SHOWN = 100
MOST_RESTORES = 100


@dataclasses.dataclass(frozen=True, slots=True)
class KnownHead:
    """A head known from elsewhere: entry number `sequence` had the digest `head`. `source` is for messages."""

    sequence: int
    head: str
    source: str


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and with which entry; `source` names the known head that it contradicts, if it does."""

    sequence: int
    text: str
    source: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class ClockStep:
    """Entry number `sequence` says a time that is `seconds` before that of the entry ahead of it."""

    sequence: int
    seconds: int


@dataclasses.dataclass(frozen=True, slots=True)
class Restore:
    """A restore that the log tells of. Entries up to `vouched` are borne out by a known head, 0 if none are.

    `kept_time` is the time of the newest entry that was kept, by the broker's clock. `lost` are the known heads that
    the log went on without: it has no entry of that number, or another one.
    """

    told: RestoredEntry
    kept_time: int
    vouched: int
    lost: tuple[KnownHead, ...]

    @property
    def has_gap(self) -> bool:
        """Tell whether entries that were anchored are missing, by the broker's own word."""
        return self.told.anchor is not None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What a log is, and what is wrong with it. Times are in UTC seconds by the broker's clock.

    `latest_time` is the latest that any entry says. `is_excerpt`: there are entries before `first`. `heads_met` are the
    known heads that the log has; `heads_before` is how many lie before an excerpt and so couldn't be compared.
    `problems` holds the first hundred of `problem_count`.
    """

    first: int
    last: int
    head: str
    first_time: int
    latest_time: int
    is_excerpt: bool
    restores: tuple[Restore, ...]
    clock_steps: tuple[ClockStep, ...]
    heads_met: tuple[KnownHead, ...]
    heads_before: int
    problems: tuple[Problem, ...]
    problem_count: int

    def check(self) -> None:
        """Raise IntegrityError with the first problem, if there is one."""
        if self.problems:
            more = f" (and {self.problem_count - 1} more)" if self.problem_count > 1 else ""
            raise IntegrityError(f"{self.problems[0].text}{more}")


class LogVerifier:
    """Takes a log's entries one by one; it holds none of them but the one before."""

    def __init__(self, known_heads: Iterable[KnownHead] = ()) -> None:
        self._heads: dict[int, list[KnownHead]] = {}
        for known in known_heads:
            self._heads.setdefault(known.sequence, []).append(known)
        self._first: AuditEntry | None = None
        self._before: AuditEntry | None = None
        self._begins_after = 0
        self._restores: list[Restore] = []
        self._steps: list[ClockStep] = []
        self._met: list[KnownHead] = []
        self._against: list[KnownHead] = []
        self._missing: list[KnownHead] = []
        self._problems: list[Problem] = []
        self._problem_count = 0
        self._latest_time = 0

    def take(self, entry: AuditEntry) -> None:
        """Look at the next entry."""
        if entry.digest != entry_digest(entry):
            self._report(entry.sequence, f"entry {entry.sequence} was altered: its content has not its digest")
        restored = self._checked(entry)
        if self._before is None:
            self._begin(entry, restored)
        else:
            self._check_place(entry, self._before, restored)
        if restored is not None:
            self._take_restore(restored)
        self._compare(entry.sequence, entry.digest)
        self._latest_time = max(self._latest_time, entry.time)
        self._before = entry

    def finish(self) -> LogReport:
        """Return the report.

        Raises:
            IntegrityError: there was no entry at all.
        """
        if self._first is None or self._before is None:
            raise IntegrityError("the audit log is empty")
        for known in self._against:
            self._report_rewritten(known)
        for known in self._missing:
            text = f"entry {known.sequence} is missing, but {known.source} knows it"
            self._report(known.sequence, text, known.source)
        for sequence in sorted(sequence for sequence in self._heads if sequence > self._before.sequence):
            known = self._heads[sequence][0]
            text = f"the log ends at entry {self._before.sequence}, but {known.source} knows entry {sequence}"
            self._report(sequence, text, known.source)
        self._problems.sort(key=lambda problem: problem.sequence)
        return LogReport(
            first=self._first.sequence,
            last=self._before.sequence,
            head=self._before.digest,
            first_time=self._first.time,
            latest_time=self._latest_time,
            is_excerpt=self._begins_after > 0,
            restores=tuple(self._restores),
            clock_steps=tuple(self._steps),
            heads_met=tuple(self._met),
            heads_before=sum(len(heads) for sequence, heads in self._heads.items() if sequence < self._begins_after),
            problems=tuple(self._problems),
            problem_count=self._problem_count,
        )

    def _checked(self, entry: AuditEntry) -> RestoredEntry | None:
        """Check the form of an entry's details; return what it says if it tells of a restore."""
        try:
            check_details(entry.event, entry.details)
        except DocumentError as exc:
            self._report(entry.sequence, f"entry {entry.sequence}: {exc.message}")
            return None
        return restored_entry(entry) if entry.event is AuditEvent.RESTORED else None

    def _begin(self, entry: AuditEntry, restored: RestoredEntry | None) -> None:
        self._first = entry
        self._begins_after = entry.sequence - 1 if restored is None else restored.kept
        if self._begins_after == 0 and entry.previous != FIRST_PREVIOUS:
            name = f"entry {entry.sequence}"
            self._report(entry.sequence, f"{name} follows another entry: what was before it is missing")
        if self._begins_after > 0:  # an excerpt: what its first entry follows may be known from elsewhere
            self._compare(self._begins_after, entry.previous)

    def _check_place(self, entry: AuditEntry, before: AuditEntry, restored: RestoredEntry | None) -> None:
        expected = before.sequence + 1
        if restored is not None:
            expected = next_sequence(before.sequence, entry.event, entry.details)
            if restored.kept != before.sequence:
                text = f"entry {entry.sequence} tells that {restored.kept} was the newest entry kept in a restore"
                self._report(entry.sequence, f"{text}: it is {before.sequence}")
        if entry.sequence != expected:
            self._report(expected, f"entry {expected} is missing: entry {entry.sequence} stands in its place")
        elif entry.previous != before.digest:
            self._report(
                expected, f"entry {expected} does not follow entry {before.sequence}: one of the two was exchanged"
            )
        if entry.time < before.time and len(self._steps) < _MOST_SHOWN:
            self._steps.append(ClockStep(entry.sequence, before.time - entry.time))

    def _take_restore(self, told: RestoredEntry) -> None:
        if len(self._restores) == MOST_RESTORES:
            self._report(told.sequence, f"entry {told.sequence} tells of restore number {MOST_RESTORES + 1}: too many")
            return
        kept = told.kept if self._before is None else self._before.sequence
        self._missing += [
            head for number, heads in self._heads.items() if kept < number < told.sequence for head in heads
        ]
        vouched, kept_time = self._vouched, 0 if self._before is None else self._before.time
        lost = self._lost(told.anchor, vouched)
        self._against = [known for known in self._against if known not in lost]
        self._missing = [known for known in self._missing if known not in lost]
        self._restores.append(Restore(told, kept_time, vouched, lost))

    def _lost(self, anchor: LostAnchor | None, vouched: int) -> tuple[KnownHead, ...]:
        """Return the known heads that a restore explains: none, unless the anchor that it names is known."""
        if anchor is None:
            return ()
        unmet = sorted([*self._against, *self._missing], key=lambda known: known.sequence)
        if all((known.sequence, known.head) != (anchor.sequence, anchor.head) for known in unmet):
            return ()
        return tuple(known for known in unmet if vouched < known.sequence <= anchor.sequence)

    @property
    def _vouched(self) -> int:
        """The newest entry that a known head bears out."""
        return max((met.sequence for met in self._met), default=0)

    def _compare(self, sequence: int, digest: str) -> None:
        for known in self._heads.get(sequence, ()):
            (self._met if known.head == digest else self._against).append(known)

    def _report_rewritten(self, known: KnownHead) -> None:
        since = max((met.sequence for met in self._met if met.sequence < known.sequence), default=0)
        self._report(
            known.sequence,
            f"entry {known.sequence} is not the one that {known.source} knows: "
            f"the log was rewritten after entry {since}, and not after entry {known.sequence}",
            known.source,
        )

    def _report(self, sequence: int, text: str, source: str = "") -> None:
        self._problem_count += 1
        if len(self._problems) < _MOST_SHOWN:
            self._problems.append(Problem(sequence, text, source))


def verify_log(entries: Iterable[AuditEntry], known_heads: Iterable[KnownHead] = ()) -> LogReport:
    """Return the report on a whole log or an excerpt; `known_heads` are digests known from elsewhere.

    Raises:
        IntegrityError: there is no entry.
    """
    verifier = LogVerifier(known_heads)
    for entry in entries:
        verifier.take(entry)
    return verifier.finish()
