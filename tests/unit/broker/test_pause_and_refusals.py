"""The steward's stop button, and what the audit log keeps of refusals."""

from __future__ import annotations

import msgspec
import pytest

from heartify.broker.audit.entry import AuditEvent
from heartify.errors import AttestationError, PolicyError, UsageError


def refusals(world):
    return [entry.details for entry in world.entries() if entry.event is AuditEvent.RELEASE_REFUSED]


def test_paused_broker_releases_nothing_also_after_a_restart(world):
    deal = world.open_deal()
    world.store.pause.begin("a strange request")

    for broker in (world.broker, world.reopen()):
        with pytest.raises(PolicyError, match="has paused its key broker") as refused:
            world.ask(deal, broker)
        assert "strange" not in str(refused.value)
    assert world.count(deal) == 0


def test_broker_goes_on_after_a_pause(world):
    world.store.pause.begin("a look")
    world.store.pause.begin("a longer look")
    assert world.store.pause.reason() == "a longer look"

    world.store.pause.end()

    world.ask(world.open_deal())
    events = [entry.event for entry in world.entries()]
    assert events.count(AuditEvent.PAUSED) == 2
    assert events.count(AuditEvent.RESUMED) == 1


def test_ending_a_pause_that_never_began_is_refused(world):
    with pytest.raises(UsageError, match="not paused"):
        world.store.pause.end()


@pytest.mark.parametrize("reason", ["", "r" * 201])
def test_pause_needs_a_reason_of_some_words(world, reason):
    with pytest.raises(UsageError, match="1 to 200"):
        world.store.pause.begin(reason)


def test_refusal_of_a_real_deal_is_in_the_audit_log_by_its_obligation(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(deal.deal_id(names.domain))
    request = msgspec.structs.replace(world.request(challenge, deal), enclave="0x" + "99" * 20)

    with pytest.raises(AttestationError):
        world.broker.release(request)

    assert refusals(world) == [
        {"deal": deal.deal_id(names.domain), "version": world.version, "reason_code": "evidence", "count": "1"}
    ]


def test_same_refusal_is_noted_once_a_minute_with_its_number(world, names):
    world.store.approvals.withdraw(names.app_release.release_id())
    deal = world.open_deal()
    for _ in range(3):
        with pytest.raises(PolicyError):
            world.ask(deal)
    assert len(refusals(world)) == 1

    world.clock.now += 60
    with pytest.raises(PolicyError):
        world.ask(deal)

    assert [details["count"] for details in refusals(world)] == ["1", "2"]
    world.store.refusals.close()
    assert [details["count"] for details in refusals(world)] == ["1", "2", "1"]


def test_made_up_deals_leave_nothing_in_the_audit_log(world, names):
    before = world.entries()
    for price in range(3, 6):
        with pytest.raises(PolicyError):
            world.ask(world.deal(poolPrice=price))

    assert world.entries() == before
