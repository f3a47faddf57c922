"""Refusals are joined: one entry a minute for each deal and reason, with their number, and none is lost."""

from __future__ import annotations

import concurrent.futures

import pytest

from heartify.broker.audit.details import AuditEvent, check_details
from heartify.broker.audit.refusal_log import Refusal, RefusalLog

DEAL, OTHER, VERSION = "0x" + "01" * 32, "0x" + "02" * 32, "0x" + "03" * 32


@pytest.fixture
def refusals():
    return RefusalLog()


def test_the_first_refusal_is_written_at_once(refusals):
    (refusal,) = refusals.note(1000, "plan", deal=DEAL, version=VERSION)

    assert refusal == Refusal(DEAL, VERSION, "plan", 1)
    check_details(AuditEvent.RELEASE_REFUSED, refusal.details())


def test_like_ones_within_a_minute_are_counted_and_written_as_one(refusals):
    refusals.note(1000, "plan", deal=DEAL)

    assert [refusals.note(1000 + second, "plan", deal=DEAL) for second in (1, 20, 59)] == [[], [], []]
    assert refusals.due(1059) == []
    assert refusals.due(1060) == [Refusal(DEAL, None, "plan", 3)]
    assert refusals.due(1061) == []


def test_a_joined_entry_begins_another_minute(refusals):
    refusals.note(1000, "plan", deal=DEAL)
    refusals.note(1001, "plan", deal=DEAL)

    assert refusals.note(1061, "plan", deal=DEAL) == [Refusal(DEAL, None, "plan", 1)]
    assert refusals.due(1120) == []
    assert refusals.due(1121) == [Refusal(DEAL, None, "plan", 1)]


def test_other_deals_and_reasons_are_not_held_back(refusals):
    refusals.note(1000, "plan", deal=DEAL)

    assert refusals.note(1001, "evidence", deal=DEAL) == [Refusal(DEAL, None, "evidence", 1)]
    assert refusals.note(1001, "plan", deal=OTHER) == [Refusal(OTHER, None, "plan", 1)]


def test_a_flood_of_different_deals_is_joined_by_reason():
    refusals = RefusalLog(most_different=10)
    written = []
    for number in range(1_000):
        written += refusals.note(1000, "deal", deal=f"0x{number:064x}")

    assert len(written) == 11
    assert written[-1] == Refusal(None, None, "deal", 1)
    assert refusals.due(1060) == [Refusal(None, None, "deal", 989)]
    check_details(AuditEvent.RELEASE_REFUSED, written[-1].details())


def test_after_a_quiet_minute_a_deal_has_its_own_entry_again():
    refusals = RefusalLog(most_different=1)
    refusals.note(1000, "deal", deal=DEAL)

    assert refusals.note(1061, "deal", deal=OTHER) == [Refusal(OTHER, None, "deal", 1)]


def test_a_clock_that_goes_back_holds_nothing_back(refusals):
    refusals.note(1000, "plan", deal=DEAL)
    refusals.note(1001, "plan", deal=DEAL)

    assert refusals.due(500) == [Refusal(DEAL, None, "plan", 1)]


def test_what_waits_at_the_end_is_handed_out_once(refusals):
    for _ in range(4):
        refusals.note(1000, "plan", deal=DEAL)

    assert refusals.drain() == [Refusal(DEAL, None, "plan", 3)]
    assert refusals.drain() == []


def test_threads_lose_no_refusal(refusals):
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        written = [
            r for found in threads.map(lambda _: refusals.note(1000, "plan", deal=DEAL), range(500)) for r in found
        ]

    assert sum(refusal.count for refusal in [*written, *refusals.drain()]) == 500
