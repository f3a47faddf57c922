"""Granting, revoking and withdrawing: what makes no sense or isn't approved reaches neither broker nor chain."""

from __future__ import annotations

import dataclasses

import pytest

from heartify.errors import ChainError, DocumentError, InputError, PolicyError, UsageError
from heartify.hospital.hospital import GrantTerms, Hospital
from heartify.protocol.canonical import to_hex
from heartify.protocol.eip712 import ZERO_ADDRESS

TERMS = GrantTerms(price=100, columns=("age", "cvd"), tee_kinds=("simulated-sgx",))


class Chain:
    """Market and registry of a hospital that only notes what is sent."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.sent: list[tuple[str, object]] = []
        self.is_down = False
        self.market = self.registry = self

    def _note(self, name, value):
        if self.is_down:
            raise ChainError("the chain cannot be reached")
        self.sent.append((name, value))

    def post_grant(self, signed):
        self._note("post_grant", signed)

    def cancel_nonce(self, nonce):
        self._note("cancel_nonce", nonce)

    def withdraw_version(self, version):
        self._note("withdraw_version", version)


class HospitalOnChain(Hospital):
    """A hospital whose market is the one above."""

    chain: Chain

    def _market(self, *, read_only: bool = False):
        return self.chain


@pytest.fixture
def hospital(case):
    on_chain = HospitalOnChain(case.home, case.password)
    on_chain.chain = Chain(case.deployment())
    return on_chain


@pytest.fixture
def version(case, hospital):
    held = case.hold_version()
    case.broker_store.approvals.approve(case.app_release)
    return held


def test_grant_is_signed_by_the_owner_kept_by_the_broker_and_posted(case, hospital, version):
    held = hospital.grant(version, TERMS)

    ((name, posted),) = hospital.chain.sent
    (kept,) = case.broker_store.grants()
    posted.verify(case.deployment().domain, hospital.settings.account)
    assert name == "post_grant"
    assert posted == held.signed == kept.signed
    assert held.order_digest == kept.order_digest == to_hex(posted.order.digest(case.deployment().domain))
    assert (posted.order.price, posted.order.uses, posted.order.teeKinds) == (100, 1, 256)
    assert (posted.order.broker, posted.order.appRelease) == (
        hospital.settings.broker,
        case.app_release.release_id(),
    )
    assert kept.policy.columns == ("age", "cvd")


def test_grant_without_columns_covers_all_of_the_version(hospital, version):
    held = hospital.grant(version, dataclasses.replace(TERMS, columns=()))

    assert held.policy.columns == ("age", "systolic", "cvd")


def test_unknown_column_is_refused(case, hospital, version):
    with pytest.raises(InputError, match="no column weight"):
        hospital.grant(version, dataclasses.replace(TERMS, columns=("age", "weight")))
    assert hospital.chain.sent == []
    assert case.broker_store.grants() == ()


@pytest.mark.parametrize(
    "nonsense",
    [
        {"price": -1},
        {"price": 2**256},
        {"uses": 0},
        {"uses": 2**256},
        {"days": 0},
        {"days": 10**9},
        {"withheld_bps": -1},
        {"withheld_bps": 10_001},
        {"purposes": ()},
        {"tee_kinds": ()},
        {"requester": "somebody"},
        {"requester": "0x" + "AB" * 20},
        {"pool": "0x12"},
    ],
)
def test_terms_that_make_no_sense_are_refused(case, hospital, version, nonsense):
    with pytest.raises(InputError):
        hospital.grant(version, dataclasses.replace(TERMS, **nonsense))
    assert hospital.chain.sent == []
    assert case.broker_store.grants() == ()


def test_unknown_tee_kind_is_refused(case, hospital, version):
    with pytest.raises(DocumentError, match="unknown TEE kind"):
        hospital.grant(version, dataclasses.replace(TERMS, tee_kinds=("abacus",)))
    assert case.broker_store.grants() == ()


def test_release_that_was_not_approved_is_refused(case, hospital):
    version = case.hold_version()

    with pytest.raises(PolicyError, match="not approved"):
        hospital.grant(version, TERMS)
    assert hospital.chain.sent == []
    assert case.broker_store.grants() == ()


def test_version_of_somebody_else_is_refused(hospital, version):
    with pytest.raises(PolicyError, match="does not hold"):
        hospital.grant("0x" + "99" * 32, TERMS)
    assert hospital.chain.sent == []


def test_refused_grant_leaves_no_policy_in_the_store(case, hospital, version, nothing):
    before = case.left_behind()

    with pytest.raises(InputError):
        hospital.grant(version, dataclasses.replace(TERMS, uses=0))
    assert case.left_behind() == before
    assert before["grants"] == nothing["grants"]


def test_each_grant_has_its_own_nonce(hospital, version):
    first, second = hospital.grant(version, TERMS), hospital.grant(version, TERMS)

    assert first.signed.order.nonce != second.signed.order.nonce


# ---- revoke


def test_revoked_grant_is_dead_at_the_broker_and_cancelled_on_chain(case, hospital, version):
    held = hospital.grant(version, TERMS)

    hospital.revoke_grant(held.order_digest)

    assert hospital.chain.sent[-1] == ("cancel_nonce", held.signed.order.nonce)
    assert [grant.revoked for grant in case.broker_store.grants()] == [True]


def test_broker_refuses_a_revoked_grant_even_while_the_chain_is_down(case, hospital, version):
    held = hospital.grant(version, TERMS)
    hospital.chain.is_down = True

    with pytest.raises(ChainError):
        hospital.revoke_grant(held.order_digest)
    assert [grant.revoked for grant in case.broker_store.grants()] == [True]


def test_unknown_grant_cannot_be_revoked(hospital, version):
    with pytest.raises(UsageError, match="no grant"):
        hospital.revoke_grant("0x" + "99" * 32)


# ---- withdraw


def test_withdrawn_version_loses_its_key_and_dies_on_chain(case, hospital, version):
    hospital.withdraw_version(version)

    assert hospital.chain.sent == [("withdraw_version", version)]
    with pytest.raises(PolicyError, match="is revoked"):
        case.broker_store.live_version(version)


def test_withdrawal_that_the_chain_did_not_hear_can_be_repeated(case, hospital, version):
    hospital.chain.is_down = True
    with pytest.raises(ChainError):
        hospital.withdraw_version(version)
    with pytest.raises(PolicyError, match="is revoked"):
        case.broker_store.live_version(version)
    hospital.chain.is_down = False

    hospital.withdraw_version(version)

    assert hospital.chain.sent == [("withdraw_version", version)]


def test_unknown_version_cannot_be_withdrawn(hospital, version):
    with pytest.raises(UsageError, match="no version"):
        hospital.withdraw_version("0x" + "99" * 32)
    assert hospital.chain.sent == []


def test_default_terms_are_for_any_requester_and_hardware_only():
    terms = GrantTerms(price=1)

    assert (terms.requester, terms.pool) == (ZERO_ADDRESS, ZERO_ADDRESS)
    assert terms.tee_kinds == ("sgx",)
    assert terms.uses == 1
