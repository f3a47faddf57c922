"""Group 9: chains that end elsewhere, and parts of two chains put together."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from heartify.attestation.policy import PRODUCTION_POLICY
from heartify.attestation.roots import INTEL_SGX_ROOT, TrustRoot
from heartify.attestation.simulated import SimulatedPlatform
from heartify.errors import AttestationError
from heartify.protocol.evidence import TeeKind


@pytest.fixture(scope="module")
def other(case) -> SimulatedPlatform:
    """Another simulated platform of the same identity, so that nothing but its keys differ."""
    return SimulatedPlatform.create(case.now, identity=case.platform.identity)


@pytest.fixture(scope="module")
def both(case, other):
    """A policy that believes both roots."""
    second = TrustRoot("Simulated root of another platform", other.root_der, simulated=True)
    return replace(case.policy, roots=(*case.policy.roots, second))


def test_evidence_of_another_simulated_root_is_refused(case, other, kind):
    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, platform=other))


def test_each_of_two_believed_roots_vouches_for_its_own(case, other, both, kind):
    assert case.verify(kind=kind, policy=both).root_name == "Simulated SGX Root CA, not Intel"
    ours = case.verify(case.evidence(kind=kind, platform=other), policy=both)
    assert ours.root_name == "Simulated root of another platform"


def test_quote_and_collateral_of_two_simulated_roots_are_refused(case, other, both, kind):
    collateral = other.collateral(case.now, tdx=kind == "tdx")

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, collateral=collateral), policy=both)
    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(
            case.evidence(kind=kind, platform=other, collateral=case.collateral(kind)),
            policy=both,
        )


@pytest.mark.parametrize(
    "members",
    [
        ("tcb_info_issuer_chain", "tcb_info", "tcb_info_signature"),
        ("qe_identity_issuer_chain", "qe_identity", "qe_identity_signature"),
        ("root_ca_crl",),
        ("pck_crl",),
    ],
    ids=lambda members: members[-1],
)
def test_any_part_of_the_collateral_from_another_believed_root_is_refused(case, other, both, kind, members):
    foreign = json.loads(other.collateral(case.now, tdx=kind == "tdx"))
    collateral = case.collateral(kind, **{member: foreign[member] for member in members})

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, collateral=collateral), policy=both)


def test_intels_root_does_not_accept_a_simulated_quote(case, kind):
    # Both kinds are accepted and simulation allowed, so nothing but the root stands in the way.
    policy = replace(case.policy, roots=(INTEL_SGX_ROOT,))

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(kind=kind, policy=policy)


def test_simulated_evidence_under_the_name_of_hardware_is_refused_by_its_root(case, kind):
    policy = replace(case.policy, accepted_tee_kinds=case.policy.accepted_tee_kinds | TeeKind.SGX | TeeKind.TDX)
    report = case.report(config_id=bytes(64)) if kind == "sgx" else case.td_report(mr_config_id=bytes(48))

    with pytest.raises(AttestationError, match=f"claims {kind} but its root is 'Simulated"):
        case.verify(case.evidence(kind=kind, tee_kind=kind, report=report), policy=policy)


def test_roots_of_amd_vouch_for_nothing_of_intels_formats(case, kind):
    amd = tuple(root for root in PRODUCTION_POLICY.roots if root.spki_sha256)
    assert amd

    with pytest.raises(AttestationError, match="it lists none for this kind"):
        case.verify(kind=kind, policy=replace(case.policy, roots=amd))
