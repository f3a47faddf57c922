"""Every reason for which a match is refused: one condition broken at a time, and the same orders accepted unbroken."""

from __future__ import annotations

import pytest
from eth_account.signers.local import LocalAccount

HUGE = 2**128


def _cases() -> dict[str, tuple[str, object]]:
    """Return what breaks the orders (a function of world and orders), by the reason it must be refused for."""
    return {
        "no grants": ("minGrants out of range", lambda w, o: (o.grants.clear(), o.request["grants"].clear())),
        "minGrants zero": ("minGrants out of range", lambda w, o: o.request.update(minGrants=0)),
        "minGrants over n": ("minGrants out of range", lambda w, o: o.request.update(minGrants=3)),
        "fewer grants": ("grants do not match the request", lambda w, o: o.grants.pop()),
        "more grants": ("grants do not match the request", lambda w, o: o.request["grants"].pop()),
        "grants in another order": ("grants do not match the request", lambda w, o: o.grants.reverse()),
        "deadline too near": ("deadline out of range", lambda w, o: o.request.update(deadlineSeconds=59)),
        "deadline too far": ("deadline out of range", lambda w, o: o.request.update(deadlineSeconds=30 * 86_400 + 1)),
        "request expired": ("request expired", lambda w, o: o.request.update(expiry=w.now - 1)),
        "request used": ("request used up", lambda w, o: _cancel(w, w.lab, o.request)),
        "release unknown": (
            "release not live",
            lambda w, o: [order.update(appRelease=b"\1" * 32) for order in (o.app, o.request)],
        ),
        "release paused": ("release not live", lambda w, o: _as(w.author, w.registry.pauseRelease, w.release)),
        "release withdrawn": ("release not live", lambda w, o: _as(w.author, w.registry.withdrawRelease, w.release)),
        "offer for another release": (
            "app offer for another release",
            lambda w, o: o.request.update(appRelease=b"\1" * 32),
        ),
        "app price": ("app price over limit", lambda w, o: o.app.update(price=601)),
        "app offer expired": ("app offer expired", lambda w, o: o.app.update(expiry=w.now - 1)),
        "app offer unused": ("app offer used up", lambda w, o: o.app.update(uses=0)),
        "app offer cancelled": ("app offer used up", lambda w, o: _cancel(w, w.author, o.app)),
        "app offer cancelled, several uses": (
            "app offer used up",
            lambda w, o: (o.app.update(uses=9), _cancel(w, w.author, o.app)),
        ),
        "app share": ("withheld share out of range", lambda w, o: o.app.update(withheldBps=10_001)),
        "app price huge": (
            "price out of range",
            lambda w, o: (o.app.update(price=HUGE), o.request.update(maxAppPrice=HUGE)),
        ),
        "app offer for another": (
            "app offer for another requester",
            lambda w, o: o.app.update(requester=w.stranger.address),
        ),
        "request for another pool": (
            "request for another pool",
            lambda w, o: o.request.update(pool=w.stranger.address),
        ),
        "size class": ("size class mismatch", lambda w, o: o.pool.update(sizeClass=1)),
        "pool price": ("pool price over limit", lambda w, o: o.pool.update(price=4_001)),
        "pool price huge": (
            "price out of range",
            lambda w, o: (o.pool.update(price=HUGE), o.request.update(maxPoolPrice=HUGE)),
        ),
        "tee kind of the request": ("tee kind not accepted by request", lambda w, o: o.pool.update(teeKind=2)),
        "no tee kind": ("tee kind not accepted by request", lambda w, o: o.pool.update(teeKind=0)),
        "two tee kinds": ("tee kind is not one bit", lambda w, o: o.pool.update(teeKind=257)),
        "pool offer expired": ("pool offer expired", lambda w, o: o.pool.update(expiry=w.now - 1)),
        "pool offer unused": ("pool offer used up", lambda w, o: o.pool.update(uses=0)),
        "pool offer cancelled": ("pool offer used up", lambda w, o: _cancel(w, w.pool, o.pool)),
        "pool offer for another": (
            "pool offer for another requester",
            lambda w, o: o.pool.update(requester=w.stranger.address),
        ),
        "version unknown": ("version not live", lambda w, o: _rename(o, b"\1" * 32)),
        "version paused": (
            "version not live",
            lambda w, o: _as(w.hospitals[1].owner, w.registry.pauseVersion, w.hospitals[1].version),
        ),
        "version withdrawn": (
            "version not live",
            lambda w, o: _as(w.hospitals[1].owner, w.registry.withdrawVersion, w.hospitals[1].version),
        ),
        "dataset paused": (
            "version not live",
            lambda w, o: _as(w.hospitals[1].owner, w.registry.pauseDataset, w.hospitals[1].dataset),
        ),
        "version twice": ("duplicate dataset version", lambda w, o: _rename(o, o.grants[0]["datasetVersion"])),
        "grant price": ("grant price over limit", lambda w, o: o.grants[1].update(price=2_001)),
        "grant price huge": (
            "price out of range",
            lambda w, o: (o.grants[1].update(price=HUGE), o.request["grants"][1].update(maxPrice=HUGE)),
        ),
        "grant share": ("withheld share out of range", lambda w, o: o.grants[1].update(withheldBps=10_001)),
        "grant too early": ("grant not yet valid", lambda w, o: o.grants[1].update(notBefore=w.now + 1)),
        "grant expired": ("grant expired", lambda w, o: o.grants[1].update(expiry=w.now - 1)),
        "grant for another release": (
            "grant for another release",
            lambda w, o: o.grants[1].update(appRelease=b"\1" * 32),
        ),
        "grant for another pool": (
            "grant for another pool",
            lambda w, o: o.grants[1].update(pool=w.stranger.address),
        ),
        "tee kind of the grant": ("tee kind not accepted by grant", lambda w, o: o.grants[1].update(teeKinds=3)),
        "grant for another": (
            "grant for another requester",
            lambda w, o: o.grants[1].update(requester=w.stranger.address),
        ),
        "grant unused": ("grant used up", lambda w, o: o.grants[1].update(uses=0)),
        "grant cancelled": ("grant used up", lambda w, o: _cancel(w, w.hospitals[1].owner, o.grants[1])),
        "grant cancelled, several uses": (
            "grant used up",
            lambda w, o: (o.grants[1].update(uses=9), _cancel(w, w.hospitals[1].owner, o.grants[1])),
        ),
        "lab has too little": (
            "insufficient escrow of the requester",
            lambda w, o: _as(w.lab, w.market.withdraw, w.money - 5_599),
        ),
        "pool has too little": (
            "insufficient escrow of the pool",
            lambda w, o: _as(w.pool, w.market.withdraw, w.money - 299),
        ),
    }


def _as(account: LocalAccount, function: object, *arguments: object) -> None:
    function(*arguments, sender=account.address)


def _cancel(world, account: LocalAccount, order: dict) -> None:
    _as(account, world.market.cancelNonces, order["nonce"] >> 8, 1 << (order["nonce"] & 255))


def _rename(orders, version: bytes) -> None:
    orders.grants[1].update(datasetVersion=version)
    orders.request["grants"][1].update(datasetVersion=version)


@pytest.mark.parametrize("name", list(_cases()))
def test_a_broken_condition_is_refused_for_its_reason(world, name):
    reason, break_orders = _cases()[name]
    orders = world.orders(2)

    break_orders(world, orders)

    with world.refused(f"market: {reason}"):
        world.match(orders)


def _limits() -> dict[str, object]:
    """Return orders at the very edge of what is accepted."""
    return {
        "unchanged": lambda w, o: None,
        "deadline nearest": lambda w, o: o.request.update(deadlineSeconds=60),
        "deadline farthest": lambda w, o: o.request.update(deadlineSeconds=30 * 86_400),
        "minGrants all": lambda w, o: o.request.update(minGrants=2),
        "every order in its last second": lambda w, o: [
            order.update(expiry=w.now) for order in (*o.grants, o.app, o.pool, o.request)
        ],
        "grant in its first second": lambda w, o: o.grants[1].update(notBefore=w.now),
        "prices at the limits": lambda w, o: (
            o.grants[1].update(price=2_000),
            o.app.update(price=600),
            o.pool.update(price=4_000),
        ),
        "whole share": lambda w, o: (o.app.update(withheldBps=10_000), o.grants[0].update(withheldBps=10_000)),
        "named pool": lambda w, o: (
            o.request.update(pool=w.pool.address),
            o.grants[0].update(pool=w.pool.address),
        ),
        "lab has just enough": lambda w, o: _as(w.lab, w.market.withdraw, w.money - 5_600),
        "pool has just enough": lambda w, o: _as(w.pool, w.market.withdraw, w.money - 300),
        "another's nonce cancelled": lambda w, o: _cancel(w, w.stranger, o.grants[0]),
        "the neighbour nonce cancelled": lambda w, o: _cancel(w, w.lab, {"nonce": o.request["nonce"] + 1}),
    }


@pytest.mark.parametrize("name", list(_limits()))
def test_a_condition_that_just_holds_is_accepted(world, name):
    orders = world.orders(2)

    _limits()[name](world, orders)
    deal = world.match(orders)

    assert world.status(deal) == 1


SIGNED = {"grants": "DatasetGrant", "app": "AppOffer", "pool": "PoolOffer", "request": "Request"}
REASONS = {
    "grants": "market: bad grant signature",
    "app": "market: bad app offer signature",
    "pool": "market: bad pool offer signature",
    "request": "market: bad request signature",
}


def _good_signature(world, orders, role: str) -> bytes:
    arguments = world.signed(orders)
    return {"grants": arguments[0][0][1], "app": arguments[2], "pool": arguments[4], "request": arguments[6]}[role]


def _damage(world, orders, role: str, how: str) -> bytes:
    good = _good_signature(world, orders, role)
    if how == "a stranger's":
        order = orders.grants[0] if role == "grants" else getattr(orders, role)
        return world.typed.sign(SIGNED[role], order, world.stranger)
    if how == "high s":
        # The other root: the same signature for whoever doesn't check EIP-2.
        order_of_curve = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        s = order_of_curve - int.from_bytes(good[32:64], "big")
        return good[:32] + s.to_bytes(32, "big") + bytes([55 - good[64]])
    return {
        "none": b"",
        "zeros": bytes(65),
        "short": good[:63],
        "long": good + b"\0",
        "flipped": good[:10] + bytes([good[10] ^ 1]) + good[11:],
        "v without 27": good[:64] + bytes([good[64] - 27]),
    }[how]


@pytest.mark.parametrize("how", ["a stranger's", "high s", "none", "zeros", "short", "long", "flipped", "v without 27"])
@pytest.mark.parametrize("role", list(SIGNED))
def test_a_bad_signature_is_refused_by_role(world, role, how):
    orders = world.orders(1)
    bad = _damage(world, orders, role, how)

    with world.refused(REASONS[role]):
        world.match(orders, **{role: [bad] if role == "grants" else bad})


@pytest.mark.parametrize("role", list(SIGNED))
def test_no_field_of_an_order_can_be_changed_after_it_was_signed(world, role):
    orders = world.orders(1)
    signature = _good_signature(world, orders, role)
    signature = [signature] if role == "grants" else signature
    # Changes that no other condition would refuse.
    changes = {
        "grants": {
            "policyDigest": b"\1" * 32,
            "broker": world.stranger.address,
            "price": 1,
            "withheldBps": 1,
            "uses": 2,
        },
        "app": {"price": 1, "withheldBps": 1, "uses": 2, "requester": world.lab.address, "nonce": 99},
        "pool": {"price": 1, "uses": 2, "requester": world.lab.address, "teeKind": 1, "nonce": 99},
        "request": {"planDigest": b"\1" * 32, "resultKeyDigest": b"\1" * 32, "deadlineSeconds": 61, "nonce": 99},
    }[role]

    for name, value in changes.items():
        changed = world.copy(orders)
        (changed.grants[0] if role == "grants" else getattr(changed, role))[name] = value
        if name == "teeKind":
            changed.grants[0]["teeKinds"] = 3
        with world.refused(REASONS[role]):
            world.match(changed, **{role: signature})


def test_a_signature_for_another_market_is_refused(world, deploy):
    other = deploy("Market", world.token.address, world.registry.address, world.stake_bps)
    orders = world.orders(1)
    elsewhere = type(world.typed)(world.typed.domain["chainId"], other.address)

    with world.refused("market: bad app offer signature"):
        world.match(orders, app=elsewhere.sign("AppOffer", orders.app, world.author))


def test_a_signature_for_another_chain_is_refused(world):
    orders = world.orders(1)
    elsewhere = type(world.typed)(world.typed.domain["chainId"] + 1, world.market.address)

    with world.refused("market: bad app offer signature"):
        world.match(orders, app=elsewhere.sign("AppOffer", orders.app, world.author))


def test_a_request_is_matched_once(world):
    orders = world.orders(1, uses=5)
    world.match(orders)

    with world.refused("market: request used up"):
        world.match(orders)


@pytest.mark.parametrize(
    ("role", "reason"),
    [("grants", "market: grant used up"), ("app", "market: app offer used up"), ("pool", "market: pool offer used up")],
)
def test_an_order_for_one_use_is_matched_once(world, role, reason):
    first, second = world.orders(1), world.orders(1)
    world.match(first)

    setattr(second, role, getattr(first, role))

    with world.refused(reason):
        world.match(second)
