"""The audit of a log: against itself, its signature, the anchors, the deals."""

from __future__ import annotations

import dataclasses
import io

import msgspec
import pytest

from heartify.broker.audit.chain_records import Anchored, ChainRecords
from heartify.broker.audit.cross_check import DealWithBroker
from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.verdict import audit_entries, audit_export
from heartify.chain.events import AuditLogAnchored, Place
from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import encode_canonical

DATASET = "0x" + "21" * 32


@pytest.fixture
def honest(log):
    """A log with one release, and a chain that bears it out."""
    log.append(AuditEvent.STARTED, version="0.1.0")
    release = log.released(100)
    log.append(AuditEvent.STARTED, version="0.1.0")
    # Settled a minute after the release; the log goes on for an hour.
    log.clock.now += 3600
    last = log.append(AuditEvent.RESUMED)
    deal = DealWithBroker(
        deal=log.digest_for(100),
        requester=log.address_for(9),
        matched_block=10,
        matched_at=release.time - 60,
        deadline=release.time + 1800,
        versions=frozenset({log.digest_for(1)}),
        enclave=log.address_for(7),
        settled_at=release.time + 60,
        contributed=frozenset({log.digest_for(1)}),
    )
    anchor = AuditLogAnchored(log.broker, last.sequence, last.digest, Place(12, 0, "0x" + "aa" * 32))
    return ChainRecords((Anchored(anchor, last.time),), (deal,), frozenset({DATASET}))


def audited(log, records, *, since=None):
    return audit_export(io.BytesIO(log.export(since=since)[1]), lambda _: records)


def reason(verdict, name):
    (check,) = [check for check in verdict.checks if check.name == name]
    return check.reason


def failed(verdict):
    return [check.name for check in verdict.checks if not check.passed]


def with_deal(records, **changes):
    return dataclasses.replace(records, deals=(dataclasses.replace(records.deals[0], **changes),))


def test_an_honest_broker_passes_every_check(log, honest):
    verdict = audited(log, honest)

    verdict.check()
    assert [check.name for check in verdict.checks] == [
        "entries", "signature", "broker", "anchors", "settled deals", "releases",
    ]  # fmt: skip
    assert verdict.chain_read
    assert verdict.differences == ()
    assert "anchors that hold: 1, the newest of entry 4 on 2026-" in reason(verdict, "anchors")


def test_without_the_chain_only_the_file_is_judged(log, honest):
    verdict = audit_export(io.BytesIO(log.export()[1]))

    assert [check.name for check in verdict.checks] == ["entries", "signature"]
    assert verdict.passed
    assert not verdict.chain_read


def test_a_forged_signature_fails(log, honest):
    header, data = log.export()
    forged = msgspec.structs.replace(header, broker=log.address_for(5))
    body = data.partition(b"\n")[2]

    verdict = audit_export(io.BytesIO(encode_canonical(forged) + b"\n" + body), lambda _: honest)

    assert failed(verdict) == ["signature"]
    with pytest.raises(IntegrityError, match="does not stand: signature"):
        verdict.check()


def test_a_broker_that_no_dataset_names_fails(log, honest):
    """Anybody can make a key and keep a spotless log."""
    assert failed(audited(log, dataclasses.replace(honest, datasets=frozenset()))) == ["broker"]


def test_a_log_without_an_anchor_fails(log, honest):
    verdict = audited(log, dataclasses.replace(honest, anchors=()))

    assert failed(verdict) == ["anchors"]
    assert "no anchor on chain" in reason(verdict, "anchors")


def test_entries_after_the_newest_anchor_are_counted(log, honest):
    log.fill(3)

    assert "entries after it that are not anchored yet: 3" in reason(audited(log, honest), "anchors")


def test_a_log_below_its_anchor_fails_though_it_tells_of_a_restore(log, honest):
    log.restored(3)
    anchor = AuditLogAnchored(log.broker, 9, log.digest_for(9), Place(13, 0, "0x" + "ab" * 32))
    records = dataclasses.replace(honest, anchors=(*honest.anchors, Anchored(anchor, 1)))

    verdict = audited(log, records)

    assert failed(verdict) == ["anchors"]
    assert "the log ends at entry 5, but the anchor in block 13 knows entry 9" in reason(verdict, "anchors")


def test_a_settled_deal_without_its_release_fails(log, honest):
    hidden = dataclasses.replace(honest.deals[0], deal=log.digest_for(555))
    records = dataclasses.replace(honest, deals=(*honest.deals, hidden))

    verdict = audited(log, records)

    assert failed(verdict) == ["settled deals"]
    (difference,) = verdict.differences
    assert (difference.deal, difference.sequence) == (log.digest_for(555), None)
    assert "no entry tells of that release" in difference.text


def test_a_settlement_by_another_enclave_than_the_logged_one_fails(log, honest):
    verdict = audited(log, with_deal(honest, enclave=log.address_for(8)))

    assert failed(verdict) == ["settled deals"]
    assert "entry 2 is for another enclave" in verdict.differences[0].text


def test_a_second_enclave_of_a_deal_may_be_the_one_that_settled(log, honest):
    log.released(100, enclave=8)

    assert audited(log, with_deal(honest, enclave=log.address_for(8), deadline=log.clock.now)).passed


def test_a_deal_that_left_this_hospital_out_needs_no_entry(log, honest):
    other = dataclasses.replace(honest.deals[0], deal=log.digest_for(555), contributed=frozenset())

    assert audited(log, dataclasses.replace(honest, deals=(*honest.deals, other))).passed


def test_an_open_deal_may_have_an_entry_or_none(log, honest):
    open_deal = {"enclave": None, "settled_at": None, "contributed": frozenset()}
    silent = dataclasses.replace(honest.deals[0], deal=log.digest_for(555), **open_deal)

    assert audited(log, dataclasses.replace(with_deal(honest, **open_deal), deals=(silent, *honest.deals))).passed


def test_a_deal_that_was_settled_after_the_log_ends_is_counted_and_not_held_against_it(log, honest):
    late = dataclasses.replace(honest.deals[0], deal=log.digest_for(555), settled_at=log.clock.now - 10)

    verdict = audited(log, dataclasses.replace(honest, deals=(*honest.deals, late)))

    assert verdict.passed
    assert "1 settled too recently to judge" in reason(verdict, "settled deals")


def test_an_excerpt_is_not_blamed_for_what_was_before_it(log, honest):
    log.append(AuditEvent.RESUMED)

    verdict = audited(log, honest, since=log.now + 3600)

    assert verdict.passed
    assert "1 from before this excerpt" in reason(verdict, "settled deals")
    assert "an excerpt" in reason(verdict, "entries")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"versions": frozenset()}, "entry 2 names a version that the deal doesn't have"),
        ({"requester": "0x" + "66" * 20}, "entry 2 names another requester"),
        ({"matched_at": 1_795_000_000 + 2000}, "before the deal was matched or after its deadline"),
        ({"deadline": 1_795_000_000 - 2000, "matched_at": 1}, "before the deal was matched or after its deadline"),
    ],
)
def test_a_release_that_the_chain_does_not_bear_out_fails(log, honest, changes, text):
    verdict = audited(log, with_deal(honest, **changes))

    assert "releases" in failed(verdict)
    assert any(text in difference.text for difference in verdict.differences)


def test_a_release_for_a_deal_that_is_not_on_chain_fails(log, honest):
    log.released(777)

    verdict = audited(log, honest)

    assert failed(verdict) == ["releases"]
    assert verdict.differences[0].sequence == 5
    assert "the chain doesn't have" in verdict.differences[0].text


def test_a_damaged_line_fails_and_the_rest_is_still_judged(log, honest):
    lines = log.export()[1].splitlines(keepends=True)
    lines[3] = lines[3].replace(b"started", b"stirred")

    verdict = audit_export(io.BytesIO(b"".join(lines)), lambda _: honest)

    assert failed(verdict)[0] == "entries"
    assert "line 4, entry 3" in reason(verdict, "entries")
    assert not verdict.passed


def test_an_export_without_a_readable_entry_fails(log, honest):
    header = log.export()[1].splitlines(keepends=True)[0]

    verdict = audit_export(io.BytesIO(header), lambda _: honest)

    assert failed(verdict) == ["entries"]
    assert verdict.report is None


def test_a_file_of_another_kind_is_said_to_be_one(honest):
    with pytest.raises(DocumentError, match="not an export"):
        audit_export(io.BytesIO(b"hello\n"), lambda _: honest)


def test_a_verdict_without_checks_is_none(log, honest):
    verdict = dataclasses.replace(audit_entries(log.entries(), log.broker, honest), checks=())

    assert not verdict.passed
    with pytest.raises(IntegrityError):
        verdict.check()


def test_a_clock_that_went_back_is_told(log, honest):
    log.clock.now -= 900
    log.fill(1)

    verdict = audited(log, honest)

    assert verdict.report.clock_steps[0].seconds == 899
    assert "the broker's clock went back 1 times, most by 899 s at 5" in reason(verdict, "entries")


def test_a_slow_clock_does_not_hide_a_settled_deal_from_a_log_that_tells_of_an_anchor(log, honest):
    """The entry about the anchor was written after the anchor's block, whatever time the broker says."""
    anchored = honest.anchors[0].event
    slow = dataclasses.replace(honest.anchors[0], time=log.clock.now + 100_000)
    hidden = dataclasses.replace(
        honest.deals[0],
        deal=log.digest_for(555),
        matched_at=log.clock.now + 49_000,
        settled_at=log.clock.now + 50_000,
        deadline=log.clock.now + 60_000,
    )
    records = dataclasses.replace(honest, anchors=(slow,), deals=(*honest.deals, hidden))
    assert "1 settled too recently" in reason(audited(log, records), "settled deals")

    log.append(AuditEvent.ANCHORED, sequence="4", head=anchored.head, tx=anchored.place.tx_hash, block="12")

    assert failed(audited(log, records)) == ["settled deals"]
