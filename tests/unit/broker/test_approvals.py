"""To approve is to replace: one release of an app is approved, unless a steward says otherwise."""

from __future__ import annotations

import msgspec
import pytest

from heartify.broker.audit.entry import AuditEvent
from heartify.errors import PolicyError, UsageError


def newer(names, version="2.0.0", name="heartify"):
    return msgspec.structs.replace(names.app_release, version=version, name=name)


def events(world):
    return [entry.event for entry in world.entries()]


def test_approving_a_release_ends_the_approval_of_the_former_one(world, names):
    former = world.store.approvals.approve(newer(names))

    assert former == (names.app_release.release_id(),)
    assert world.store.approvals.all() == (newer(names),)
    with pytest.raises(PolicyError, match="not approved"):
        world.ask(world.open_deal())
    assert events(world)[-3:-1] == [AuditEvent.RELEASE_REPLACED, AuditEvent.RELEASE_APPROVED]


def test_former_release_stays_approved_when_the_steward_says_so(world, names):
    former = world.store.approvals.approve(newer(names), keep_former=True)

    assert former == ()
    world.ask(world.open_deal())
    assert len(world.store.approvals.all()) == 2


def test_release_of_another_app_replaces_nothing(world, names):
    world.store.approvals.approve(newer(names, name="another-app"))

    assert names.app_release in world.store.approvals.all()


def test_withdrawn_approval_ends_releases_at_once_and_can_be_given_again(world, names):
    deal = world.open_deal()
    world.store.approvals.withdraw(names.app_release.release_id())
    with pytest.raises(PolicyError, match="not approved"):
        world.ask(deal)

    world.store.approvals.approve(names.app_release)

    world.ask(deal)
    assert AuditEvent.APPROVAL_WITHDRAWN in events(world)


def test_withdrawing_what_is_not_approved_is_refused_and_leaves_no_entry(world):
    before = world.entries()

    with pytest.raises(UsageError, match="is not approved"):
        world.store.approvals.withdraw("0x" + "77" * 32)
    assert world.entries() == before
