"""The public bulletin promises nothing; a cancelled nonce stays cancelled."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("function", "event", "kind", "role", "topic"),
    [
        ("postGrant", "GrantPosted", "DatasetGrant", "grants", "datasetVersion"),
        ("postAppOffer", "AppOfferPosted", "AppOffer", "app", "appRelease"),
        ("postPoolOffer", "PoolOfferPosted", "PoolOffer", "pool", "pool"),
    ],
)
def test_a_posted_order_is_read_back_as_it_was_posted(world, function, event, kind, role, topic):
    orders = world.orders(1)
    order = orders.grants[0] if role == "grants" else getattr(orders, role)
    signature = b"whatever: readers verify it"

    getattr(world.market, function)(world.typed.to_abi(kind, order), signature, sender=world.stranger.address)

    (log,) = world.events(event)
    assert log["signature"] == signature
    assert log[topic] == order[topic]
    lowered = {name: value.lower() if isinstance(value, str) else value for name, value in order.items()}
    assert world.parse(kind, log["order"]) == lowered


def test_cancelling_sets_exactly_the_bits_of_the_mask_of_the_caller(world):
    world.market.cancelNonces(2, 0b101, sender=world.lab.address)

    assert world.events("NoncesCancelled") == [{"maker": world.lab.address, "word": 2, "mask": 0b101}]
    used = [nonce for nonce in range(3 * 256 + 8) if world.market.isNonceUsed(world.lab.address, nonce)]
    assert used == [512, 514]
    assert not world.market.isNonceUsed(world.pool.address, 512)


def test_a_second_cancellation_leaves_the_first(world):
    world.market.cancelNonces(2, 0b001, sender=world.lab.address)
    world.market.cancelNonces(2, 0b100, sender=world.lab.address)

    assert [world.market.isNonceUsed(world.lab.address, nonce) for nonce in (512, 513, 514)] == [True, False, True]


@pytest.mark.parametrize("nonce", [0, 255, 256, 2**160, 2**256 - 1])
def test_any_nonce_can_be_used_and_is_used_once(world, nonce):
    orders = world.orders(1)
    orders.request["nonce"] = nonce

    world.match(orders)

    assert world.market.isNonceUsed(world.lab.address, nonce)
    with world.refused("market: request used up"):
        world.match(orders)


def test_cancelling_after_a_match_leaves_the_deal(world):
    orders = world.orders(1)
    deal = world.match(orders)

    for account in (world.lab, world.pool, world.author, world.hospitals[0].owner):
        world.market.cancelNonces(0, 2**256 - 1, sender=account.address)
    world.settle(deal)

    assert world.status(deal) == 2
