"""Whatever is done to an exported audit log, once, is found, and the entry is named."""

from __future__ import annotations

import io
from collections.abc import Sequence

import msgspec
from hypothesis import assume, given, seed, settings
from hypothesis import strategies as st

from heartify.broker.audit.chain_records import Anchored, ChainRecords
from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.entry import AuditEntry, entry_digest, next_entry
from heartify.broker.audit.export import ExportHeader
from heartify.broker.audit.verdict import audit_export
from heartify.chain.events import AuditLogAnchored, Place
from heartify.errors import DocumentError
from heartify.protocol.audit_anchor import AuditAnchor, sign_audit_anchor
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.eip712 import Domain, address, bytes32, uint256
from heartify.protocol.signing import address_of, sign_digest

KEY = b"\x31" * 32
BROKER = address_of(KEY)
DOMAIN = Domain(31337, "0x" + "ab" * 20)
DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: f"0x{number:064x}")
BOUNDED = settings(max_examples=80, deadline=None, database=None)

REASONS = st.text('aé心"\\/ ', max_size=9).map(lambda text: f"x{text}x")
DETAILS = st.one_of(
    st.tuples(st.just(AuditEvent.RESUMED), st.just({})),
    st.tuples(st.just(AuditEvent.GRANT_ADDED), st.fixed_dictionaries({"order": DIGESTS, "version": DIGESTS})),
    st.tuples(st.just(AuditEvent.RELEASE_REFUSED), st.builds(lambda deal: {"deal": deal, "reason_code": "a"}, DIGESTS)),
    st.tuples(st.just(AuditEvent.PAUSED), st.fixed_dictionaries({"reason": REASONS})),
)
LOGS = st.lists(st.tuples(DETAILS, st.integers(0, 2**40)), min_size=2, max_size=14)


def chain(items: list[tuple[tuple[AuditEvent, dict[str, str]], int]]) -> list[AuditEntry]:
    made: list[AuditEntry] = []
    for (event, details), time in items:
        made.append(next_entry(made[-1] if made else None, time, event, details))
    return made


def rechained(entries: list[AuditEntry]) -> list[AuditEntry]:
    return chain([((entry.event, dict(entry.details)), entry.time) for entry in entries])


def signed_header(entries: list[AuditEntry], *, last: int | None = None, head: str | None = None) -> ExportHeader:
    last, head = last or entries[-1].sequence, head or entries[-1].digest
    anchor = AuditAnchor(broker=address(BROKER), sequence=uint256(last), head=bytes32(head))
    signature = sign_audit_anchor(anchor, DOMAIN, lambda digest: sign_digest(KEY, digest)).signature
    return ExportHeader(
        broker=BROKER,
        chain_id=DOMAIN.chain_id,
        registry=DOMAIN.contract,
        first=1,
        last=last,
        head=head,
        signature=signature,
    )


def audit(
    header: ExportHeader, entries: list[AuditEntry], anchors: Sequence[tuple[int, str]] = (), known: Sequence[str] = ()
):
    data = b"".join(encode_canonical(item) + b"\n" for item in (header, *entries))
    places = [Anchored(AuditLogAnchored(BROKER, n, digest, Place(n, 0, "0x")), n) for n, digest in anchors]
    records = ChainRecords(tuple(places), (), frozenset({"0x" + "21" * 32}))
    return audit_export(io.BytesIO(data), lambda _: records, known_restores=frozenset(known))


def named(verdict, *numbers: int) -> bool:
    """Tell whether a failed check names one of these entries."""
    reasons = [check.reason for check in verdict.checks if not check.passed]
    return any(f"entry {number}" in reason for reason in reasons for number in numbers)


def anchors_of(data: st.DataObject, entries: list[AuditEntry], least: int = 1) -> list[tuple[int, str]]:
    numbers = data.draw(st.sets(st.integers(least, len(entries)), min_size=1, max_size=3))
    return [(number, entries[number - 1].digest) for number in sorted(numbers)]


@seed(20_261_122)
@BOUNDED
@given(items=LOGS, data=st.data())
def test_an_honest_log_passes(items, data):
    entries = chain(items)

    verdict = audit(signed_header(entries), entries, anchors_of(data, entries))

    assert verdict.passed, verdict.checks


EDITS = st.one_of(
    st.builds(lambda step: {"time": step}, st.integers(2**41, 2**42)),
    st.builds(lambda digest: {"details": {"order": digest}, "event": AuditEvent.GRANT_REVOKED}, DIGESTS),
    st.builds(lambda digest: {"previous": digest}, DIGESTS),
    st.builds(lambda digest: {"digest": digest}, DIGESTS),
)


@seed(20_261_122)
@BOUNDED
@given(items=LOGS, data=st.data(), edit=EDITS, rehash=st.booleans())
def test_an_edit_is_found(items, data, edit, rehash):
    entries = chain(items)
    header, anchors = signed_header(entries), anchors_of(data, entries)
    at = data.draw(st.integers(0, len(entries) - 1))
    changed = msgspec.structs.replace(entries[at], **edit)
    if rehash and "digest" not in edit:
        changed = msgspec.structs.replace(changed, digest=entry_digest(changed))
    assume(changed != entries[at])
    edited = [*entries[:at], changed, *entries[at + 1 :]]

    verdict = audit(header, edited, anchors)

    # Whoever hashes anew moves the fault to the entry behind it; the last one is held by the signature.
    assert not verdict.passed
    assert named(verdict, at + 1, at + 2)


@seed(20_261_122)
@BOUNDED
@given(items=LOGS, data=st.data())
def test_a_deletion_an_insertion_and_a_swap_are_found(items, data):
    entries = chain(items)
    header, anchors = signed_header(entries), anchors_of(data, entries)
    at = data.draw(st.integers(0, len(entries) - 1))
    other = data.draw(st.integers(0, len(entries) - 1).filter(lambda number: number != at))
    swapped = list(entries)
    swapped[at], swapped[other] = entries[other], entries[at]
    first = min(at, other) + 1
    new = next_entry(entries[at], 5, AuditEvent.RESUMED, {})

    deleted = audit(header, [*entries[:at], *entries[at + 1 :]], anchors)
    inserted = audit(header, [*entries[: at + 1], new, *entries[at + 1 :]], anchors)
    exchanged = audit(header, swapped, anchors)

    assert not deleted.passed
    # Of a log without its last entries only the end is known, and how many there should be.
    assert named(deleted, at + 1, at, 2) if at else named(deleted, 2)
    assert not inserted.passed
    assert named(inserted, at + 2, at + 3)
    assert not exchanged.passed
    assert named(exchanged, first, max(at, other) + 1)


@seed(20_261_122)
@BOUNDED
@given(items=LOGS, data=st.data())
def test_a_log_that_the_broker_itself_cut_below_an_anchor_is_found(items, data):
    entries = chain(items)
    anchors = anchors_of(data, entries, least=2)
    newest = anchors[-1][0]
    kept = entries[: data.draw(st.integers(1, newest - 1))]

    verdict = audit(signed_header(kept), kept, anchors)

    assert not verdict.passed
    assert any(named(verdict, number) for number, _ in anchors if number > len(kept))


@seed(20_261_122)
@BOUNDED
@given(items=LOGS, data=st.data())
def test_a_fork_that_the_broker_itself_signed_is_found_at_the_first_anchor_behind_it(items, data):
    entries = chain(items)
    anchors = anchors_of(data, entries)
    newest = anchors[-1][0]
    at = data.draw(st.integers(0, newest - 1))
    forked = [*entries[:at], msgspec.structs.replace(entries[at], time=2**42), *entries[at + 1 :]]
    forked = rechained(forked)

    verdict = audit(signed_header(forked), forked, anchors)

    found = next(number for number, _ in anchors if number > at)
    held = max((number for number, _ in anchors if number <= at), default=0)
    (reason,) = [check.reason for check in verdict.checks if check.name == "anchors"]
    assert not verdict.passed
    assert reason.startswith(f"entry {found} is not the one")
    assert f"rewritten after entry {held}, and not after entry {found}" in reason


def restored(entries: list[AuditEntry], kept: int, lost: tuple[int, str], more: int) -> list[AuditEntry]:
    """Return a log that went on from `kept` entries after a restore which names a lost anchor."""
    made = entries[:kept]
    details = {"digest": "0x" + "55" * 32, "sequence": str(kept), "block": str(2**30)}
    named = {"anchor_sequence": str(lost[0]), "anchor_head": lost[1]}
    made.append(next_entry(made[-1] if made else None, 7, AuditEvent.RESTORED, details | named))
    for _ in range(more):
        made.append(next_entry(made[-1], 8, AuditEvent.RESUMED, {}))
    return made


@seed(20_261_122)
@BOUNDED
@given(items=LOGS, data=st.data(), more=st.integers(0, 3))
def test_whatever_a_restore_lost_is_told_and_later_anchors_hold(items, data, more):
    entries = chain(items)
    anchors = anchors_of(data, entries)
    newest = anchors[-1][0]
    kept = data.draw(st.integers(0, newest - 1))
    log = restored(entries, kept, anchors[-1], more)
    later = data.draw(st.integers(0, more))
    chained = [*anchors, (log[kept + later].sequence, log[kept + later].digest)]
    header = signed_header(log)
    header = msgspec.structs.replace(header, first=log[0].sequence)

    # Anchors have their number as their block here: one that was made after the restore contradicts it.
    verdict = audit(header, log, anchors)
    told = audit(header, log, anchors, [log[kept].digest])

    (finding,) = verdict.restores
    assert [check.name for check in verdict.checks if check.name != "anchors" and not check.passed] == ["restores"]
    assert (finding.first_lost, finding.last_lost) == (kept + 1, newest)
    assert log[kept].sequence == newest + 1
    assert told.restores[0].passed
    assert not [problem for problem in told.report.problems if problem.source]
    anchored = audit(header, log, chained, [log[kept].digest])
    assert anchored.report.heads_met[-1].sequence == newest + 1 + later
    assert not anchored.report.problems


@seed(20_261_122)
@BOUNDED
@given(items=LOGS, data=st.data())
def test_a_known_restore_hides_no_rewriting_before_the_last_anchor_that_was_kept(items, data):
    entries = chain(items)
    assume(len(entries) >= 3)
    held, lost = sorted(data.draw(st.sets(st.integers(1, len(entries)), min_size=2, max_size=2)))
    anchors = [(number, entries[number - 1].digest) for number in (held, lost)]
    kept = data.draw(st.integers(held, lost - 1))
    at = data.draw(st.integers(0, held - 1))
    forged = rechained([*entries[:at], msgspec.structs.replace(entries[at], time=2**42), *entries[at + 1 : kept]])
    log = restored(forged, kept, anchors[-1], 1)

    verdict = audit(signed_header(log), log, anchors, [log[kept].digest])

    # No anchor holds, and the restore, which the auditor took for an honest one, is told as what it is.
    (finding,) = verdict.restores
    assert not verdict.passed
    assert (finding.is_replaced, finding.first_lost, finding.last_lost) == (True, 1, lost)
    assert f"entries 1 to {kept} here are not those that were anchored" in finding.text


@seed(20_261_122)
@BOUNDED
@given(items=LOGS, data=st.data())
def test_any_single_byte_that_is_changed_is_found(items, data):
    entries = chain(items)
    text = b"".join(encode_canonical(item) + b"\n" for item in (signed_header(entries), *entries))
    position = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != text[position]))
    damaged = text[:position] + bytes([byte]) + text[position + 1 :]

    try:
        verdict = audit_export(io.BytesIO(damaged))
    except DocumentError:  # the header's form
        assert position <= text.index(b"\n")
    else:
        assert not verdict.passed
