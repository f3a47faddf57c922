"""The use counter and the high-water marks: durable, monotone, and right under concurrency."""

from __future__ import annotations

import concurrent.futures

import pytest
import sqlalchemy as sa

from heartify.attestation.simulated.collateral import SimulatedIssue
from heartify.broker.database import open_database
from heartify.errors import AttestationError, PolicyError
from heartify.protocol.canonical import encode_canonical

DAY = 86400


def test_third_release_for_a_deal_is_refused(world):
    deal = world.open_deal()
    world.ask(deal)
    world.ask(deal)

    with pytest.raises(PolicyError, match="released 2 times already"):
        world.ask(deal)
    assert world.count(deal) == 2


def test_counter_is_kept_over_a_restart(world):
    deal = world.open_deal()
    world.ask(deal)
    world.ask(deal)

    with pytest.raises(PolicyError, match="released 2 times already"):
        world.ask(deal, world.reopen())
    assert world.count(deal) == 2


def test_each_deal_has_its_own_counter(world):
    first, second = world.open_deal(), world.open_deal(poolPrice=3)
    world.ask(first)
    world.ask(first)

    world.ask(second)

    assert (world.count(first), world.count(second)) == (2, 1)


def test_eight_threads_at_once_get_no_more_than_the_limit(world, names):
    deal = world.open_deal()
    requests = []
    for _ in range(8):
        challenge = world.broker.challenge(deal.deal_id(names.domain))
        requests.append(world.request(challenge, deal))

    def release(request) -> bool:
        try:
            world.broker.release(request)
        except PolicyError:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        released = list(threads.map(release, requests))

    assert 1 <= sum(released) <= 2
    assert world.count(deal) == len(world.store.releases()) == sum(released)


def test_two_broker_processes_on_one_database_share_the_limit(world):
    deal = world.open_deal()
    one, other = world.reopen(limit=1), world.reopen(limit=1)
    world.ask(deal, one)

    with pytest.raises(PolicyError, match="released 1 times already"):
        world.ask(deal, other)


def test_attempt_counted_by_someone_else_meanwhile_is_refused(world):
    deal = world.open_deal()
    world.ask(deal)
    (entry,) = world.store.releases()

    with pytest.raises(PolicyError, match="being counted"):
        world.store.count_release(entry, 2)
    assert world.count(deal) == 1


def test_collateral_that_was_rolled_back_is_refused(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(deal.deal_id(names.domain))
    old = world.enclave.evidence(
        collateral=world.platform.collateral(names.now - 5 * DAY), **world.binding(challenge, deal)
    )
    world.ask(deal)

    with pytest.raises(AttestationError, match="rolled back"):
        world.broker.release(world.request(challenge, deal, evidence=old))
    assert world.count(deal) == 1


def test_collateral_rolled_back_after_a_restart_is_refused(world, names):
    world.ask(world.open_deal())
    broker, deal = world.reopen(), world.open_deal(poolPrice=3)
    challenge = broker.challenge(deal.deal_id(names.domain))
    issue = SimulatedIssue(now_utc_seconds=names.now, evaluation_data_number=17)
    old = world.enclave.evidence(collateral=world.platform.collateral_of_issue(issue), **world.binding(challenge, deal))

    with pytest.raises(AttestationError, match="rolled back"):
        broker.release(world.request(challenge, deal, evidence=old))
    assert world.count(deal) == 0


def test_high_water_mark_is_never_lowered_by_a_slower_request(world):
    world.store.store_collateral_marks({"root-crl/aa": 7, "tcb-info/aa": 18})

    world.store.store_collateral_marks({"root-crl/aa": 6, "tcb-info/aa": 19, "qe-identity/aa": 1})

    assert world.store.collateral_marks() == {"root-crl/aa": 7, "tcb-info/aa": 19, "qe-identity/aa": 1}


def test_database_is_durable_and_enforces_its_references(world):
    engine = open_database(world.database_url)

    with engine.connect() as connection:
        settings = {
            name: connection.execute(sa.text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_database_errors_do_not_show_what_was_written(world, written):
    wrapped = b"wrapped-master-key-of-a-version!"
    manifest, dictionary = encode_canonical(written.manifest), b"{}"

    with pytest.raises(sa.exc.IntegrityError) as refused:
        world.store.add_version(world.version, manifest, dictionary, wrapped)

    assert "wrapped-master-key" not in str(refused.value)
    assert written.manifest.dictionary_digest not in str(refused.value)


def test_versions_and_grants_are_listed_with_their_state(world):
    world.store.revoke_grant(world.grant_digest)
    world.store.revoke_version(world.version)

    ((version, _dataset, revoked),) = world.store.versions()
    (grant,) = world.store.grants()
    assert (version, revoked) == (world.version, True)
    assert (grant.order_digest, grant.revoked) == (world.grant_digest, True)


def test_withdrawn_approval_can_be_given_again(world, names):
    world.store.approve_release(names.app_release)

    assert world.store.approved_releases() == (names.app_release,)
