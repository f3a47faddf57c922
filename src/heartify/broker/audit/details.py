"""What an audit entry may tell: for each event its details, for each detail its form. Anything else is refused.

The list is what keeps the log fit to be handed out: an export goes to auditors, so it holds ids that are on chain
anyway, codes, numbers, and two texts of the hospital's own: the name of a release that a steward approved, and the
reason that a steward gave for a pause. A value of another form raises, and the message never repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from heartify.errors import DocumentError
from heartify.protocol.evidence import TEE_KIND_NAMES

MAX_REASON = 200


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


ALLOWED_DETAILS: Mapping[AuditEvent, frozenset[str]] = MappingProxyType(
    {
        AuditEvent.CREATED: frozenset({"broker", "chain", "registry", "market"}),
        AuditEvent.STARTED: frozenset({"version"}),
        AuditEvent.KEYS_RELEASED: frozenset(
            {"deal", "version", "requester", "enclave", "measurement", "tee_kind", "simulated", "attempt"}
        ),
        AuditEvent.RELEASE_REFUSED: frozenset({"deal", "version", "reason_code", "count"}),
        AuditEvent.VERSION_ADDED: frozenset({"version", "dataset"}),
        AuditEvent.VERSION_REVOKED: frozenset({"version", "key_commitment"}),
        AuditEvent.KEYS_ERASED: frozenset({"version", "method"}),
        AuditEvent.GRANT_ADDED: frozenset({"order", "version"}),
        AuditEvent.GRANT_REVOKED: frozenset({"order"}),
        AuditEvent.RELEASE_APPROVED: frozenset({"release", "name"}),
        AuditEvent.RELEASE_REPLACED: frozenset({"release", "by"}),
        AuditEvent.APPROVAL_WITHDRAWN: frozenset({"release"}),
        AuditEvent.REQUESTER_RULE_SET: frozenset({"requester", "decision", "max_deals", "per_days"}),
        AuditEvent.REQUESTER_RULE_REMOVED: frozenset({"requester"}),
        AuditEvent.PAUSED: frozenset({"reason"}),
        AuditEvent.RESUMED: frozenset(),
        AuditEvent.KEK_ROTATED: frozenset({"from", "to", "count"}),
        AuditEvent.POLICY_CHANGED: frozenset({"policy"}),
        AuditEvent.BACKED_UP: frozenset({"digest"}),
        AuditEvent.RESTORED: frozenset({"digest", "sequence", "block", "anchor_sequence", "anchor_head"}),
        AuditEvent.ANCHORED: frozenset({"sequence", "head", "tx", "block"}),
    }
)
"""The details that an event may have."""

REQUIRED_DETAILS: Mapping[AuditEvent, frozenset[str]] = MappingProxyType(
    {
        AuditEvent.KEYS_RELEASED: ALLOWED_DETAILS[AuditEvent.KEYS_RELEASED],
        AuditEvent.RELEASE_REFUSED: frozenset({"reason_code"}),
        AuditEvent.RESTORED: frozenset({"digest", "sequence", "block"}),
        AuditEvent.ANCHORED: ALLOWED_DETAILS[AuditEvent.ANCHORED],
    }
)
"""The details without which an entry of the event says nothing to an auditor."""

_LOST_ANCHOR = frozenset({"anchor_sequence", "anchor_head"})
"""One of these says nothing without the other."""

_DIGEST = r"0x[0-9a-f]{64}"
_ADDRESS = r"0x[0-9a-f]{40}"
_NUMBER = r"0|[1-9][0-9]{0,15}"
_CODE = r"[a-z][a-z0-9-]{0,62}"
_PLAIN_TEXT = r"[^\x00-\x1f\x7f\ud800-\udfff]"

_FORMS = {
    **dict.fromkeys(
        ("deal", "version", "dataset", "order", "release", "by", "key_commitment", "policy", "digest", "head", "tx"),
        _DIGEST,
    ),
    "anchor_head": _DIGEST,
    "anchor_sequence": r"[1-9][0-9]{0,14}",
    **dict.fromkeys(("enclave", "broker", "registry", "market"), _ADDRESS),
    **dict.fromkeys(("attempt", "count", "max_deals", "per_days", "sequence", "block", "chain"), _NUMBER),
    **dict.fromkeys(("reason_code", "method"), _CODE),
    **dict.fromkeys(("from", "to"), r"[a-z][a-z0-9]{1,15}:[A-Za-z0-9:._/=@+-]{1,180}"),
    "requester": rf"{_ADDRESS}|\*",
    "measurement": r"0x([0-9a-f]{64}|[0-9a-f]{96})",
    "tee_kind": "|".join(map(re.escape, TEE_KIND_NAMES)),
    "simulated": "yes|no",
    "decision": "allow|deny",
    "name": rf"{_PLAIN_TEXT}{{1,200}}",
    "reason": rf"{_PLAIN_TEXT}{{1,{MAX_REASON}}}",
}
_PROGRAM_VERSION = r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}((a|b|rc|\.dev|\.post)[0-9]{1,6})?(\+[a-z0-9.]{1,20})?"  # PEP 440
_OWN_FORMS = {(AuditEvent.STARTED, "version"): _PROGRAM_VERSION}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def checked_details(event: AuditEvent, details: Mapping[str, str]) -> dict[str, str]:
    """Return the details as an entry holds them: a pause's reason on one line, all else unchanged.

    Raises:
        DocumentError: one is missing, not one of the event's, or not of its form.
    """
    kept = {
        name: _CONTROL.sub(" ", value).strip()[:MAX_REASON] if name == "reason" else value
        for name, value in details.items()
    }
    check_details(event, kept)
    return kept


def check_details(event: AuditEvent, details: Mapping[str, str]) -> None:
    """Raise DocumentError unless an entry of this event may hold these details; the message names no value."""
    if foreign := sorted(set(details) - ALLOWED_DETAILS[event]):
        # A name can be anything in a forged export: only its length is safe to repeat.
        named = [name for name in foreign if name in _FORMS] or [f"{len(foreign)} unknown"]
        raise DocumentError(f"an entry `{event.value}` has no detail {', '.join(named)}")
    if missing := sorted(REQUIRED_DETAILS.get(event, frozenset()) - set(details)):
        raise DocumentError(f"an entry `{event.value}` needs the detail {', '.join(missing)}")
    if len(_LOST_ANCHOR & set(details)) == 1:
        raise DocumentError(f"an entry `{event.value}` needs both of {', '.join(sorted(_LOST_ANCHOR))}, or neither")
    for name, value in details.items():
        form = _OWN_FORMS.get((event, name), _FORMS[name])
        if re.fullmatch(form, value) is None:
            raise DocumentError(f"the detail {name} of an entry `{event.value}` has not the form of one")
