"""Signing the head on schedule, bringing it to the chain, noting it in the log; and a log that was set back."""

from __future__ import annotations

import logging

import pytest

from heartify.broker.audit.anchor_keeper import AnchorKeeper
from heartify.broker.audit.anchoring import AnchorSchedule, AuditAnchoring
from heartify.broker.audit.details import AuditEvent
from heartify.broker.audit.submission import note_anchored, submit_newest
from heartify.broker.audit.verification import verify_log
from heartify.chain.events import AuditLogAnchored, Place
from heartify.chain.registry import AnchoredHead
from heartify.chain.sender import Sent
from heartify.errors import ChainError, IntegrityError, RevertError
from heartify.protocol.eip712 import Domain

HOUR = 3600


class FakeRegistry:
    """The registry's rules about anchors, in memory."""

    def __init__(self) -> None:
        self.events: list[AuditLogAnchored] = []
        self.is_down = False
        self.dies_after_sending = False

    def audit_anchor(self, broker, *, block):
        self._check_up()
        mine = [event for event in self.events if event.broker == broker]
        return AnchoredHead(mine[-1].sequence, mine[-1].head, 1) if mine else AnchoredHead(0, "0x" + "00" * 32, 0)

    def audit_anchors(self, broker, *, to):
        self._check_up()
        return tuple(event for event in self.events if event.broker == broker)

    def anchor_audit_log(self, anchor):
        self._check_up()
        anchor.verify()
        if self.events and anchor.sequence <= self.events[-1].sequence:
            raise RevertError("registry: anchor not newer")
        place = Place(50 + len(self.events), 0, f"0x{len(self.events) + 1:064x}")
        self.events.append(AuditLogAnchored(anchor.broker, anchor.sequence, anchor.head, place))
        if self.dies_after_sending:
            raise ChainError("the connection broke off")
        return Sent(place.tx_hash, place.block_number, 74_000, {})

    def _check_up(self) -> None:
        if self.is_down:
            raise ChainError("the chain at http://127.0.0.1:8545 cannot be reached")


@pytest.fixture
def registry():
    return FakeRegistry()


@pytest.fixture
def build(log):
    def make(**changes) -> AuditAnchoring:
        chosen = {"broker": log.broker, "domain": log.domain, "sign": log.sign, "clock": log.clock, **changes}
        return AuditAnchoring(log.engine, **chosen)

    return make


@pytest.fixture
def anchoring(build):
    return build()


# signing


def test_there_is_nothing_to_sign_in_an_empty_log(anchoring):
    assert anchoring.sign_head() is anchoring.sign_if_due() is anchoring.newest() is None


def test_the_signed_head_is_the_logs_and_the_brokers(log, anchoring):
    log.fill(4)

    anchor = anchoring.sign_head()

    anchor.verify()
    assert (anchor.broker, anchor.domain) == (log.broker, log.domain)
    assert (anchor.sequence, anchor.head) == (4, log.entries()[-1].digest)
    assert anchoring.newest() == anchor


def test_a_restart_finds_the_signed_head_again(log, anchoring, build):
    log.fill(4)
    anchor = anchoring.sign_head()

    assert build().newest() == anchor


def test_a_head_that_was_signed_for_another_registry_or_by_another_key_is_not_shown(log, anchoring, build):
    log.fill(4)
    anchoring.sign_head()

    assert build(domain=Domain(31337, "0x" + "cc" * 20)).newest() is None
    assert build(broker="0x" + "dd" * 20).newest() is None


@pytest.mark.parametrize(
    ("new", "seconds", "due"),
    [
        (0, 10**6, False),
        (0, -1, False),
        (1, 0, False),
        (99, HOUR - 1, False),
        (100, 0, True),
        (1, HOUR, True),
        (1, -1, True),
    ],
)
def test_the_schedule_is_by_number_or_time_whichever_comes_first(new, seconds, due):
    assert AnchorSchedule().is_due(new, seconds) is due


def test_the_head_is_signed_anew_when_it_is_due(log, build):
    anchoring = build(schedule=AnchorSchedule(entries=3, seconds=HOUR))
    log.fill(1)
    first = anchoring.sign_if_due()
    log.fill(2)
    assert anchoring.sign_if_due() == first
    log.fill(1)
    assert anchoring.sign_if_due().sequence == 4
    log.fill(1)
    log.clock.now += HOUR

    assert anchoring.sign_if_due().sequence == 5


def test_an_anchors_own_entry_is_no_reason_for_the_next(log, anchoring, registry):
    log.fill(2)
    anchoring.sign_head()
    submit_newest(anchoring, registry)
    log.clock.now += 1000 * HOUR

    assert anchoring.sign_if_due().sequence == anchoring.sign_head().sequence == 2
    assert submit_newest(anchoring, registry) is None
    assert len(log.entries()) == 3


def test_one_entry_is_never_signed_twice(log, build):
    log.fill(2)
    signed = []

    def sign(digest: bytes) -> str:
        signed.append(digest)
        return log.sign(digest)

    for _ in range(3):
        build(sign=sign).sign_head()

    assert len(signed) == 1


# submitting


def test_a_submitted_anchor_is_an_entry(log, anchoring, registry):
    log.fill(2)
    anchor = anchoring.sign_head()

    submitted = submit_newest(anchoring, registry)

    entry = log.entries()[-1]
    assert (submitted.anchor, submitted.block_number) == (anchor, 50)
    assert entry.event is AuditEvent.ANCHORED
    assert entry.details == {"sequence": "2", "head": anchor.head, "tx": submitted.tx_hash, "block": "50"}
    verify_log(log.entries()).check()


def test_nothing_is_sent_twice(log, anchoring, registry):
    log.fill(2)
    anchoring.sign_head()
    submit_newest(anchoring, registry)

    assert submit_newest(anchoring, registry) is None
    assert len(registry.events) == 1
    assert len(log.entries()) == 3


def test_without_a_signed_head_nothing_is_sent(anchoring, registry):
    assert submit_newest(anchoring, registry) is None


def test_an_anchor_that_somebody_else_submitted_is_noted_once(log, anchoring, registry):
    log.fill(2)
    registry.anchor_audit_log(anchoring.sign_head())

    for _ in range(2):
        assert submit_newest(anchoring, registry) is None

    (entry,) = [entry for entry in log.entries() if entry.event is AuditEvent.ANCHORED]
    assert entry.details["tx"] == registry.events[0].place.tx_hash


def test_an_anchor_whose_broker_ended_before_noting_it_is_noted_later(log, anchoring, registry):
    log.fill(2)
    anchoring.sign_head()
    registry.dies_after_sending = True
    with pytest.raises(ChainError):
        submit_newest(anchoring, registry)
    registry.dies_after_sending = False

    note_anchored(anchoring, registry)

    assert log.entries()[-1].details["sequence"] == "2"
    assert len(registry.events) == 1


def test_a_log_that_was_set_back_does_not_go_on_as_if_nothing_was_missing(log, make_log, build, registry):
    log.fill(5)
    anchoring = build()
    anchoring.sign_head()
    submit_newest(anchoring, registry)
    older = make_log("older")
    older.fill(3)
    restored = AuditAnchoring(older.engine, broker=log.broker, domain=log.domain, sign=log.sign, clock=older.clock)
    restored.sign_head()

    with pytest.raises(IntegrityError, match=r"entry 5 .* anchored on chain, and this log has no such entry"):
        submit_newest(restored, registry)
    older.fill(4)
    restored.sign_head()
    with pytest.raises(IntegrityError, match=r"entry 5 .* and this log has another one"):
        submit_newest(restored, registry)
    assert len(registry.events) == 1


def test_a_log_that_names_what_it_lost_is_anchored_again(log, make_log, build, registry):
    log.fill(5)
    anchoring = build()
    anchoring.sign_head()
    submit_newest(anchoring, registry)
    older = make_log("older")
    older.copy_from(log, until=3)
    entry = older.restored(60, log.entries()[4])
    again = AuditAnchoring(older.engine, broker=log.broker, domain=log.domain, sign=log.sign, clock=older.clock)
    again.sign_head()

    assert submit_newest(again, registry).anchor.sequence == entry.sequence == 6

    assert [event.sequence for event in registry.events] == [5, 6]
    told = [(each.event, each.details.get("sequence")) for each in older.entries()[-2:]]
    assert told == [(AuditEvent.RESTORED, "3"), (AuditEvent.ANCHORED, "6")]


def test_a_restore_excuses_the_one_anchor_that_it_names(log, build, registry):
    log.fill(3)
    restored = log.restored(60)
    place = Place(9, 0, "0x" + "0f" * 32)
    for sequence, head in ((8, "0x" + "0e" * 32), (9, "0x" + "0d" * 32)):
        registry.events[:] = [AuditLogAnchored(log.broker, sequence, head, place)]

        with pytest.raises(IntegrityError, match=f"entry {sequence} .* has no such entry"):
            build().check_continues(sequence, head)
    log.append(AuditEvent.RESTORED, **restored.details | {"anchor_sequence": "8", "anchor_head": "0x" + "0e" * 32})

    build().check_continues(8, "0x" + "0e" * 32)
    for other in ((8, "0x" + "0d" * 32), (7, "0x" + "0e" * 32)):
        with pytest.raises(IntegrityError):
            build().check_continues(*other)


# the keeper


def keeper(anchoring, registry, *, can_pay=True, **chosen):
    return AnchorKeeper(anchoring, registry, can_pay=lambda: can_pay, **chosen)


def test_a_broker_with_ether_anchors_by_itself(log, anchoring, registry):
    log.fill(1)

    with keeper(anchoring, registry, tick_seconds=1000):
        log.fill(3)

    # At the end what came since the start is signed and submitted too.
    assert registry.events[-1].sequence >= 4
    assert log.entries()[-1].event is AuditEvent.ANCHORED


def test_a_broker_without_ether_only_signs(log, anchoring, registry):
    log.fill(1)

    assert keeper(anchoring, registry, can_pay=False).tick() is None

    assert anchoring.newest().sequence == 1
    assert registry.events == []


def test_an_unreachable_chain_stops_nothing(log, anchoring, registry, caplog):
    log.fill(1)
    registry.is_down = True
    kept = keeper(anchoring, registry)

    assert kept.tick() is None
    registry.is_down = False

    assert kept.tick().anchor.sequence == 1
    assert "can't be anchored just now" in caplog.text


def test_a_log_that_is_not_the_anchored_one_is_said_loudly_and_not_anchored_any_more(log, anchoring, registry, caplog):
    log.fill(1)
    place = Place(9, 0, "0x" + "0f" * 32)
    registry.events.append(AuditLogAnchored(log.broker, 1, "0x" + "0e" * 32, place))
    kept = keeper(anchoring, registry)

    with caplog.at_level(logging.CRITICAL):
        assert kept.tick() is None
    registry.events.clear()

    assert kept.tick() is None
    assert "not the one that was anchored" in caplog.text


def test_a_database_in_use_stops_nothing(log, build, registry, caplog):
    import sqlalchemy as sa

    log.fill(1)

    def locked(_digest: bytes) -> str:
        raise sa.exc.OperationalError("INSERT of a secret", {}, Exception())

    assert keeper(build(sign=locked), registry).tick() is None
    assert "can't be written just now: OperationalError" in caplog.text
    assert "secret" not in caplog.text
