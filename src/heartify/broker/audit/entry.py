"""One entry of the audit log, and the chain of digests that it is part of.

    digest = SHA-256 of the canonical JSON of the entry without its digest; `previous` is the digest of the entry before

So whoever knows the newest digest, such as from the chain where it is anchored, knows that nothing before it was
altered, taken out or put in. Entries hold ids, addresses and reasons of our own wording: no key, no patient's value, no
free text of a requester.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from heartify.errors import IntegrityError
from heartify.protocol.canonical import Digest, digest_of

FIRST_PREVIOUS = "0x" + "00" * 32
_MAX_DETAIL = 600


class AuditEvent(StrEnum):
    """What can be in the log."""

    CREATED = "created"
    STARTED = "started"
    KEYS_RELEASED = "keys-released"
    RELEASE_REFUSED = "release-refused"
    VERSION_ADDED = "version-added"
    VERSION_REVOKED = "version-revoked"
    KEYS_ERASED = "keys-erased"
    GRANT_ADDED = "grant-added"
    GRANT_REVOKED = "grant-revoked"
    RELEASE_APPROVED = "release-approved"
    RELEASE_REPLACED = "release-replaced"
    APPROVAL_WITHDRAWN = "approval-withdrawn"
    REQUESTER_RULE_SET = "requester-rule-set"
    REQUESTER_RULE_REMOVED = "requester-rule-removed"
    PAUSED = "paused"
    RESUMED = "resumed"
    KEK_ROTATED = "kek-rotated"
    POLICY_CHANGED = "policy-changed"
    BACKED_UP = "backed-up"
    RESTORED = "restored"
    ANCHORED = "anchored"


class AuditEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry. `sequence` counts from 1 without gaps; `time` is in UTC seconds by the broker's clock."""

    sequence: Annotated[int, msgspec.Meta(ge=1)]
    time: int
    event: AuditEvent
    details: dict[str, str]
    previous: Digest
    digest: Digest


def next_entry(previous: AuditEntry | None, time: int, event: AuditEvent, details: Mapping[str, str]) -> AuditEntry:
    """Return the entry that follows `previous`, or the first one. Overlong details are cut."""
    unsigned = AuditEntry(
        sequence=1 if previous is None else previous.sequence + 1,
        time=time,
        event=event,
        details={name: value[:_MAX_DETAIL] for name, value in details.items()},
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
