"""The two ends of a deal without an enclave: the pool gives it back, or the deadline passes."""

from __future__ import annotations


def test_a_conceded_deal_costs_nobody_anything(world):
    before = world.balances()
    deal = world.match()

    world.market.concede(world.deal_abi(deal), sender=world.pool.address)

    assert world.events("DealConceded") == [{"deal": world.deal_id(deal)}]
    assert world.balances() == before
    assert world.status(deal) == 4


def test_a_deal_can_be_conceded_in_the_deadlines_last_second(world):
    deal = world.match()

    world.travel_to(deal["deadline"])
    world.market.concede(world.deal_abi(deal), sender=world.pool.address)

    assert world.status(deal) == 4


def test_only_the_pool_concedes(world):
    deal = world.match()

    for account in (world.lab, world.stranger, world.author, world.hospitals[0].owner):
        with world.refused("market: not the pool"):
            world.market.concede(world.deal_abi(deal), sender=account.address)


def test_a_pool_cannot_save_its_stake_by_conceding_late(world):
    deal = world.match()

    world.travel_to(deal["deadline"] + 1)

    with world.refused("market: past the deadline"):
        world.market.concede(world.deal_abi(deal), sender=world.pool.address)


def test_a_settled_deal_cannot_be_conceded(world):
    deal = world.match()
    world.settle(deal)

    with world.refused("market: deal not open"):
        world.market.concede(world.deal_abi(deal), sender=world.pool.address)


def test_reclaiming_refunds_the_lab_with_the_stake_on_top(world):
    deal = world.match()

    world.travel_to(deal["deadline"] + 1)
    world.market.reclaim(world.deal_abi(deal), sender=world.stranger.address)

    assert world.events("DealReclaimed") == [{"deal": world.deal_id(deal), "compensation": 300}]
    assert world.balances()["lab"] == (world.money + 300, 0)
    assert world.balances()["pool"] == (world.money - 300, 0)
    assert world.status(deal) == 5


def test_reclaiming_before_the_deadline_has_passed_is_refused(world):
    deal = world.match()

    world.travel_to(deal["deadline"])

    with world.refused("market: before the deadline"):
        world.market.reclaim(world.deal_abi(deal), sender=world.lab.address)


def test_reclaiming_twice_is_refused(world):
    deal = world.match()
    world.travel_to(deal["deadline"] + 1)
    world.market.reclaim(world.deal_abi(deal), sender=world.lab.address)

    with world.refused("market: deal not open"):
        world.market.reclaim(world.deal_abi(deal), sender=world.lab.address)


def test_a_deal_with_changed_prices_cannot_be_reclaimed(world):
    deal = world.match()
    world.travel_to(deal["deadline"] + 1)

    deal["stake"] += 1

    with world.refused("market: deal not open"):
        world.market.reclaim(world.deal_abi(deal), sender=world.lab.address)
