"""What a broker did lately, counted from its own records."""

from __future__ import annotations

import pytest

from heartify.broker.activity import recent_activity
from heartify.errors import PolicyError

DAY = 86400


def test_new_broker_did_nothing_yet(world, names):
    activity = recent_activity(world.store.engine, names.now)

    assert (activity.uses, activity.deals, activity.last_use_at, activity.refusals_week) == (0, 0, None, {})
    assert activity.audit_entries == len(world.entries())


def test_uses_are_counted_by_day_and_week_and_refusals_by_obligation(world, names):
    old = world.open_deal(poolPrice=3, deadline=names.now + 30 * DAY)
    world.ask_anew(old)
    world.clock.now = world.chain.time = names.now + 8 * DAY
    deal = world.open_deal(deadline=names.now + 30 * DAY)
    world.ask_anew(deal)
    world.ask_anew(deal)
    with pytest.raises(PolicyError):
        world.ask_anew(deal)

    activity = recent_activity(world.store.engine, world.clock.now)

    assert (activity.uses, activity.uses_week, activity.uses_day, activity.deals) == (3, 2, 2, 2)
    assert activity.last_use_at == world.clock.now
    assert activity.refusals_week == {"counter": 1}
