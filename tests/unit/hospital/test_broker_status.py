"""What deserves a steward's attention, and what doesn't."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.broker.activity import Activity
from heartify.hospital.broker_status import BrokerStatus, ChainStanding, CollateralStanding, KeptCollateralStanding

NOW = 1_795_000_000
DAY = 86400


def collateral(*, fetched_at=NOW - 3600, refresh=6 * 3600, next_update=NOW + DAY):
    return CollateralStanding(
        "https://pccs.example", refresh, (KeptCollateralStanding("dcap/a/b", fetched_at, next_update),)
    )


ACTIVITY = Activity(
    uses=3,
    uses_day=1,
    uses_week=2,
    deals=3,
    last_use_at=NOW - 60,
    refusals_week={},
    audit_entries=20,
    last_backup_at=NOW - DAY,
)
CHAIN = ChainStanding(block_time=NOW - 12, may_idle=False, anchored_entry=20, anchored_at=NOW - 3600)
FINE = BrokerStatus(
    hospital="aspen",
    broker="0x" + "11" * 20,
    url="https://broker.example",
    service="ok",
    paused=None,
    chain=CHAIN,
    policy="production",
    trusts_simulation=False,
    kek="pkcs11",
    rotation_under_way=False,
    database="postgresql",
    schema="0002",
    collateral=None,
    signed_entry=20,
    live_versions=1,
    revoked_versions=0,
    live_grants=1,
    approved=("heartify 1.0",),
    requester_rules=0,
    activity=ACTIVITY,
    now=NOW,
)


def test_broker_that_is_fine_has_no_problems():
    assert FINE.problems == ()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (replace(FINE, service="unreachable"), "does not answer"),
        (replace(FINE, paused="a look", service="paused"), "paused (a look)"),
        (replace(FINE, chain=None), "node can't be reached"),
        (replace(FINE, chain=replace(CHAIN, block_time=NOW + 601)), "601 seconds ahead"),
        (replace(FINE, chain=replace(CHAIN, block_time=NOW - 601)), "601 seconds old"),
        (replace(FINE, chain=replace(CHAIN, anchored_entry=21, continues=False)), "entry 21 of the audit log is anch"),
        (replace(FINE, chain=replace(CHAIN, anchored_entry=0, anchored_at=0)), "was never anchored on chain"),
        (replace(FINE, chain=replace(CHAIN, continues=False)), "another database was put back"),
        (replace(FINE, url="http://broker.example:8701"), "without TLS"),
        (replace(FINE, rotation_under_way=True), "rotation of the key-encryption key was not finished"),
        (replace(FINE, collateral=collateral(fetched_at=NOW - 7 * 3600)), "is 7 hours old, due every 6"),
        (replace(FINE, collateral=collateral(next_update=NOW)), "dcap/a/b has ended"),
        (replace(FINE, collateral=collateral(fetched_at=None, refresh=None, next_update=0)), "has ended"),
        (replace(FINE, chain=replace(CHAIN, anchored_entry=5, anchored_at=NOW - 3 * DAY)), "15 entries"),
        (replace(FINE, approved=()), "no app release is approved"),
        (replace(FINE, trusts_simulation=True), "believes simulated evidence"),
        (replace(FINE, activity=replace(ACTIVITY, last_backup_at=None)), "not backed up"),
        (replace(FINE, activity=replace(ACTIVITY, last_backup_at=NOW - 31 * DAY)), "not backed up"),
    ],
)
def test_each_problem_is_said_in_a_sentence(status, said):
    (problem,) = status.problems

    assert said in problem


@pytest.mark.parametrize(
    "status",
    [
        replace(FINE, chain=replace(CHAIN, block_time=NOW - 601, may_idle=True)),
        replace(FINE, chain=replace(CHAIN, anchored_entry=5)),
        replace(FINE, chain=replace(CHAIN, anchored_entry=25)),
        replace(FINE, url="http://127.0.0.1:8701"),
        replace(FINE, url="http://localhost:8701"),
        replace(FINE, url="http://[::1]:8701"),
        replace(FINE, collateral=collateral()),
        replace(FINE, collateral=collateral(fetched_at=None, refresh=None)),
        replace(FINE, live_versions=0, activity=replace(ACTIVITY, last_backup_at=None)),
    ],
    ids=[
        "idle-embedded-chain",
        "young-anchor",
        "lost-anchor-that-is-named",
        "loopback",
        "localhost",
        "loopback-6",
        "fresh-collateral",
        "bundle",
        "nothing-to-back-up",
    ],
)
def test_what_is_no_problem_is_not_called_one(status):
    assert status.problems == ()
