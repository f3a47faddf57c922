"""Verifying a log: each thing that can be done to one, found at its entry."""

from __future__ import annotations

import msgspec
import pytest

from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.entry import entry_digest, next_entry
from heartify.broker.audit.verification import KnownHead, verify_log
from heartify.errors import IntegrityError


@pytest.fixture
def entries(log):
    log.fill(9)
    return log.entries()


def rehashed(entry, **changes):
    changed = msgspec.structs.replace(entry, **changes)
    return msgspec.structs.replace(changed, digest=entry_digest(changed))


def rechained(entries):
    """Write the chain anew over changed entries, as whoever has the database can."""
    made = []
    for entry in entries:
        made.append(next_entry(made[-1] if made else None, entry.time, entry.event, entry.details))
    return made


def anchor(entries, sequence):
    return KnownHead(sequence, entries[sequence - 1].digest, f"the anchor in block {sequence}")


def problems_of(report):
    return [(problem.sequence, problem.text) for problem in report.problems]


def test_an_honest_log_has_no_problem(entries):
    report = verify_log(entries, [anchor(entries, 3), anchor(entries, 9)])

    report.check()
    assert (report.first, report.last, report.head) == (1, 9, entries[-1].digest)
    assert (report.first_time, report.latest_time) == (entries[0].time, entries[-1].time)
    assert [known.sequence for known in report.heads_met] == [3, 9]
    assert report.problems == report.clock_steps == report.restores == ()


def test_an_empty_log_is_none():
    with pytest.raises(IntegrityError, match="empty"):
        verify_log([])


def test_an_altered_entry_is_named(entries):
    entries[4] = msgspec.structs.replace(entries[4], time=entries[4].time + 1)

    report = verify_log(entries)

    assert problems_of(report) == [(5, "entry 5 was altered: its content has not its digest")]
    with pytest.raises(IntegrityError, match="entry 5 was altered"):
        report.check()


def test_an_altered_entry_with_a_digest_of_its_own_breaks_the_chain_behind_it(entries):
    entries[4] = rehashed(entries[4], details={**entries[4].details, "deal": "0x" + "ee" * 32})

    assert problems_of(verify_log(entries)) == [(6, "entry 6 does not follow entry 5: one of the two was exchanged")]


def test_a_missing_entry_is_named(entries):
    del entries[4]

    assert problems_of(verify_log(entries)) == [(5, "entry 5 is missing: entry 6 stands in its place")]


def test_an_inserted_entry_is_named(entries):
    entries.insert(4, next_entry(entries[3], entries[3].time, AuditEvent.RESUMED, {}))

    found = problems_of(verify_log(entries))

    assert found[0] == (6, "entry 6 is missing: entry 5 stands in its place")


def test_swapped_entries_are_named(entries):
    entries[4], entries[5] = entries[5], entries[4]

    assert problems_of(verify_log(entries))[0][0] == 5


def test_a_log_without_its_beginning_is_an_excerpt_and_a_false_beginning_is_named(entries):
    assert verify_log(entries[3:]).first == 4

    false = rehashed(entries[3], sequence=1)

    assert problems_of(verify_log([false]))[0] == (
        1,
        "entry 1 follows another entry: what was before it is missing",
    )


def test_a_log_that_was_cut_below_an_anchor_is_named(entries):
    report = verify_log(entries[:5], [anchor(entries, 3), anchor(entries, 8)])

    assert problems_of(report) == [(8, "the log ends at entry 5, but the anchor in block 8 knows entry 8")]


def test_a_log_that_was_cut_above_its_anchor_cannot_be_told_from_a_younger_one(entries):
    verify_log(entries[:5], [anchor(entries, 5)]).check()


def test_a_log_that_was_written_anew_is_found_between_two_anchors(entries):
    anchors = [anchor(entries, number) for number in (2, 4, 7, 9)]
    entries[5] = msgspec.structs.replace(entries[5], event=AuditEvent.RESUMED, details={})

    report = verify_log(rechained(entries), anchors)

    (sequence, text), *_ = problems_of(report)
    assert sequence == 7
    assert text.startswith("entry 7 is not the one that the anchor in block 7 knows: ")
    assert text.endswith("the log was rewritten after entry 4, and not after entry 7")
    assert [known.sequence for known in report.heads_met] == [2, 4]
    assert all(problem.source for problem in report.problems)


def test_an_excerpt_is_compared_with_the_anchor_right_before_it(entries):
    anchors = [anchor(entries, number) for number in (2, 4, 7)]

    report = verify_log(entries[4:], anchors)

    assert [known.sequence for known in report.heads_met] == [4, 7]
    assert report.heads_before == 1
    with pytest.raises(IntegrityError, match="entry 4 is not the one"):
        verify_log([rehashed(entries[4], previous="0x" + "77" * 32)], anchors[:2]).check()


def test_a_clock_that_went_back_is_told_and_not_refused(log):
    log.fill(3)
    log.clock.now -= 500
    log.fill(2)

    report = verify_log(log.entries())

    report.check()
    assert [(step.sequence, step.seconds) for step in report.clock_steps] == [(4, 499)]


def test_details_that_no_broker_writes_are_named(entries):
    entries = entries[:4]
    entries[3] = rehashed(entries[3], details={"version": "0.1.0", "patient": "K5007"})

    (found,) = problems_of(verify_log(entries))

    assert found[0] == 4
    assert "K5007" not in found[1]


def test_a_restored_log_says_where(log):
    log.fill(2)
    entry = log.append(AuditEvent.RESTORED, digest="0x" + "11" * 32, sequence="2", block="77")

    (restore,) = verify_log(log.entries()).restores

    assert (restore.told.sequence, restore.told.digest, restore.told.kept, restore.told.block) == (
        3,
        entry.digest,
        2,
        77,
    )
    assert not restore.has_gap


def test_many_problems_are_counted_and_the_first_hundred_shown(log):
    for _ in range(150):
        log.append(AuditEvent.RESUMED)
    damaged = [msgspec.structs.replace(entry, time=5) for entry in log.entries()]

    report = verify_log(damaged)

    assert (len(report.problems), report.problem_count) == (100, 150)
    with pytest.raises(IntegrityError, match=r"and 149 more"):
        report.check()
