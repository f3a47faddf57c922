"""A database that was put back: noticed by its anchor on chain, and harmless for deals from before its restore."""

from __future__ import annotations

import pytest

from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append
from heartify.broker.database import writing
from heartify.broker.facts import RESTORED_BLOCK, set_fact
from heartify.broker.rollback import Anchor
from heartify.errors import ChainError, IntegrityError, PolicyError


def restore_at(world, block: int) -> None:
    with writing(world.store.engine) as connection:
        set_fact(connection, RESTORED_BLOCK, str(block))


def test_log_that_continues_its_anchor_releases(world):
    entry = world.entries()[1]
    world.chain.anchor = Anchor(entry.sequence, entry.digest)

    world.ask(world.open_deal())


def test_log_that_is_shorter_than_its_anchor_releases_nothing(world):
    deal = world.open_deal()
    world.chain.anchor = Anchor(len(world.entries()) + 1, "0x" + "77" * 32)

    with pytest.raises(IntegrityError, match="was put back"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_log_with_another_entry_than_the_anchored_one_releases_nothing(world):
    deal = world.open_deal()
    world.chain.anchor = Anchor(2, "0x" + "77" * 32)

    with pytest.raises(IntegrityError, match="is not the one that was anchored"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_anchor_that_can_not_be_read_releases_nothing(world):
    deal = world.open_deal()
    challenge = world.broker.challenge(deal.deal_id(world.domain))
    request = world.request(challenge, deal)
    world.chain.is_down = True

    with pytest.raises(ChainError):
        world.broker.release(request)


def test_acknowledged_rollback_releases_for_later_deals_only(world):
    before, after = world.open_deal(), world.open_deal(poolPrice=3)
    world.chain.matched = {before.deal_id(world.domain): 50, after.deal_id(world.domain): 51}
    world.chain.anchor = Anchor(99, "0x" + "77" * 32)
    with writing(world.store.engine) as connection:
        details = {"digest": "0x" + "11" * 32, "sequence": str(len(world.entries())), "block": "50"}
        lost = {"anchor_sequence": "99", "anchor_head": world.chain.anchor.head}
        append(connection, 0, AuditEvent.RESTORED, details | lost)
    restore_at(world, 50)

    with pytest.raises(PolicyError, match="matched in block 50"):
        world.ask(before)
    world.ask(after)

    assert (world.count(before), world.count(after)) == (0, 1)


def test_restore_between_the_chains_answer_and_the_count_is_noticed(world, monkeypatch):
    deal = world.open_deal()
    seal = world.broker._seal

    def restore_then_seal(*arguments):
        restore_at(world, 5)
        return seal(*arguments)

    monkeypatch.setattr(world.broker, "_seal", restore_then_seal)

    with pytest.raises(PolicyError, match="can't tell whether"):
        world.ask(deal)
    assert world.count(deal) == 0
