"""Money in and out of the escrow, with a good token and with tokens that misbehave."""

from __future__ import annotations

import pytest
from eth.exceptions import Revert
from eth_abi.abi import decode
from eth_account.messages import encode_typed_data

NOBODY = "0x000000000000000000000000000000000000bEEF"


def _permit(world, account, amount: int, deadline: int, *, nonce: int = 0) -> tuple[int, bytes, bytes]:
    fields = ["address owner", "address spender", "uint256 value", "uint256 nonce", "uint256 deadline"]
    message = encode_typed_data(
        domain_data={
            "name": "Unsafe test token",
            "version": "1",
            "chainId": world.typed.domain["chainId"],
            "verifyingContract": world.token.address,
        },
        message_types={"Permit": [dict(zip(("type", "name"), field.split(), strict=True)) for field in fields]},
        message_data={
            "owner": account.address,
            "spender": world.market.address,
            "value": amount,
            "nonce": nonce,
            "deadline": deadline,
        },
    )
    signature = account.sign_message(message).signature
    return signature[64], bytes(signature[:32]), bytes(signature[32:64])


def _mischief_market(world, deploy):
    token = world.load_mock("UnsafeMischiefToken")
    market = deploy("Market", token.address, world.registry.address, world.stake_bps)
    token.mint(world.lab.address, 1_000)
    return token, market


def test_a_deposit_is_free_balance_and_can_be_withdrawn(world):
    world.token.mint(world.stranger.address, 100)
    world.token.approve(world.market.address, 100, sender=world.stranger.address)

    world.market.deposit(70, sender=world.stranger.address)
    deposited = world.events("Deposited")
    world.market.withdraw(30, sender=world.stranger.address)
    withdrawn = world.events("Withdrawn")

    assert (world.free(world.stranger), world.locked(world.stranger)) == (40, 0)
    assert world.token.balanceOf(world.stranger.address) == 60
    assert deposited == [{"account": world.stranger.address, "amount": 70}]
    assert withdrawn == [{"account": world.stranger.address, "amount": 30}]


def test_a_deposit_for_another_account_is_that_accounts(world):
    world.token.mint(world.stranger.address, 100)
    world.token.approve(world.market.address, 100, sender=world.stranger.address)

    world.market.depositFor(NOBODY, 100, sender=world.stranger.address)

    assert (world.free(NOBODY), world.free(world.stranger)) == (100, 0)


def test_a_deposit_for_the_zero_account_is_refused(world):
    with world.refused("market: account is zero"):
        world.market.depositFor(world.zero, 0, sender=world.stranger.address)


def test_a_permit_approves_and_deposits_at_once(world):
    world.token.mint(world.stranger.address, 100)
    v, r, s = _permit(world, world.stranger, 100, world.now)

    world.market.depositWithPermit(100, world.now, v, r, s, sender=world.stranger.address)

    assert world.free(world.stranger) == 100


def test_a_permit_that_somebody_used_first_still_deposits(world):
    world.token.mint(world.stranger.address, 100)
    v, r, s = _permit(world, world.stranger, 100, world.now)
    world.token.permit(world.stranger.address, world.market.address, 100, world.now, v, r, s, sender=world.pool.address)

    world.market.depositWithPermit(100, world.now, v, r, s, sender=world.stranger.address)

    assert world.free(world.stranger) == 100


@pytest.mark.parametrize("wrong", ["expired", "another amount", "another account", "another nonce"])
def test_a_bad_permit_deposits_nothing(world, wrong):
    world.token.mint(world.stranger.address, 100)
    account = world.pool if wrong == "another account" else world.stranger
    deadline = world.now - 1 if wrong == "expired" else world.now
    v, r, s = _permit(world, account, 100, deadline, nonce=1 if wrong == "another nonce" else 0)

    with world.refused("token: insufficient allowance"):
        amount = 99 if wrong == "another amount" else 100
        world.market.depositWithPermit(amount, deadline, v, r, s, sender=world.stranger.address)


def test_withdrawing_more_than_is_free_is_refused(world):
    world.match()

    with world.refused("market: insufficient escrow"):
        world.market.withdraw(world.free(world.lab) + 1, sender=world.lab.address)
    world.market.withdraw(world.free(world.lab), sender=world.lab.address)

    assert world.free(world.lab) == 0
    assert world.locked(world.lab) == 5_600


def test_a_token_that_takes_a_fee_is_refused(world, deploy):
    token, market = _mischief_market(world, deploy)
    token.setMischief(1, world.zero, b"")

    with world.refused("market: token took a fee", market):
        market.deposit(100, sender=world.lab.address)


def test_a_token_that_answers_false_is_refused(world, deploy):
    token, market = _mischief_market(world, deploy)
    market.deposit(100, sender=world.lab.address)
    token.setMischief(2, world.zero, b"")

    with world.refused("market: token refused", market):
        market.deposit(100, sender=world.lab.address)
    with world.refused("market: token refused", market):
        market.withdraw(100, sender=world.lab.address)

    assert market.freeOf(world.lab.address) == 100


def test_a_token_that_answers_nothing_is_taken_at_its_balances(world, deploy):
    token, market = _mischief_market(world, deploy)
    token.setMischief(3, world.zero, b"")

    market.deposit(100, sender=world.lab.address)
    market.withdraw(40, sender=world.lab.address)

    assert market.freeOf(world.lab.address) == 60
    assert token.balanceOf(world.lab.address) == 940


def test_the_escrow_holds_at_most_128_bits(world, deploy):
    token, market = _mischief_market(world, deploy)
    token.mint(world.stranger.address, 2**128)

    with world.refused("market: escrow full", market):
        market.deposit(2**128, sender=world.stranger.address)
    market.deposit(2**128 - 1, sender=world.stranger.address)
    with world.refused("market: escrow full", market):
        market.deposit(1, sender=world.lab.address)

    assert market.freeOf(world.stranger.address) == 2**128 - 1
    assert market.lockedOf(world.stranger.address) == 0


@pytest.mark.parametrize(
    "function",
    ["deposit", "depositFor", "depositWithPermit", "withdraw", "matchOrders", "settle", "concede", "reclaim"],
)
@pytest.mark.parametrize("way", ["in", "out"])
def test_a_token_that_calls_back_gets_nowhere(world, deploy, function, way):
    token, market = _mischief_market(world, deploy)
    market.deposit(100, sender=world.lab.address)
    deal = world.match()
    arguments = {
        "deposit": [1],
        "depositFor": [token.address, 1],
        "depositWithPermit": [1, world.now, 27, bytes(32), bytes(32)],
        "withdraw": [0],
        "matchOrders": world.signed(world.orders(1)),
        "settle": world.settlement(deal),
        "concede": [world.deal_abi(deal)],
        "reclaim": [world.deal_abi(deal)],
    }[function]
    token.setMischief(4, market.address, getattr(market, function).prepare_calldata(*arguments))

    if way == "in":
        market.deposit(10, sender=world.lab.address)
    else:
        market.withdraw(10, sender=world.lab.address)

    # The lock reverts with no data at all; every named refusal would carry its reason.
    assert not token.broke_in()
    assert token.answer() == b""
    assert market.freeOf(world.lab.address) == (110 if way == "in" else 90)
    assert token.balanceOf(market.address) == market.freeOf(world.lab.address)


def test_views_stay_open_while_the_token_calls_back(world, deploy):
    token, market = _mischief_market(world, deploy)
    token.setMischief(4, market.address, market.freeOf.prepare_calldata(world.lab.address))

    market.deposit(10, sender=world.lab.address)

    assert token.broke_in()


@pytest.mark.parametrize(
    ("token", "registry", "stake_bps", "reason"),
    [
        ("account", "registry", 0, "market: token is not a contract"),
        ("token", "account", 0, "market: registry is not a contract"),
        ("token", "registry", 10_001, "market: stake out of range"),
    ],
)
def test_a_market_with_wrong_parts_is_not_deployed(world, deploy, token, registry, stake_bps, reason):
    addresses = {"account": NOBODY, "token": world.token.address, "registry": world.registry.address}

    with pytest.raises(Revert) as caught:
        deploy("Market", addresses[token], addresses[registry], stake_bps)

    assert decode(["string"], caught.value.args[0][4:]) == (reason,)


def test_a_market_says_what_it_was_deployed_with(world):
    assert world.market.token() == world.token.address
    assert world.market.registry() == world.registry.address
    assert world.market.stakeBps() == world.stake_bps
