"""The broker releases exactly the plan's column keys to an attested enclave, and refuses everything else.

The names of the refusals are those of the attack list: replay (7), kind of root (9), debug (1), rollback (4, 12),
measurement (6), clock (13).
"""

from __future__ import annotations

import dataclasses
import re

import msgspec
import pytest

from heartify.attestation.policy import PRODUCTION_POLICY
from heartify.attestation.simulated import SimulatedPlatform
from heartify.cohort.encrypted.column_crypto import column_key
from heartify.errors import AttestationError, ChainError, DocumentError, InputError, IntegrityError, PolicyError
from heartify.protocol.canonical import to_bytes, to_hex
from heartify.protocol.eip712 import Domain
from heartify.protocol.evidence import TeeKind
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.key_release import ColumnKeys, parse_column_keys, release_digest, release_info
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import FactorSpec, Purpose
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.signing import recover_address

DAY = 86400


def id_of(deal, names) -> str:
    return deal.deal_id(names.domain)


# ---- success


def test_released_keys_are_those_of_the_plans_columns_and_no_others(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))

    release = world.broker.release(world.request(challenge, deal))

    info = release_info(
        names.domain, id_of(deal, names), world.version, world.broker.address, challenge.nonce, world.enclave.address
    )
    keys = parse_column_keys(world.enclave.sealing.open(to_bytes(release.sealed_keys), info))
    manifest = world.manifest
    expected = {
        column: column_key(
            world.master_key,
            dataset=to_bytes(manifest.dataset),
            version_nonce=to_bytes(manifest.version_nonce),
            column=column,
        )
        for column in ("age", "systolic", "cvd")
    }
    assert keys == expected
    assert release.dataset_version == world.version


def test_release_and_key_receipt_are_signed_by_the_broker_for_this_enclave(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))

    release = world.broker.release(world.request(challenge, deal))

    receipt = KeyReceipt(deal=id_of(deal, names), datasetVersion=world.version, enclave=world.enclave.address)
    info = release_info(
        names.domain, id_of(deal, names), world.version, world.broker.address, challenge.nonce, world.enclave.address
    )
    signed = release_digest(info, to_bytes(release.sealed_keys))
    assert recover_address(receipt.digest(names.domain), release.key_receipt_signature) == world.broker.address
    assert recover_address(signed, release.release_signature) == world.broker.address


def test_sealed_keys_open_for_no_other_enclave(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))
    release = world.broker.release(world.request(challenge, deal))
    other = names.enclave_class(world.platform)
    info = release_info(
        names.domain, id_of(deal, names), world.version, world.broker.address, challenge.nonce, world.enclave.address
    )

    with pytest.raises(IntegrityError, match="does not open"):
        other.sealing.open(to_bytes(release.sealed_keys), info)


def test_challenge_is_signed_by_the_broker_and_bound_to_deal_nonce_and_market(world, names):
    deal_id = id_of(world.deal(), names)

    challenge = world.broker.challenge(deal_id)

    assert challenge.deal == deal_id
    assert challenge.expires == names.now + 60
    assert recover_address(challenge.signed_digest(names.domain), challenge.signature) == world.broker.address
    elsewhere = challenge.signed_digest(Domain(1, names.domain.contract))
    assert recover_address(elsewhere, challenge.signature) != world.broker.address


def test_release_is_counted_with_what_an_auditor_needs(world, names):
    deal = world.open_deal()

    world.ask(deal)

    (entry,) = world.store.uses.all()
    assert entry.deal == id_of(deal, names)
    assert (entry.version, entry.attempt, entry.enclave) == (world.version, 1, world.enclave.address)
    assert entry.measurement == to_hex(world.enclave.measurement)
    assert entry.simulated
    assert entry.released_at == names.now


def test_column_keys_are_not_shown_by_repr(world):
    keys = ColumnKeys(dataset_version=world.version, keys={"age": "0x" + "5a" * 32})

    assert "5a5a" not in re.sub("0x[0-9a-f]+", "", repr(keys))


# ---- challenges


def test_challenge_that_was_used_is_refused(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))
    request = world.request(challenge, deal)
    world.broker.release(request)

    with pytest.raises(PolicyError, match="used already"):
        world.broker.release(request)
    assert world.count(deal) == 1


def test_challenge_of_a_refused_request_is_used_up_too(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))
    good = world.request(challenge, deal)
    with pytest.raises(AttestationError):
        world.broker.release(msgspec.structs.replace(good, enclave="0x" + "99" * 20))

    with pytest.raises(PolicyError, match="used already"):
        world.broker.release(good)
    assert world.count(deal) == 0


def test_challenge_that_has_expired_is_refused(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))
    world.clock.now += 61

    with pytest.raises(PolicyError, match="expired"):
        world.broker.release(world.request(challenge, deal))
    assert world.count(deal) == 0


def test_challenge_is_good_to_its_last_second(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))
    world.clock.now += 60

    world.broker.release(world.request(challenge, deal))

    assert world.count(deal) == 1


def test_unknown_challenge_is_refused(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))

    with pytest.raises(PolicyError, match="not one of this broker"):
        world.broker.release(world.request(challenge, deal, session="0" * 32))


def test_challenge_of_another_broker_is_refused(world, names):
    deal = world.open_deal()
    other = world.reopen(key=b"\x77" * 32)
    challenge = other.challenge(id_of(deal, names))

    with pytest.raises(PolicyError, match="not one of this broker"):
        world.broker.release(world.request(challenge, deal))


def test_challenge_for_another_deal_is_refused(world, names):
    deal, other = world.open_deal(), world.open_deal(poolPrice=3)
    challenge = world.broker.challenge(id_of(other, names))

    with pytest.raises(PolicyError, match="not one of this broker for this deal"):
        world.broker.release(world.request(challenge, deal))
    assert world.count(deal) == world.count(other) == 0


def test_flood_of_challenges_takes_no_others_place(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))

    for _ in range(20_000):
        world.broker._challenges.create("0x" + "01" * 32)

    assert not world.broker._challenges._answered
    world.broker.release(world.request(challenge, deal))


def test_answered_challenges_are_bounded_and_free_up_after_a_minute(world, names, monkeypatch):
    monkeypatch.setattr("heartify.broker.challenges.MAX_ANSWERED", 3)
    deal = world.open_deal(deadline=names.now + 3600)
    for _ in range(3):
        world.ask(deal)

    with pytest.raises(PolicyError, match="too many"):
        world.ask(deal)
    world.clock.now += 61
    world.ask(deal)

    assert world.count(deal) == 1


def test_challenge_of_the_former_process_is_refused_after_a_restart(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))

    with pytest.raises(PolicyError, match="not one of this broker"):
        world.reopen().release(world.request(challenge, deal))


def test_session_of_another_expiry_is_refused(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))
    later = (challenge.expires + 600).to_bytes(4, "big").hex() + challenge.session[8:]

    with pytest.raises(PolicyError, match="not one of this broker"):
        world.broker.release(world.request(challenge, deal, session=later))


# ---- evidence: what is bound


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        pytest.param("deal", b"\x01" * 32, id="replayed-from-another-deal"),
        pytest.param("broker", b"\x02" * 20, id="replayed-from-another-broker"),
        pytest.param("chain_id", 1, id="replayed-from-another-chain"),
        pytest.param("contract", b"\x03" * 20, id="replayed-from-another-market"),
        pytest.param("nonce", b"\x04" * 32, id="replayed-from-another-challenge"),
        pytest.param("plan_digest", b"\x05" * 32, id="made-for-another-plan"),
        pytest.param("encryption_public_key", b"\x06" * 1216, id="bound-to-another-encryption-key"),
        pytest.param("enclave_address", b"\x07" * 20, id="bound-to-another-enclave-address"),
    ],
)
def test_evidence_that_binds_something_else_is_refused(world, names, bound, value):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))
    binding = {**world.binding(challenge, deal), bound: value}
    evidence = world.enclave.evidence(**binding)

    with pytest.raises(AttestationError, match="report data"):
        world.broker.release(world.request(challenge, deal, evidence=evidence))
    assert world.count(deal) == 0


def test_encryption_key_that_the_host_swapped_is_refused(world, names):
    deal, host = world.open_deal(), names.enclave_class(world.platform)
    swapped = to_hex(host.sealing.public_key)

    with pytest.raises(AttestationError, match="report data"):
        world.ask(deal, encryption_public_key=swapped)
    assert world.count(deal) == 0


def test_enclave_address_that_the_host_swapped_is_refused(world, names):
    deal, host = world.open_deal(), names.enclave_class(world.platform)

    with pytest.raises(AttestationError, match="report data"):
        world.ask(deal, enclave=host.address)
    assert world.count(deal) == 0


def test_malformed_encryption_key_is_refused_and_not_counted(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))
    binding = {**world.binding(challenge, deal), "encryption_public_key": b"\x01" * 40}
    evidence = world.enclave.evidence(**binding)
    request = world.request(challenge, deal, evidence=evidence, encryption_public_key="0x" + "01" * 40)

    with pytest.raises(IntegrityError, match="sealing public key"):
        world.broker.release(request)
    assert world.count(deal) == 0


# ---- evidence: what it is


def test_wrong_measurement_is_refused(world, names):
    world.enclave = names.enclave_class(world.platform, measurement=b"\x42" * 32)
    deal = world.open_deal()

    with pytest.raises(AttestationError, match=r"(?i)measurement"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_app_release_that_this_hospital_has_not_approved_is_refused(world, names, add_grant):
    add_grant(world.store, world.version, names.policy, nonce=1, appRelease="0x" + "44" * 32)
    deal = world.open_deal(appRelease="0x" + "44" * 32)

    with pytest.raises(PolicyError, match="not approved"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_debug_enclave_is_refused(world, names):
    deal = world.open_deal()
    challenge = world.broker.challenge(id_of(deal, names))
    evidence = world.enclave.evidence(flags=0x07, **world.binding(challenge, deal))

    with pytest.raises(AttestationError, match=r"(?i)debug"):
        world.broker.release(world.request(challenge, deal, evidence=evidence))
    assert world.count(deal) == 0


def test_production_policy_refuses_simulated_evidence(world):
    deal = world.open_deal()
    broker = world.reopen(policy=PRODUCTION_POLICY)

    with pytest.raises(AttestationError, match="simulated-sgx is not accepted by policy 'production'"):
        world.ask(deal, broker)
    assert world.count(deal) == 0


def test_evidence_under_another_simulated_root_is_refused(world, names):
    world.enclave = names.enclave_class(SimulatedPlatform.create(names.now))
    deal = world.open_deal()

    with pytest.raises(AttestationError, match="no trust root"):
        world.ask(deal)


def test_evidence_of_another_tee_kind_than_the_deals_is_refused(world, names, add_grant):
    add_grant(world.store, world.version, names.policy, nonce=1, teeKinds=int(TeeKind.SGX))
    deal = world.open_deal(teeKind=int(TeeKind.SGX))

    with pytest.raises(PolicyError, match="the deal is for sgx"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_simulated_evidence_that_calls_itself_hardware_is_refused(world, names, add_grant):
    hardware = msgspec.structs.replace(names.app_release, measurements={"sgx": ("0x" + bytes(range(32)).hex(),)})
    world.store.approvals.approve(hardware)
    terms = {"appRelease": hardware.release_id(), "teeKinds": int(TeeKind.SGX)}
    add_grant(world.store, world.version, names.policy, nonce=1, **terms)
    deal = world.open_deal(teeKind=int(TeeKind.SGX), appRelease=hardware.release_id())
    challenge = world.broker.challenge(id_of(deal, names))
    evidence = world.enclave.evidence(**world.binding(challenge, deal))

    with pytest.raises(AttestationError, match="kind sgx is not accepted by policy 'unsafe-simulation'"):
        world.broker.release(world.request(challenge, deal, evidence=msgspec.structs.replace(evidence, tee_kind="sgx")))
    assert world.count(deal) == 0


def test_deal_for_several_tee_kinds_at_once_is_refused(world):
    deal = world.open_deal(teeKind=int(TeeKind.SGX | TeeKind.SIMULATED_SGX))

    with pytest.raises((PolicyError, DocumentError), match="TEE kind"):
        world.ask(deal)


def test_release_that_does_not_run_on_the_deals_tee_kind_is_refused(world, names, add_grant):
    elsewhere = msgspec.structs.replace(names.app_release, measurements={"sgx": ("0x" + "11" * 32,)})
    world.store.approvals.approve(elsewhere)
    add_grant(world.store, world.version, names.policy, nonce=1, appRelease=elsewhere.release_id())
    deal = world.open_deal(appRelease=elsewhere.release_id())

    with pytest.raises(AttestationError, match="no measurement is approved"):
        world.ask(deal)


# ---- the deal on chain


@pytest.mark.parametrize(
    "state", [DealState.NONE, DealState.DELIVERED, DealState.WITHHELD, DealState.FAILED, DealState.RECLAIMED]
)
def test_deal_that_is_not_open_is_refused(world, names, state):
    deal = world.deal()
    world.chain.states[id_of(deal, names)] = state

    with pytest.raises(PolicyError, match=f"the deal is {state.name.lower()} on chain"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_deal_past_its_deadline_by_the_brokers_clock_is_refused(world, names):
    deal = world.open_deal()
    world.clock.now = deal.deadline + 1

    with pytest.raises(PolicyError, match="deadline has passed"):
        world.ask(deal)


def test_deal_past_its_deadline_by_the_chains_clock_is_refused(world, names):
    deal = world.open_deal(deadline=names.now + 100)
    world.chain.time = names.now + 101

    with pytest.raises(PolicyError, match="deadline has passed"):
        world.ask(deal)


def test_clock_behind_the_chain_is_refused(world, names):
    deal = world.open_deal()
    world.chain.time = names.now + 601

    with pytest.raises(PolicyError, match="clock is ahead"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_node_that_stopped_following_its_chain_is_refused(world, names):
    deal = world.open_deal()
    world.chain.time = names.now - 601

    with pytest.raises(PolicyError, match="newest block is old"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_embedded_chain_may_have_an_old_newest_block(world, names):
    deal = world.open_deal()
    world.chain.time = names.now - 601
    world.broker._settings = dataclasses.replace(world.broker._settings, chain_may_idle=True)

    world.ask(deal)

    assert world.count(deal) == 1


def test_chain_that_is_down_is_a_chain_error_and_counts_nothing(world):
    deal = world.open_deal()
    world.chain.is_down = True

    with pytest.raises(ChainError):
        world.ask(deal)
    world.chain.is_down = False
    assert world.count(deal) == 0


def test_deal_that_names_another_broker_is_refused(world):
    deal = world.open_deal(grant={"broker": "0x" + "66" * 20})

    with pytest.raises(PolicyError, match="does not name this broker"):
        world.ask(deal)


def test_version_that_the_deal_does_not_name_is_refused(world):
    deal = world.open_deal()

    with pytest.raises(PolicyError, match="does not name this broker"):
        world.ask(deal, dataset_version="0x" + "77" * 32)


def test_version_that_this_broker_does_not_hold_is_refused(world):
    deal = world.open_deal(grant={"datasetVersion": "0x" + "77" * 32})

    with pytest.raises(PolicyError, match="does not hold"):
        world.ask(deal)


def test_version_that_is_revoked_is_refused(world):
    deal = world.open_deal()
    world.store.revoke_version(world.version)

    with pytest.raises(PolicyError, match="is revoked"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_version_that_is_paused_on_chain_is_refused(world):
    deal = world.open_deal()
    world.chain.dead_versions.add(world.version)

    with pytest.raises(PolicyError, match="paused or withdrawn"):
        world.ask(deal)
    assert world.count(deal) == 0


# ---- grant and plan


def test_grant_that_is_revoked_is_refused(world):
    deal = world.open_deal()
    world.store.revoke_grant(world.grant_digest)

    with pytest.raises(PolicyError, match="unknown to this broker, or revoked"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_grant_that_is_revoked_does_not_live_on_in_a_dearer_one_of_the_same_policy(world, names, add_grant):
    cheap, dear = world.open_deal(), world.open_deal(grant={"price": 900})
    add_grant(world.store, world.version, names.policy, nonce=1, price=900)
    world.store.revoke_grant(world.grant_digest)

    with pytest.raises(PolicyError, match="or revoked"):
        world.ask(cheap)
    world.ask(dear)

    assert (world.count(cheap), world.count(dear)) == (0, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"grant": {"price": 99}},
        {"grant": {"withheldBps": 1}},
        {"appRelease": "0x" + "44" * 32},
        {"teeKind": int(TeeKind.SGX)},
    ],
)
def test_deal_on_other_terms_than_any_grant_is_refused(world, changes):
    deal = world.open_deal(**changes)

    with pytest.raises(PolicyError, match="unknown to this broker"):
        world.ask(deal)
    assert world.count(deal) == 0


def test_grant_for_one_pool_is_refused_to_another(world, names, add_grant):
    world.store.revoke_grant(world.grant_digest)
    add_grant(world.store, world.version, names.policy, nonce=1, pool="0x" + "05" * 20)
    named, other = world.open_deal(), world.open_deal(pool="0x" + "06" * 20)

    with pytest.raises(PolicyError, match="unknown to this broker"):
        world.ask(other)
    world.ask(named)

    assert (world.count(named), world.count(other)) == (1, 0)


def test_policy_that_this_broker_never_granted_is_refused(world):
    deal = world.open_deal(grant={"policyDigest": "0x" + "88" * 32})

    with pytest.raises(PolicyError, match="unknown to this broker"):
        world.ask(deal)


def test_plan_of_another_digest_than_the_deals_is_refused(world, names):
    deal = world.open_deal()

    with pytest.raises(IntegrityError, match="not the deal's plan"):
        world.ask(deal, plan=msgspec.structs.replace(names.plan, title="Another question"))
    assert world.count(deal) == 0


def test_plan_with_a_column_that_is_not_granted_is_refused(world, names):
    plan = msgspec.structs.replace(names.plan, factors=(FactorSpec(name="smoker", column="smoker"),))
    deal = world.open_deal(planDigest=plan.digest())

    with pytest.raises(PolicyError, match="does not cover the columns smoker"):
        world.ask(deal, plan=plan)
    assert world.count(deal) == 0


def test_plan_with_a_purpose_that_is_not_granted_is_refused(world, names):
    plan = msgspec.structs.replace(names.plan, purpose=Purpose.EDUCATION)
    deal = world.open_deal(planDigest=plan.digest())

    with pytest.raises(PolicyError, match="purpose education is not granted"):
        world.ask(deal, plan=plan)


def test_plan_without_the_permit_is_refused_and_with_it_served(world, names, add_grant):
    policy = GrantPolicy(
        hospital="aspen", columns=names.policy.columns, purposes=names.policy.purposes, permit="EHDS-2026-7"
    )
    add_grant(world.store, world.version, policy, nonce=1)
    with_permit = msgspec.structs.replace(names.plan, permit="EHDS-2026-7")
    refused = world.open_deal(grant={"policyDigest": policy.digest()})
    served = world.open_deal(grant={"policyDigest": policy.digest()}, planDigest=with_permit.digest())

    with pytest.raises(PolicyError, match="permit"):
        world.ask(refused)
    world.ask(served, plan=with_permit)

    assert (world.count(refused), world.count(served)) == (0, 1)


def test_plan_that_does_not_fit_the_dictionary_is_refused(world, names, add_grant):
    policy = GrantPolicy(hospital="aspen", columns=("age", "cvd", "lost"), purposes=names.policy.purposes)
    add_grant(world.store, world.version, policy, nonce=1)
    plan = msgspec.structs.replace(names.plan, factors=(FactorSpec(name="lost", column="lost"),))
    deal = world.open_deal(grant={"policyDigest": policy.digest()}, planDigest=plan.digest())

    with pytest.raises(InputError, match="does not have"):
        world.ask(deal, plan=plan)
    assert world.count(deal) == 0


def test_request_whose_deal_is_malformed_is_refused(world, names):
    deal = world.open_deal()
    damaged = {**deal.to_json(), "deadline": -1}

    with pytest.raises(DocumentError):
        world.ask(deal, deal_json=damaged)


def test_request_whose_deal_was_changed_is_refused(world):
    deal = world.open_deal()
    cheaper = dataclasses.replace(deal, poolPrice=0)

    with pytest.raises(PolicyError, match="not one of this broker for this deal"):
        world.ask(deal, deal_json=cheaper.to_json())
