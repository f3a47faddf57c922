"""Master keys at rest: bound to their version and to the vault seed, and gone when destroyed."""

from __future__ import annotations

import pytest

from heartify.broker.vault import Vault
from heartify.errors import IntegrityError, PolicyError

SEED = b"\x01" * 32
VERSION = "0x" + "aa" * 32
MASTER_KEY = bytes(range(32))


def test_wrapped_key_opens_with_the_same_seed_and_version():
    wrapped = Vault(SEED).wrap(VERSION, MASTER_KEY)

    assert Vault(SEED).unwrap(VERSION, wrapped) == MASTER_KEY
    assert MASTER_KEY not in wrapped


def test_wrapping_twice_gives_different_ciphertexts():
    vault = Vault(SEED)

    assert vault.wrap(VERSION, MASTER_KEY) != vault.wrap(VERSION, MASTER_KEY)


def test_another_seed_is_refused():
    wrapped = Vault(SEED).wrap(VERSION, MASTER_KEY)

    with pytest.raises(IntegrityError, match="does not open"):
        Vault(b"\x02" * 32).unwrap(VERSION, wrapped)


def test_row_of_another_version_is_refused():
    wrapped = Vault(SEED).wrap(VERSION, MASTER_KEY)

    with pytest.raises(IntegrityError, match="does not open"):
        Vault(SEED).unwrap("0x" + "bb" * 32, wrapped)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda wrapped: wrapped[:-1], id="a-byte-less"),
        pytest.param(lambda wrapped: wrapped[:11], id="shorter-than-a-nonce"),
        pytest.param(lambda wrapped: b"", id="empty"),
        pytest.param(lambda wrapped: wrapped[:-1] + bytes([wrapped[-1] ^ 1]), id="one-bit-flipped"),
    ],
)
def test_damaged_row_is_refused(damage):
    wrapped = Vault(SEED).wrap(VERSION, MASTER_KEY)

    with pytest.raises(IntegrityError, match="does not open"):
        Vault(SEED).unwrap(VERSION, damage(wrapped))


def test_broker_with_another_vault_seed_releases_and_counts_nothing(world):
    deal = world.open_deal()
    broker = world.reopen(vault_seed=b"\x99" * 32)

    with pytest.raises(IntegrityError, match="does not open"):
        world.ask(deal, broker)
    assert world.count(deal) == 0


def test_shredded_version_leaves_no_wrapped_key_in_the_database(world):
    deal = world.open_deal()
    held = world.store.live_version(world.version)

    world.store.revoke_version(world.version)

    assert world.store._all(_wrapped_keys()) == [(None,)]
    assert held.wrapped_master_key
    with pytest.raises(PolicyError, match="is revoked"):
        world.ask(deal)


def _wrapped_keys():
    import sqlalchemy as sa

    from heartify.broker import database

    return sa.select(database.versions.c.wrapped_master_key)
