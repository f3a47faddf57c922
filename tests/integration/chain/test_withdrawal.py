"""Withdrawing in the registry of a real chain: once, again, never registered, and somebody else's."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from heartify.errors import RevertError
from heartify.hospital.withdrawal import withdraw_on_chain

BROKER = "0x" + "b0" * 20


def version_for(text: str) -> str:
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def test_a_version_is_withdrawn_once_and_asking_again_does_no_harm(world: Any) -> None:
    owner, version = world.new_party(), version_for("withdrawn twice")
    dataset, _ = owner.registry.register_dataset(b"\x51" * 32, BROKER, "https://broker.example")
    owner.registry.publish_version(dataset, version, "s3://bucket/version")

    withdraw_on_chain(version, owner.registry)
    withdraw_on_chain(version, owner.registry)

    assert not owner.registry.is_version_live(version, block="latest")


def test_a_version_that_was_never_registered_needs_no_withdrawal(world: Any) -> None:
    owner, version = world.new_party(), version_for("never registered")

    withdraw_on_chain(version, owner.registry)

    assert not owner.registry.is_version_live(version, block="latest")


def test_a_version_of_another_owner_is_not_withdrawn(world: Any) -> None:
    stranger, mine = world.new_party(), world.hospitals[0]

    with pytest.raises(RevertError, match="registry: not the owner"):
        withdraw_on_chain(mine.version, stranger.registry)
    assert mine.party.registry.is_version_live(mine.version, block="latest")
