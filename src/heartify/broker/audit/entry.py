"""One entry of the audit log, and the chain of digests that it is part of.

    digest = SHA-256 of the canonical JSON of the entry without its digest; `previous` is the digest of the entry before

So whoever knows the newest digest, such as from the chain where it is anchored, knows that nothing before it was
altered, taken out or put in. Which details an event has, and in which form, is a closed list (details.py): ids,
addresses, numbers and codes. No entry can hold a key, a patient's value or a requester's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from heartify.broker.audit.details import AuditEvent, checked_details
from heartify.errors import IntegrityError
from heartify.protocol.canonical import Digest, digest_of

FIRST_PREVIOUS = "0x" + "00" * 32

__all__ = ["FIRST_PREVIOUS", "AuditEntry", "AuditEvent", "check_follows", "entry_digest", "next_entry"]


class AuditEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry. `sequence` counts from 1 without gaps; `time` is in UTC seconds by the broker's clock."""

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
    unsigned = AuditEntry(
        sequence=1 if previous is None else previous.sequence + 1,
        time=time,
        event=event,
        details=checked_details(event, details),
        previous=FIRST_PREVIOUS if previous is None else previous.digest,
        digest=FIRST_PREVIOUS,
    )
    return msgspec.structs.replace(unsigned, digest=entry_digest(unsigned))


def entry_digest(entry: AuditEntry) -> str:
    """Return the digest that an entry of this content must have."""
    content = msgspec.to_builtins(entry)
    del content["digest"]
    return digest_of(content)


def check_follows(entry: AuditEntry, previous: AuditEntry | None) -> None:
    """Raise IntegrityError unless `entry` is intact and the one that comes after `previous`."""
    if entry.digest != entry_digest(entry):
        raise IntegrityError(f"audit entry {entry.sequence} is not what its digest says")
    expected = (1, FIRST_PREVIOUS) if previous is None else (previous.sequence + 1, previous.digest)
    if (entry.sequence, entry.previous) != expected:
        raise IntegrityError(f"audit entry {entry.sequence} does not follow entry {expected[0] - 1}")
