"""Verify a log entry by entry: the chain of digests, the forms of the details, and the heads that were anchored.

Pure: it takes entries in the order in which they stand, and says what is wrong and where. It trusts the anchors that it
is given and nothing of the log. A clock that went back is told of, not refused: an honest broker's may be set right.

What an anchor adds. Whoever has the database can write the whole chain anew; only a head that is known from elsewhere
(the chain, an earlier export) shows it. So a rewriting is found if it reaches back to any anchored entry, and its place
is known to lie between the last anchor that the log still meets and the first that it doesn't.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from heartify.broker.audit.details import AuditEvent, check_details
from heartify.broker.audit.entry import FIRST_PREVIOUS, AuditEntry, entry_digest
from heartify.errors import DocumentError, IntegrityError

_MOST_SHOWN = 100


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What a log is, and what is wrong with it. Times are in UTC seconds by the broker's clock.

    `latest_time` is the latest that any entry says. `first` is 1 unless the log is an excerpt. `heads_met` are the
    known heads that the log has; `heads_before` is how many lie before an excerpt and so couldn't be compared.
    `problems` holds the first hundred of `problem_count`.
    """

    first: int
    last: int
    head: str
    first_time: int
    latest_time: int
    restored: tuple[int, ...]
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
        self._restored: list[int] = []
        self._steps: list[ClockStep] = []
        self._met: list[KnownHead] = []
        self._problems: list[Problem] = []
        self._problem_count = 0
        self._latest_time = 0

    def take(self, entry: AuditEntry) -> None:
        """Look at the next entry."""
        if self._before is None:
            self._begin(entry)
        else:
            self._check_place(entry, self._before)
        if entry.digest != entry_digest(entry):
            self._report(entry.sequence, f"entry {entry.sequence} was altered: its content has not its digest")
        try:
            check_details(entry.event, entry.details)
        except DocumentError as exc:
            self._report(entry.sequence, f"entry {entry.sequence}: {exc.message}")
        self._compare(entry.sequence, entry.digest)
        if entry.event is AuditEvent.RESTORED and len(self._restored) < _MOST_SHOWN:
            self._restored.append(entry.sequence)
        self._latest_time = max(self._latest_time, entry.time)
        self._before = entry

    def finish(self) -> LogReport:
        """Return the report.

        Raises:
            IntegrityError: there was no entry at all.
        """
        if self._first is None or self._before is None:
            raise IntegrityError("the audit log is empty")
        first, last = self._first.sequence, self._before.sequence
        for sequence in sorted(sequence for sequence in self._heads if sequence > last):
            known = self._heads[sequence][0]
            text = f"the log ends at entry {last}, but {known.source} knows entry {sequence}"
            self._report(sequence, text, known.source)
        return LogReport(
            first=first,
            last=last,
            head=self._before.digest,
            first_time=self._first.time,
            latest_time=self._latest_time,
            restored=tuple(self._restored),
            clock_steps=tuple(self._steps),
            heads_met=tuple(self._met),
            heads_before=sum(len(heads) for sequence, heads in self._heads.items() if sequence < first - 1),
            problems=tuple(self._problems),
            problem_count=self._problem_count,
        )

    def _begin(self, entry: AuditEntry) -> None:
        self._first = entry
        if entry.sequence == 1 and entry.previous != FIRST_PREVIOUS:
            self._report(1, "entry 1 follows another entry: what was before it is missing")
        if entry.sequence > 1:  # an excerpt: what its first entry follows may be known from elsewhere
            self._compare(entry.sequence - 1, entry.previous)

    def _check_place(self, entry: AuditEntry, before: AuditEntry) -> None:
        expected = before.sequence + 1
        if entry.sequence != expected:
            self._report(expected, f"entry {expected} is missing: entry {entry.sequence} stands in its place")
        elif entry.previous != before.digest:
            self._report(
                expected, f"entry {expected} does not follow entry {before.sequence}: one of the two was exchanged"
            )
        if entry.time < before.time and len(self._steps) < _MOST_SHOWN:
            self._steps.append(ClockStep(entry.sequence, before.time - entry.time))

    def _compare(self, sequence: int, digest: str) -> None:
        for known in self._heads.get(sequence, ()):
            if known.head == digest:
                self._met.append(known)
                continue
            since = max((met.sequence for met in self._met), default=0)
            self._report(
                sequence,
                f"entry {sequence} is not the one that {known.source} knows: "
                f"the log was rewritten after entry {since}, and not after entry {sequence}",
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
