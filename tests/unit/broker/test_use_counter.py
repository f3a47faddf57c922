"""The use counter and the high-water marks: durable, monotone, and right under concurrency."""

from __future__ import annotations

import concurrent.futures

import pytest
import sqlalchemy as sa

from heartify.attestation.result import CollateralMark
from heartify.attestation.simulated.collateral import SimulatedIssue
from heartify.broker.database import open_database
from heartify.errors import AttestationError, PolicyError
from heartify.protocol.canonical import encode_canonical

DAY = 86400


def test_third_release_for_a_deal_is_refused(world):
    deal = world.open_deal()
    world.ask_anew(deal)
    world.ask_anew(deal)

    with pytest.raises(PolicyError, match="released 2 times already"):
        world.ask_anew(deal)
    assert world.count(deal) == 2


def test_counter_is_kept_over_a_restart(world):
    deal = world.open_deal()
    world.ask_anew(deal)
    world.ask_anew(deal)

    with pytest.raises(PolicyError, match="released 2 times already"):
        world.ask_anew(deal, world.reopen())
    assert world.count(deal) == 2


def test_each_deal_has_its_own_counter(world):
    first, second = world.open_deal(), world.open_deal(poolPrice=3)
    world.ask_anew(first)
    world.ask_anew(first)

    world.ask_anew(second)

    assert (world.count(first), world.count(second)) == (2, 1)


def test_eight_threads_at_once_get_no_more_than_the_limit(world, names):
    deal = world.open_deal()
    requests = []
    for _ in range(8):
        world.enclave = names.enclave_class(world.platform)
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
    assert world.count(deal) == len(world.store.uses.all()) == sum(released)


def test_two_broker_processes_on_one_database_share_the_limit(world):
    deal = world.open_deal()
    one, other = world.reopen(limit=1), world.reopen(limit=1)
    world.ask_anew(deal, one)

    with pytest.raises(PolicyError, match="released 1 times already"):
        world.ask_anew(deal, other)


def test_enclave_that_asks_again_is_one_use_and_gets_the_same_keys(world, names):
    deal = world.open_deal()
    world.ask_anew(deal)
    other = world.reopen()

    again = world.ask(deal, other)

    assert world.count(deal) == 1
    (use,) = world.store.uses.all()
    assert use.key_receipt_signature == again.key_receipt_signature
    assert [entry.event for entry in world.entries()].count("keys-released") == 2


def test_enclave_that_asks_again_with_another_key_is_refused(world, names):
    deal = world.open_deal()
    world.ask_anew(deal)
    world.enclave.sealing = names.enclave_class(world.platform).sealing

    with pytest.raises(PolicyError, match="another encryption key"):
        world.ask(deal)


def test_use_its_receipt_and_its_audit_entry_are_one_transaction(world, monkeypatch):
    def fail(*_: object) -> None:
        raise sa.exc.OperationalError("disk is full", None, Exception())

    deal = world.open_deal()
    before = world.entries()
    monkeypatch.setattr("heartify.broker.use_counter.append", fail)

    with pytest.raises(sa.exc.OperationalError):
        world.ask_anew(deal)

    assert world.count(deal) == 0
    assert world.entries() == before


def test_counted_use_holds_the_receipt_that_the_chain_pays_on(world, names):
    deal = world.open_deal()
    release = world.ask_anew(deal)
    (use,) = world.store.uses.of_deal(deal.deal_id(names.domain), world.version)

    assert use.key_receipt_signature == release.key_receipt_signature
    assert (use.enclave, use.requester, use.attempt) == (world.enclave.address, deal.requester, 1)


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
    world.ask_anew(world.open_deal())
    broker, deal = world.reopen(), world.open_deal(poolPrice=3)
    challenge = broker.challenge(deal.deal_id(names.domain))
    issue = SimulatedIssue(now_utc_seconds=names.now, evaluation_data_number=17)
    old = world.enclave.evidence(collateral=world.platform.collateral_of_issue(issue), **world.binding(challenge, deal))

    with pytest.raises(AttestationError, match="rolled back"):
        broker.release(world.request(challenge, deal, evidence=old))
    assert world.count(deal) == 0


def test_high_water_marks_only_rise(world):
    world.store.marks.advance([CollateralMark("root-crl/aa", 7), CollateralMark("tcb-info/aa", 18)])

    with pytest.raises(AttestationError, match="rolled back"):
        world.store.marks.advance([CollateralMark("tcb-info/aa", 19), CollateralMark("root-crl/aa", 6)])
    world.store.marks.advance([CollateralMark("tcb-info/aa", 19), CollateralMark("qe-identity/aa", 1)])

    assert world.store.marks.all() == {"root-crl/aa": 7, "tcb-info/aa": 19, "qe-identity/aa": 1}


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
    world.store.approvals.approve(names.app_release)

    assert world.store.approvals.all() == (names.app_release,)
