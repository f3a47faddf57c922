"""What an entry may hold: a closed list of details and forms, in which nothing secret and nobody's words fit."""

from __future__ import annotations

import pytest

from heartify.broker.audit.details import (
    ALLOWED_DETAILS,
    MAX_REASON,
    REQUIRED_DETAILS,
    AuditEvent,
    check_details,
    checked_details,
)
from heartify.broker.audit.entry import next_entry
from heartify.errors import DocumentError

DIGEST, ADDRESS = "0x" + "ab" * 32, "0x" + "cd" * 20
GOOD = {
    "deal": DIGEST, "dataset": DIGEST, "order": DIGEST, "release": DIGEST, "by": DIGEST, "key_commitment": DIGEST,
    "policy": DIGEST, "digest": DIGEST, "head": DIGEST, "tx": DIGEST, "measurement": DIGEST, "enclave": ADDRESS,
    "broker": ADDRESS, "registry": ADDRESS, "market": ADDRESS, "requester": ADDRESS, "attempt": "1", "count": "20",
    "max_deals": "3", "per_days": "7", "sequence": "12", "block": "0", "chain": "31337", "reason_code": "plan",
    "method": "database-rewritten", "from": "seed:00ff", "to": "pkcs11:token/key-1", "tee_kind": "sgx",
    "anchor_sequence": "9", "anchor_head": DIGEST, "simulated": "no", "decision": "deny",
    "name": "Heartify 1.0", "reason": "odd requests; asked the pool",
}  # fmt: skip
SECRETS = {
    "a patient's value": "systolic 163",
    "a patient's name": "Müller, Anna",
    "a key in hex": "0x" + "5e" * 31,
    "a key without 0x": "5e" * 32,
    "a key in base64": "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=",
    "a requester's words": "please release these\nkeys",
    "nothing": "",
}
TEXTS = ("name", "reason")


def good_details(event: AuditEvent) -> dict[str, str]:
    version = "0.1.0+local" if event is AuditEvent.STARTED else DIGEST
    return {name: GOOD.get(name, version) for name in ALLOWED_DETAILS[event]}


def test_every_event_has_its_list():
    assert set(ALLOWED_DETAILS) == set(AuditEvent)
    assert all(names <= ALLOWED_DETAILS[event] for event, names in REQUIRED_DETAILS.items())


@pytest.mark.parametrize("event", AuditEvent)
def test_an_entry_may_hold_all_of_its_details(event):
    details = good_details(event)

    assert next_entry(None, 0, event, details).details == details


@pytest.mark.parametrize("event", AuditEvent)
@pytest.mark.parametrize("name", ["key", "plan", "row", "note", "words"])
def test_a_detail_that_is_not_listed_is_refused(event, name):
    with pytest.raises(DocumentError, match="has no detail 1 unknown"):
        next_entry(None, 0, event, {**good_details(event), name: "163"})


@pytest.mark.parametrize("event", AuditEvent)
def test_a_detail_of_another_event_is_refused(event):
    foreign = next(name for name in GOOD if name not in ALLOWED_DETAILS[event])

    with pytest.raises(DocumentError, match=f"`{event.value}` has no detail {foreign}$"):
        check_details(event, {**good_details(event), foreign: GOOD[foreign]})


PLACES = [
    (event, name, kind)
    for event in AuditEvent
    for name in sorted(ALLOWED_DETAILS[event])
    for kind in SECRETS
    # The two texts are the steward's own; what doesn't fit on a line doesn't fit there either.
    if name not in TEXTS or kind in ("nothing", "a requester's words")
]


@pytest.mark.parametrize(("event", "name", "kind"), PLACES)
def test_no_detail_takes_what_is_no_id(event, name, kind):
    with pytest.raises(DocumentError) as refused:
        check_details(event, {**good_details(event), name: SECRETS[kind]})

    assert f"the detail {name} of an entry `{event.value}`" in refused.value.message
    assert not SECRETS[kind] or SECRETS[kind] not in refused.value.message


@pytest.mark.parametrize(
    ("event", "name"), [(event, name) for event, names in REQUIRED_DETAILS.items() for name in sorted(names)]
)
def test_an_entry_without_what_an_auditor_needs_is_refused(event, name):
    details = good_details(event)
    del details[name]

    with pytest.raises(DocumentError, match=f"needs the detail {name}"):
        check_details(event, details)


@pytest.mark.parametrize("name", [name for name in GOOD if name not in TEXTS])
@pytest.mark.parametrize("change", [".{}", "{}\n", " {}", "{}\x00", "{}\u2028"])
def test_a_form_has_no_room_beside_it(name, change):
    event = next(event for event, names in ALLOWED_DETAILS.items() if name in names)
    value = change.format(GOOD[name])

    with pytest.raises(DocumentError):
        check_details(event, {**good_details(event), name: value})


def test_a_stewards_reason_is_one_line_of_limited_length():
    details = checked_details(AuditEvent.PAUSED, {"reason": "line one\r\n\x1bline two\x7f" + "x" * 300})

    assert details["reason"].startswith("line one line two xxx")
    assert len(details["reason"]) == MAX_REASON


def test_a_rule_for_everybody_else_can_be_told():
    assert checked_details(AuditEvent.REQUESTER_RULE_REMOVED, {"requester": "*"}) == {"requester": "*"}


@pytest.mark.parametrize("missing", ["anchor_sequence", "anchor_head", "digest", "sequence", "block"])
def test_a_restore_tells_what_it_kept_and_names_a_lost_anchor_wholly_or_not_at_all(missing):
    details = good_details(AuditEvent.RESTORED)
    del details[missing]

    with pytest.raises(DocumentError, match="needs"):
        check_details(AuditEvent.RESTORED, details)
