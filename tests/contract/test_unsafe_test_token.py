"""The embedded chain's token: EIP-20 and EIP-2612 behaviour, and that it says that it is unsafe."""

from __future__ import annotations

import pytest

SPENDER = "0x000000000000000000000000000000000000bEEF"


def test_its_name_says_that_it_is_unsafe(world):
    assert (world.token.name(), world.token.symbol(), world.token.decimals()) == ("Unsafe test token", "TEST", 6)


def test_a_transfer_moves_tokens_and_says_so(world):
    supply = world.token.totalSupply()
    world.token.mint(world.stranger.address, 10)

    world.token.transfer(SPENDER, 4, sender=world.stranger.address)

    assert world.events("Transfer", world.token) == [
        {"sender": world.stranger.address, "receiver": SPENDER, "value": 4}
    ]
    assert (world.token.balanceOf(world.stranger.address), world.token.balanceOf(SPENDER)) == (6, 4)
    assert world.token.totalSupply() == supply + 10


def test_an_allowance_is_used_up_unless_it_is_the_largest(world):
    world.token.mint(world.stranger.address, 10)
    world.token.approve(world.lab.address, 4, sender=world.stranger.address)

    world.token.transferFrom(world.stranger.address, SPENDER, 3, sender=world.lab.address)
    assert world.token.allowance(world.stranger.address, world.lab.address) == 1
    world.token.approve(world.lab.address, 2**256 - 1, sender=world.stranger.address)
    world.token.transferFrom(world.stranger.address, SPENDER, 3, sender=world.lab.address)

    assert world.token.allowance(world.stranger.address, world.lab.address) == 2**256 - 1


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        ("mint", ["zero", 1], "token: account is zero"),
        ("transfer", [SPENDER, 1], "token: insufficient balance"),
        ("transfer", ["zero", 0], "token: receiver is zero"),
        ("transferFrom", ["lab", SPENDER, 1], "token: insufficient allowance"),
        ("permit", ["lab", SPENDER, 1, 0, 27, bytes(32), bytes(32)], "token: permit expired"),
        ("permit", ["lab", SPENDER, 1, 2**40, 27, bytes(32), bytes(32)], "token: bad permit"),
        ("permit", ["zero", SPENDER, 1, 2**40, 27, bytes(32), bytes(32)], "token: bad permit"),
        ("permit", ["lab", SPENDER, 1, 2**40, 27, bytes(32), b"\xff" * 32], "token: bad permit"),
    ],
)
def test_what_the_standard_forbids_is_refused(world, function, arguments, reason):
    names = {"zero": world.zero, "lab": world.lab.address}
    resolved = [names.get(a, a) if isinstance(a, str) else a for a in arguments]

    with world.refused(reason, world.token):
        getattr(world.token, function)(*resolved, sender=world.stranger.address)
