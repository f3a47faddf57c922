"""Matching: what a deal is made of, what it locks, and whose signatures count."""

from __future__ import annotations

import pytest


def test_a_match_makes_the_deal_that_the_orders_say(world):
    orders = world.orders(3)

    deal = world.match(orders)

    assert deal["requestDigest"] == world.typed.digest("Request", orders.request)
    for name in ("planDigest", "resultKeyDigest", "appRelease", "sizeClass", "minGrants"):
        assert deal[name] == orders.request[name]
    assert deal["requester"] == world.lab.address.lower()
    assert deal["appAuthor"] == world.author.address.lower()
    assert (deal["appPrice"], deal["appWithheldBps"]) == (500, 5_000)
    assert (deal["pool"], deal["poolPrice"], deal["teeKind"]) == (world.pool.address.lower(), 3_000, 256)
    assert deal["stake"] == 300
    assert deal["deadline"] == world.now + 3_600
    for index, grant in enumerate(deal["grants"]):
        for name in ("datasetVersion", "price", "withheldBps", "policyDigest"):
            assert grant[name] == orders.grants[index][name]
        assert grant["owner"] == world.hospitals[index].owner.address.lower()
        assert grant["broker"] == world.hospitals[index].broker.address.lower()


def test_a_match_locks_the_prices_and_the_stake(world):
    world.match(world.orders(2))

    total = 1_000 + 1_100 + 500 + 3_000
    assert (world.free(world.lab), world.locked(world.lab)) == (world.money - total, total)
    assert (world.free(world.pool), world.locked(world.pool)) == (world.money - 300, 300)


def test_a_deal_of_sixty_four_grants_can_be_matched_and_settled(world):
    orders = world.orders(1)
    hospital = world.hospitals[0]
    versions = [bytes([index]) * 32 for index in range(64)]
    for version in versions:
        world.registry.publishVersion(hospital.dataset, version, "", sender=hospital.owner.address)
    first = orders.grants[0]
    orders.grants = [first | {"datasetVersion": v, "nonce": 1_000 + i} for i, v in enumerate(versions)]
    orders.request["grants"] = [{"datasetVersion": version, "maxPrice": 1_000} for version in versions]
    signatures = [world.typed.sign("DatasetGrant", grant, hospital.owner) for grant in orders.grants]

    deal = world.match(orders, grants=signatures)
    receipts = [
        world.typed.sign(
            "KeyReceipt",
            {"deal": world.deal_id(deal), "datasetVersion": version, "enclave": world.enclave.address},
            hospital.broker,
        )
        for version in versions
    ]
    world.settle(deal, receipts=receipts)

    assert world.free(hospital.owner) == 64 * 1_000


def test_the_requester_needs_no_signature_for_his_own_match(world):
    deal = world.match(sender=world.lab, request=b"")

    assert world.status(deal) == 1


def test_the_pool_may_be_the_requester(world):
    orders = world.orders(1)
    orders.request["requester"] = world.pool.address

    deal = world.match(orders, sender=world.pool, request=b"")

    assert world.locked(world.pool) == 1_000 + 500 + 3_000 + 300
    world.settle(deal)
    assert (world.free(world.pool), world.locked(world.pool)) == (world.money - 1_500, 0)


@pytest.mark.parametrize("role", ["grants", "app", "pool", "request"])
def test_a_compact_signature_counts(world, role):
    orders = world.orders(1)
    arguments = world.signed(orders)
    full = {"grants": arguments[0][0][1], "app": arguments[2], "pool": arguments[4], "request": arguments[6]}[role]
    parity = full[64] - 27
    compact = full[:32] + (int.from_bytes(full[32:64], "big") | parity << 255).to_bytes(32, "big")

    deal = world.match(orders, **{role: [compact] if role == "grants" else compact})

    assert world.status(deal) == 1


def test_an_order_for_two_uses_makes_two_deals_and_no_third(world):
    orders = world.orders(1, uses=2)
    digests = [
        world.typed.digest("DatasetGrant", orders.grants[0]),
        world.typed.digest("AppOffer", orders.app),
        world.typed.digest("PoolOffer", orders.pool),
    ]

    for use in (1, 2):
        orders.request["nonce"] = world.fresh_nonce()
        world.match(orders)
        assert [world.market.usesOf(digest) for digest in digests] == [use] * 3

    orders.request["nonce"] = world.fresh_nonce()
    with world.refused("market: app offer used up"):
        world.match(orders)


def test_two_deals_of_one_requester_may_share_a_version(world):
    first, second = world.match(world.orders(2)), world.match(world.orders(2))

    assert world.deal_id(first) != world.deal_id(second)
    assert [world.status(first), world.status(second)] == [1, 1]


def test_a_free_deal_locks_nothing(world):
    orders = world.orders(1)
    orders.grants[0]["price"] = orders.app["price"] = orders.pool["price"] = 0

    deal = world.match(orders)
    world.settle(deal)

    assert world.status(deal) == 2
    assert world.events("Paid") == []


@pytest.mark.parametrize("role", ["grants", "app", "pool"])
def test_an_order_for_one_requester_admits_him(world, role):
    orders = world.orders(1)
    for order in orders.grants if role == "grants" else [getattr(orders, role)]:
        order["requester"] = world.lab.address

    deal = world.match(orders)

    assert world.status(deal) == 1


def test_an_order_for_a_group_admits_its_members_only(world):
    group = world.load_mock("GroupMock")
    orders = world.orders(1)
    orders.grants[0]["requester"] = group.address

    with world.refused("market: grant for another requester"):
        world.match(orders)
    group.setMember(world.lab.address, True)
    deal = world.match(orders)

    assert world.status(deal) == 1


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_a_group_that_answers_wrongly_admits_nobody(world, mode):
    group = world.load_mock("GroupMock")
    group.setMember(world.lab.address, True)
    group.setMode(mode)
    orders = world.orders(1)
    orders.grants[0]["requester"] = group.address

    with world.refused("market: grant for another requester"):
        world.match(orders)


def test_a_contract_without_isMember_admits_nobody(world):
    orders = world.orders(1)
    orders.grants[0]["requester"] = world.token.address

    with world.refused("market: grant for another requester"):
        world.match(orders)


def test_a_grant_of_the_new_owner_counts_after_a_transfer(world):
    hospital = world.hospitals[0]
    world.registry.transferDataset(hospital.dataset, world.stranger.address, sender=hospital.owner.address)
    world.registry.acceptDataset(hospital.dataset, sender=world.stranger.address)
    orders = world.orders(1)

    with world.refused("market: bad grant signature"):
        world.match(orders)
    deal = world.match(orders, grants=[world.typed.sign("DatasetGrant", orders.grants[0], world.stranger)])

    assert deal["grants"][0]["owner"] == world.stranger.address.lower()
