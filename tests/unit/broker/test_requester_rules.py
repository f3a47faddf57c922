"""The hospital's own rules about requesters, over those of its grants."""

from __future__ import annotations

import pytest

from heartify.broker.audit.entry import AuditEvent
from heartify.broker.requester_rules import EVERYBODY_ELSE, Decision, RequesterRule
from heartify.errors import PolicyError, UsageError

LAB = "0x" + "02" * 20
OTHER = "0x" + "0f" * 20
DAY = 86400


def rule(requester=LAB, decision=Decision.ALLOW, **limit):
    return RequesterRule(requester=requester, decision=decision, **limit)


def test_without_rules_every_requester_of_a_grant_gets_keys(world):
    world.ask(world.open_deal())


def test_denied_requester_gets_no_keys_and_others_do(world):
    world.store.requesters.set(rule(decision=Decision.DENY))

    with pytest.raises(PolicyError, match="gives no keys to the requester"):
        world.ask(world.open_deal())
    world.ask(world.open_deal(requester=OTHER))


def test_own_rule_goes_before_the_rule_for_everybody_else(world):
    world.store.requesters.set(rule(EVERYBODY_ELSE, Decision.DENY))
    world.store.requesters.set(rule(LAB))

    world.ask(world.open_deal())
    with pytest.raises(PolicyError, match="gives no keys"):
        world.ask(world.open_deal(requester=OTHER))


def test_limit_counts_deals_and_not_releases(world):
    world.store.requesters.set(rule(max_deals=2, per_days=7))
    deal = world.open_deal()
    world.ask_anew(deal)
    world.ask_anew(deal)
    of_the_first_deal = world.enclave
    world.ask_anew(world.open_deal(poolPrice=3))

    with pytest.raises(PolicyError, match="2 deals in 7 days"):
        world.ask_anew(world.open_deal(poolPrice=4))
    world.enclave = of_the_first_deal
    world.ask(deal)


def test_limit_frees_up_after_its_days(world, names):
    world.store.requesters.set(rule(EVERYBODY_ELSE, max_deals=1, per_days=1))
    late = world.open_deal(poolPrice=3, deadline=names.now + 9 * DAY)
    world.ask_anew(world.open_deal())
    with pytest.raises(PolicyError, match="1 deals in 1 days"):
        world.ask_anew(late)

    world.clock.now += DAY + 1
    world.chain.time += DAY + 1

    world.ask_anew(late)


def test_everybody_elses_limit_is_counted_for_each_requester(world):
    world.store.requesters.set(rule(EVERYBODY_ELSE, max_deals=1, per_days=1))
    world.ask_anew(world.open_deal())

    world.ask_anew(world.open_deal(requester=OTHER))


def test_rules_are_replaced_removed_and_in_the_audit_log(world):
    world.store.requesters.set(rule(decision=Decision.DENY))
    world.store.requesters.set(rule(max_deals=3, per_days=30, note="the registry study"))
    assert world.store.requesters.all() == {LAB: rule(max_deals=3, per_days=30, note="the registry study")}

    world.store.requesters.remove(LAB)

    assert world.store.requesters.all() == {}
    last = world.entries()[-3:]
    assert [entry.event for entry in last] == [
        AuditEvent.REQUESTER_RULE_SET,
        AuditEvent.REQUESTER_RULE_SET,
        AuditEvent.REQUESTER_RULE_REMOVED,
    ]
    assert last[1].details == {"requester": LAB, "decision": "allow", "max_deals": "3", "per_days": "30"}


def test_removing_a_rule_that_is_not_there_is_refused(world):
    with pytest.raises(UsageError, match="no rule"):
        world.store.requesters.remove(LAB)


@pytest.mark.parametrize(
    "members",
    [
        {"max_deals": 1},
        {"per_days": 1},
        {"max_deals": 0, "per_days": 1},
        {"max_deals": 1, "per_days": 0},
        {"decision": Decision.DENY, "max_deals": 1, "per_days": 1},
        {"note": "n" * 201},
    ],
)
def test_rule_that_contradicts_itself_is_refused(members):
    with pytest.raises(UsageError):
        rule(**members)
