"""An order is live only when the right maker signed it for this market, in date, not cancelled and not used up."""

from __future__ import annotations

import pytest

from heartify.protocol.eip712 import ZERO_ADDRESS, Domain

KINDS = ["grants", "app_offers", "pool_offers"]
LAB, OTHER_LAB = "0x" + "71" * 20, "0x" + "72" * 20


def order_of(case, kind: str, **changes):
    make = {"grants": case.grant, "app_offers": case.app_offer, "pool_offers": case.pool_offer}[kind]
    return make(**changes)


def key_of(case, kind: str) -> bytes:
    return {"grants": case.owner_key, "app_offers": case.author_key, "pool_offers": case.pool_key}[kind]


def maker_of(case, kind: str) -> str:
    return {"grants": case.owner, "app_offers": case.author, "pool_offers": case.pool}[kind]


def live(case, kind: str, *, now: int | None = None, requester: str | None = None):
    return getattr(case.book, kind)(case.now if now is None else now, requester)


@pytest.mark.parametrize("kind", KINDS)
def test_signed_order_in_date_is_live_with_its_maker_and_uses(case, kind):
    signed = case.market.post(order_of(case, kind), key_of(case, kind))

    (found,) = live(case, kind)

    assert (found.signed, found.maker, found.uses_left) == (signed, maker_of(case, kind), 3)


@pytest.mark.parametrize("kind", KINDS)
def test_order_forged_by_a_stranger_is_not_live(case, kind):
    case.market.post(order_of(case, kind), case.stranger_key)

    assert live(case, kind) == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("domain", [Domain(1, "0x" + "ab" * 20), Domain(31337, "0x" + "cd" * 20)])
def test_order_signed_for_another_chain_or_market_is_not_live(case, kind, domain):
    case.market.post(order_of(case, kind), key_of(case, kind), domain)

    assert live(case, kind) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_order_is_live_to_its_last_second_and_no_longer(case, kind):
    case.market.post(order_of(case, kind, expiry=case.now), key_of(case, kind))

    assert len(live(case, kind)) == 1
    assert live(case, kind, now=case.now + 1) == ()


def test_grant_is_not_live_before_its_time(case):
    case.market.post(case.grant(notBefore=case.now + 1), case.owner_key)

    assert live(case, "grants") == ()
    assert len(live(case, "grants", now=case.now + 1)) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("uses", [1, 3])
def test_cancelled_order_is_not_live(case, kind, uses):
    case.market.post(order_of(case, kind, nonce=5, uses=uses), key_of(case, kind))
    case.market.used_nonces.add((maker_of(case, kind), 5))

    assert live(case, kind) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_nonce_cancelled_by_someone_else_changes_nothing(case, kind):
    case.market.post(order_of(case, kind, nonce=5), key_of(case, kind))
    case.market.used_nonces.add((LAB, 5))

    assert len(live(case, kind)) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("used", "uses_left"), [(1, 2), (2, 1), (3, None), (4, None)])
def test_used_up_order_is_not_live(case, kind, used, uses_left):
    order = order_of(case, kind)
    case.market.post(order, key_of(case, kind))
    case.market.uses[case.digest(order)] = used

    assert [found.uses_left for found in live(case, kind)] == ([] if uses_left is None else [uses_left])


@pytest.mark.parametrize("kind", KINDS)
def test_order_for_no_use_is_not_live(case, kind):
    case.market.post(order_of(case, kind, uses=0), key_of(case, kind))

    assert live(case, kind) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_order_for_one_requester_is_live_for_him_only(case, kind):
    case.market.post(order_of(case, kind, requester=LAB), key_of(case, kind))

    assert len(live(case, kind, requester=LAB)) == 1
    assert live(case, kind, requester=OTHER_LAB) == ()
    assert len(live(case, kind)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_order_posted_twice_is_one_order(case, kind):
    order = order_of(case, kind)
    case.market.post(order, key_of(case, kind))
    case.market.post(order, key_of(case, kind))

    assert len(live(case, kind)) == 1


def test_grant_of_a_dead_version_is_not_live(case):
    case.market.post(case.grant(), case.owner_key)
    case.registry.owners[case.version] = ZERO_ADDRESS

    assert live(case, "grants") == ()


def test_grant_of_a_former_owner_is_not_live(case):
    case.market.post(case.grant(), case.owner_key)
    case.registry.owners[case.version] = OTHER_LAB

    assert live(case, "grants") == ()


def test_offer_of_a_withdrawn_release_is_not_live(case):
    case.market.post(case.app_offer(), case.author_key)
    case.registry.authors.clear()

    assert live(case, "app_offers") == ()


def test_offer_of_a_pool_that_is_not_registered_is_not_live(case):
    case.market.post(case.pool_offer(), case.pool_key)
    case.registry.pools.clear()

    assert live(case, "pool_offers") == ()


def test_pool_offer_in_the_name_of_another_pool_is_not_live(case):
    stranger = "0x" + "73" * 20
    case.registry.pools.add(stranger)
    case.market.post(case.pool_offer(pool=stranger), case.pool_key)

    assert live(case, "pool_offers") == ()


def test_one_bad_order_does_not_hide_the_others(case):
    case.market.post(case.grant(nonce=1), case.stranger_key)
    good = case.market.post(case.grant(nonce=2), case.owner_key)
    case.market.post(case.grant(nonce=3, datasetVersion="0x" + "99" * 32), case.owner_key)

    assert [found.signed for found in live(case, "grants")] == [good]


def test_empty_board_gives_no_orders(case):
    assert [live(case, kind) for kind in KINDS] == [(), (), ()]
