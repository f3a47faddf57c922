"""One entry of the audit log, and the chain of digests that it is part of.

    digest = SHA-256 of the canonical JSON of the entry without its digest; `previous` is the digest of the entry before

So whoever knows the newest digest, such as from the chain where it is anchored, knows that nothing before it was
altered, taken out or put in. Numbers have gaps of one kind only: an entry `restored` that names an anchor which the log
has lost takes the number after the anchor's (restored.py). Which details an event has, and in which form, is a closed
list (details.py): ids, addresses, numbers and codes. No entry can hold a key, a patient's value or a requester's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from heartify.broker.audit.details import AuditEvent, check_details, checked_details
from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import Digest, digest_of

FIRST_PREVIOUS = "0x" + "00" * 32

__all__ = [
    "FIRST_PREVIOUS",
    "AuditEntry",
    "AuditEvent",
    "check_follows",
    "entry_digest",
    "next_entry",
    "next_sequence",
]


class AuditEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry. `sequence` counts from 1, with gaps after restores only; `time`: UTC seconds by the broker's clock."""

    sequence: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
    time: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    event: AuditEvent
    details: dict[str, str]
    previous: Digest
    digest: Digest


def next_entry(previous: AuditEntry | None, time: int, event: AuditEvent, details: Mapping[str, str]) -> AuditEntry:
    """Return the entry that follows `previous`, or the first one.

    Raises:
        DocumentError: a detail isn't one of the event's, or has another form.
    """
    checked = checked_details(event, details)
    unsigned = AuditEntry(
        sequence=next_sequence(0 if previous is None else previous.sequence, event, checked),
        time=time,
        event=event,
        details=checked,
        previous=FIRST_PREVIOUS if previous is None else previous.digest,
        digest=FIRST_PREVIOUS,
    )
    return msgspec.structs.replace(unsigned, digest=entry_digest(unsigned))


def entry_digest(entry: AuditEntry) -> str:
    """Return the digest that an entry of this content must have."""
    content = msgspec.to_builtins(entry)
    del content["digest"]
    return digest_of(content)


def next_sequence(newest: int, event: AuditEvent, details: Mapping[str, str]) -> int:
    """Return the number of the entry of these checked details that follows number `newest`, 0 for an empty log.

    A number that was anchored is never used twice, not even by a log that has forgotten what had it.
    """
    lost = int(details.get("anchor_sequence", "0")) if event is AuditEvent.RESTORED else 0
    return max(newest, lost) + 1


def check_follows(entry: AuditEntry, previous: AuditEntry | None) -> None:
    """Raise IntegrityError unless `entry` is intact and the one that comes after `previous`."""
    if entry.digest != entry_digest(entry):
        raise IntegrityError(f"audit entry {entry.sequence} is not what its digest says")
    try:
        check_details(entry.event, entry.details)
    except DocumentError as exc:
        raise IntegrityError(f"audit entry {entry.sequence} is none that a broker writes: {exc.message}") from exc
    newest, digest = (0, FIRST_PREVIOUS) if previous is None else (previous.sequence, previous.digest)
    if (entry.sequence, entry.previous) != (next_sequence(newest, entry.event, entry.details), digest):
        raise IntegrityError(f"audit entry {entry.sequence} does not follow entry {newest}")
