"""A log that was restored: its gap is told, what was settled in it is listed, and nobody hides behind the word."""

from __future__ import annotations

import dataclasses
import io

import msgspec
import pytest

from heartify.broker.audit.chain_records import Anchored, ChainRecords
from heartify.broker.audit.cross_check import DealWithBroker
from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.entry import check_follows, entry_digest
from heartify.broker.audit.verdict import audit_export
from heartify.broker.audit.verification import KnownHead, verify_log
from heartify.chain.events import AuditLogAnchored, Place
from heartify.errors import IntegrityError

ANCHOR_BLOCK, RESTORE_BLOCK = 100, 200


@pytest.fixture
def whole(make_log):
    """The log that was lost: entry 4 and entry 9 are anchored, entry 8 is a release."""
    log = make_log("whole")
    log.fill(7)
    log.released(777)
    log.fill(1)
    return log


@pytest.fixture
def restored(whole, make_log):
    """What went on from a backup of entry 6, and lost 7 to 9."""
    log = make_log("restored")
    log.copy_from(whole, until=6)
    log.restored(RESTORE_BLOCK, whole.entries()[8])
    log.append(AuditEvent.PAUSED, reason="restored from a backup")
    log.append(AuditEvent.RESUMED)
    return log


def anchor(log, entry, block):
    return Anchored(AuditLogAnchored(log.broker, entry.sequence, entry.digest, Place(block, 0, "0x")), entry.time)


def records(whole, *later, deals=()):
    old = whole.entries()
    anchors = (anchor(whole, old[3], ANCHOR_BLOCK), anchor(whole, old[8], ANCHOR_BLOCK + 50), *later)
    logged = [deal_of(whole, number) for number in (101, 104)]
    return ChainRecords(anchors, (*logged, *deals), frozenset({whole.digest_for(1)}))


def deal_of(log, number, *, matched_block=150, settled_after=3600):
    return DealWithBroker(
        deal=log.digest_for(number),
        requester=log.address_for(9),
        matched_block=matched_block,
        matched_at=log.now - 60,
        deadline=log.now + 9000,
        versions=frozenset({log.digest_for(1)}),
        enclave=log.address_for(7),
        settled_at=log.now + settled_after,
        contributed=frozenset({log.digest_for(1)}),
    )


def audited(log, chain, **chosen):
    log.clock.now += 9000
    log.append(AuditEvent.RESUMED)
    return audit_export(io.BytesIO(log.export()[1]), None if chain is None else lambda _: chain, **chosen)


def reason(verdict, name="restores"):
    (check,) = [check for check in verdict.checks if check.name == name]
    return check.reason


def failed(verdict):
    return [check.name for check in verdict.checks if not check.passed]


def heads(whole):
    old = whole.entries()
    return [KnownHead(n, old[n - 1].digest, f"the anchor of {n}") for n in (4, 9)]


def test_the_log_goes_on_after_the_lost_anchor_and_hangs_on_what_was_kept(whole, restored):
    *kept, entry, paused, _ = restored.entries()

    assert (entry.sequence, entry.previous) == (10, kept[-1].digest)
    assert kept == whole.entries()[:6]
    check_follows(entry, kept[-1])
    check_follows(paused, entry)


def test_what_was_lost_is_a_finding_and_no_problem(whole, restored):
    report = verify_log(restored.entries(), heads(whole))

    report.check()
    (restore,) = report.restores
    assert restore.has_gap
    assert (restore.told.kept, restore.told.anchor.sequence, restore.vouched) == (6, 9, 4)
    assert [known.sequence for known in restore.lost] == [9]
    assert [known.sequence for known in report.heads_met] == [4]


def test_a_verdict_names_the_gap_until_the_auditor_knows_of_it(whole, restored):
    digest = restored.entries()[6].digest

    verdict = audited(restored, records(whole))

    assert failed(verdict) == ["restores"]
    assert "entries 7 to 9 were lost in a restore at block 200, which entry 10 tells of" in reason(verdict)
    assert "no anchor bears out what was kept after entry 4" in reason(verdict)
    with pytest.raises(IntegrityError, match="does not stand: restores") as caught:
        verdict.check()
    assert f"--known-restore {digest}" in caught.value.hint
    known = audited(restored, records(whole), known_restores={digest})
    known.check()
    assert "entries 7 to 9 were lost" in reason(known)
    assert "you said that you know of it" in reason(known)


def test_knowing_another_restore_changes_nothing(whole, restored):
    assert failed(audited(restored, records(whole), known_restores={whole.digest_for(1)})) == ["restores"]


def test_without_the_chain_the_gap_is_told_all_the_same(restored):
    verdict = audited(restored, None)

    assert failed(verdict) == ["restores"]
    assert "entries 7 to 9 were lost" in reason(verdict)


def test_later_anchors_hold_again(whole, restored):
    last = restored.entries()[-1]

    verdict = audited(restored, records(whole, anchor(whole, last, 300)))

    assert failed(verdict) == ["restores"]
    assert "anchors that hold: 2, the newest of entry 12" in reason(verdict, "anchors")
    assert "not anchored yet: 1" in reason(verdict, "anchors")


def test_deals_that_were_settled_in_the_gap_are_listed(whole, restored):
    lost = deal_of(whole, 777)

    verdict = audited(restored, records(whole, deals=(lost,)))

    assert failed(verdict) == ["restores"]
    assert f"no entry: 1 ({whole.digest_for(777)})" in reason(verdict)
    assert verdict.restores[0].lost_deals == (whole.digest_for(777),)
    assert "1 without an entry, see restores" in reason(verdict, "settled deals")
    (difference,) = verdict.differences
    assert (difference.deal, difference.restore) == (whole.digest_for(777), 10)


def test_a_known_restore_still_lists_its_deals(whole, restored):
    digest = restored.entries()[6].digest

    verdict = audited(restored, records(whole, deals=(deal_of(whole, 777),)), known_restores={digest})

    verdict.check()
    assert whole.digest_for(777) in reason(verdict)


def test_a_deal_matched_after_the_restore_is_excused_by_nothing(whole, restored):
    later = deal_of(whole, 778, matched_block=RESTORE_BLOCK + 1)

    verdict = audited(restored, records(whole, deals=(later,)), known_restores={restored.entries()[6].digest})

    assert failed(verdict) == ["settled deals"]


def test_a_deal_settled_long_before_the_newest_kept_entry_is_excused_by_nothing(whole, restored):
    """Its entry would be in what was kept."""
    early = deal_of(whole, 778, settled_after=-3600)

    verdict = audited(restored, records(whole, deals=(early,)), known_restores={restored.entries()[6].digest})

    assert failed(verdict) == ["settled deals"]


def test_a_restore_that_lost_nothing_the_chain_knows_passes_and_is_told(whole):
    whole.restored(RESTORE_BLOCK)

    verdict = audited(whole, records(whole, deals=(deal_of(whole, 777),)))

    assert "restores" not in failed(verdict)
    assert "no anchored entry was lost in a restore at block 200, which entry 10 tells of" in reason(verdict)


def test_a_restore_from_after_the_newest_anchor_lists_the_deals_that_it_lost(whole):
    whole.restored(RESTORE_BLOCK)
    lost = deal_of(whole, 999)

    verdict = audited(whole, records(whole, deals=(deal_of(whole, 777), lost)))

    assert "restores" in failed(verdict)
    assert verdict.restores[0].lost_deals == (whole.digest_for(999),)


# forgers


def test_a_rewritten_log_that_names_an_anchor_of_its_own_making_is_found(whole, make_log):
    forged = make_log("forged")
    forged.copy_from(whole, until=3)
    invented = msgspec.structs.replace(whole.entries()[8], sequence=40, digest=forged.digest_for(6))
    digest = forged.restored(RESTORE_BLOCK, invented).digest

    verdict = audited(forged, records(whole), known_restores={digest})

    assert failed(verdict) == ["anchors", "restores"]
    assert "entry 4 is missing, but the anchor in block 100 knows it" in reason(verdict, "anchors")
    assert "names an anchor of entry 40 that the chain doesn't have" in reason(verdict)


def test_a_rewritten_log_can_not_name_an_anchor_in_the_middle(whole, make_log):
    """What was anchored after the anchor that it names is missed."""
    forged = make_log("forged")
    forged.copy_from(whole, until=2)
    forged.restored(RESTORE_BLOCK, whole.entries()[3])
    forged.fill(9)

    verdict = audited(forged, records(whole), known_restores={forged.entries()[2].digest})

    assert "anchors" in failed(verdict)
    assert "entry 9 is not the one that the anchor in block 150 knows" in reason(verdict, "anchors")


def test_a_restore_can_not_be_dated_after_the_anchor_that_covers_it(whole, make_log):
    """Else a block far in the future would excuse every deal from now on."""
    forged = make_log("forged")
    forged.copy_from(whole, until=6)
    entry = forged.restored(10**9, whole.entries()[8])

    verdict = audited(forged, records(whole, anchor(whole, entry, 300)), known_restores={entry.digest})

    assert failed(verdict) == ["restores"]
    assert "entry 10 tells of a restore at block 1000000000, and was anchored in block 300" in reason(verdict)


def test_a_restore_can_not_name_an_anchor_that_was_made_after_it(whole, make_log):
    forged = make_log("forged")
    forged.copy_from(whole, until=6)
    entry = forged.restored(120, whole.entries()[8])

    verdict = audited(forged, records(whole), known_restores={entry.digest})

    assert "names an anchor that was made after the restore at block 120" in reason(verdict)
    assert failed(verdict) == ["restores"]


def test_a_restore_must_say_what_it_kept(restored, whole):
    entries = restored.entries()[:7]
    false = msgspec.structs.replace(entries[6], details=entries[6].details | {"sequence": "3"})
    entries[6] = msgspec.structs.replace(false, digest=entry_digest(false))

    with pytest.raises(IntegrityError, match="tells that 3 was the newest entry kept in a restore: it is 6"):
        verify_log(entries, heads(whole)).check()


def test_no_other_entry_may_leave_a_gap(restored, whole):
    entries = restored.entries()
    plain = msgspec.structs.replace(entries[6], event=AuditEvent.RESUMED, details={})
    entries[6] = msgspec.structs.replace(plain, digest=entry_digest(plain))

    report = verify_log(entries[:7], heads(whole))

    assert report.problems[0].text == "entry 7 is missing: entry 10 stands in its place"
    with pytest.raises(IntegrityError, match="does not follow"):
        check_follows(entries[6], entries[5])


def test_a_restore_jumps_to_the_number_after_the_anchor_and_no_further(restored, whole):
    entries = restored.entries()[:7]
    far = msgspec.structs.replace(entries[6], sequence=30)
    entries[6] = msgspec.structs.replace(far, digest=entry_digest(far))

    with pytest.raises(IntegrityError, match="entry 10 is missing"):
        verify_log(entries, heads(whole)).check()
    with pytest.raises(IntegrityError, match="does not follow"):
        check_follows(entries[6], entries[5])


def test_a_restore_with_malformed_details_excuses_nothing(restored, whole):
    entries = restored.entries()[:7]
    bad = msgspec.structs.replace(entries[6], details=entries[6].details | {"anchor_sequence": "x"})
    entries[6] = msgspec.structs.replace(bad, digest=entry_digest(bad))

    report = verify_log(entries, heads(whole))

    assert report.restores == ()
    assert "has not the form" in report.problems[1].text
    with pytest.raises(IntegrityError, match="none that a broker writes"):
        check_follows(entries[6], entries[5])


def test_too_many_restores_are_a_problem_and_not_left_out(log):
    for _ in range(101):
        log.restored(5)

    with pytest.raises(IntegrityError, match="entry 101 tells of restore number 101"):
        verify_log(log.entries()).check()


def test_a_rewriting_from_before_an_anchor_that_is_said_to_be_a_restore_is_told_as_what_it_is(whole, make_log):
    forged = make_log("forged")
    forged.copy_from(whole, until=3)
    forged.append(AuditEvent.RESUMED)
    digest = forged.restored(RESTORE_BLOCK, whole.entries()[8]).digest

    verdict = audited(forged, records(whole), known_restores={digest})

    assert "entries 1 to 4 here are not those that were anchored" in reason(verdict)
    assert (verdict.restores[0].first_lost, verdict.restores[0].last_lost) == (1, 9)
    assert failed(verdict) == ["anchors"]


# other shapes of a loss


def test_a_log_of_which_nothing_was_kept_begins_with_its_restore(whole, make_log):
    log = make_log("new")
    first = log.restored(RESTORE_BLOCK, whole.entries()[8])
    log.append(AuditEvent.RESUMED)

    verdict = audited(log, records(whole, anchor(whole, log.entries()[-1], 300)))

    assert first.sequence == 10
    assert log.export()[0].first == 10
    assert failed(verdict) == ["restores"]
    assert "entries 1 to 9 were lost" in reason(verdict)
    assert not verdict.report.is_excerpt


def test_an_excerpt_that_begins_with_a_restore_is_compared_with_what_was_kept(whole, restored):
    known = [KnownHead(6, whole.entries()[5].digest, "an earlier export"), *heads(whole)]

    report = verify_log(restored.entries()[6:], known)

    report.check()
    assert report.is_excerpt
    assert [head.sequence for head in report.heads_met] == [6]
    assert report.heads_before == 1


def test_a_fork_that_was_given_up_is_told(whole, make_log):
    """Another copy anchored entry 9; this one had gone on to 11 when its steward acknowledged that."""
    other = make_log("other")
    other.copy_from(whole, until=6)
    for _ in range(5):
        other.append(AuditEvent.RESUMED)
    entry = other.restored(RESTORE_BLOCK, whole.entries()[8])

    verdict = audited(other, records(whole))

    assert entry.sequence == 12
    assert failed(verdict) == ["restores"]
    assert "the log that was anchored up to entry 9 was given up in a restore at block 200" in reason(verdict)
    assert "entries 5 to 11 here are not those that were anchored" in reason(verdict)
    assert verdict.restores[0].is_replaced


def test_a_second_restore_has_a_finding_of_its_own(whole, restored, make_log):
    again = make_log("again")
    again.copy_from(restored, until=10)
    again.restored(400, restored.entries()[-1])
    chain = records(whole, anchor(whole, restored.entries()[-1], 300))

    verdict = audited(again, chain, known_restores={restored.entries()[6].digest})

    assert failed(verdict) == ["restores"]
    assert "entries 11 to 12 were lost in a restore at block 400, which entry 13 tells of" in reason(verdict)
    assert [finding.passed for finding in verdict.restores] == [True, False]
    assert dataclasses.replace(verdict, checks=verdict.checks[:1]).passed
