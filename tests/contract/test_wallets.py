"""Contract wallets (ERC-1271) as owner, author, pool, requester and broker."""

from __future__ import annotations

import pytest


@pytest.fixture
def wallet(world):
    """A wallet whose two owners both sign: 130 bytes. It reads the market while it is asked."""
    wallet = world.load_mock("WalletMock", world.lab.address, world.stranger.address)
    wallet.setMarket(world.market.address)
    return wallet


def _sign(world, kind: str, values: dict) -> bytes:
    return world.typed.sign(kind, values, world.lab) + world.typed.sign(kind, values, world.stranger)


def _orders_of(world, wallet):
    """Give every role of a deal to the wallet, with money for the prices and the stake."""
    hospital = world.hospitals[0]
    world.registry.transferDataset(hospital.dataset, wallet.address, sender=hospital.owner.address)
    release = b"\5" * 32
    for target, data in (
        (world.registry, world.registry.acceptDataset.prepare_calldata(hospital.dataset)),
        (world.registry, world.registry.registerRelease.prepare_calldata(release, "")),
    ):
        wallet.call(target.address, data)
    world.token.mint(world.lab.address, 10_000)
    world.token.approve(world.market.address, 10_000, sender=world.lab.address)
    world.market.depositFor(wallet.address, 10_000, sender=world.lab.address)
    orders = world.orders(1)
    orders.grants[0].update(broker=wallet.address, appRelease=release)
    orders.app.update(appRelease=release)
    orders.pool.update(pool=wallet.address)
    orders.request.update(requester=wallet.address, appRelease=release)
    return orders


def _signatures(world, orders) -> dict:
    return {
        "grants": [_sign(world, "DatasetGrant", orders.grants[0])],
        "app": _sign(world, "AppOffer", orders.app),
        "pool": _sign(world, "PoolOffer", orders.pool),
        "request": _sign(world, "Request", orders.request),
    }


def test_a_wallet_can_play_every_role_of_a_deal(world, wallet):
    orders = _orders_of(world, wallet)
    deal = world.match(orders, **_signatures(world, orders))
    receipt = {
        "deal": world.deal_id(deal),
        "datasetVersion": deal["grants"][0]["datasetVersion"],
        "enclave": world.enclave.address,
    }

    world.settle(deal, receipts=[_sign(world, "KeyReceipt", receipt)])

    assert world.status(deal) == 2
    assert (world.free(wallet.address), world.locked(wallet.address)) == (10_000, 0)


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_a_wallet_that_answers_wrongly_has_not_signed(world, wallet, mode):
    orders = _orders_of(world, wallet)
    signatures = _signatures(world, orders)

    wallet.setMode(mode)

    with world.refused("market: bad request signature"):
        world.match(orders, **signatures)


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        ("request", "market: bad request signature"),
        ("app", "market: bad app offer signature"),
        ("pool", "market: bad pool offer signature"),
        ("grants", "market: bad grant signature"),
    ],
)
def test_one_owner_of_two_cannot_sign_for_the_wallet(world, wallet, role, reason):
    orders = _orders_of(world, wallet)
    signatures = _signatures(world, orders)
    one = signatures[role][0] if role == "grants" else signatures[role]

    signatures[role] = [one[:65]] if role == "grants" else one[:65]

    with world.refused(reason):
        world.match(orders, **signatures)


def test_a_wallets_key_receipt_needs_both_owners(world, wallet):
    orders = _orders_of(world, wallet)
    deal = world.match(orders, **_signatures(world, orders))

    with world.refused("market: bad key receipt"):
        world.settle(deal, receipts=[world.key_receipts(deal)[0]])


def test_a_contract_without_isValidSignature_has_not_signed(world):
    orders = world.orders(1)
    orders.request["requester"] = world.token.address

    with world.refused("market: bad request signature"):
        world.match(orders)


def test_a_wallet_cannot_be_an_enclave(world, wallet):
    """An enclave's key is made inside it; a contract has none."""
    deal = world.match(world.orders(1))

    with world.refused("market: bad enclave signature"):
        world.settle(deal, enclave_address=wallet.address)
