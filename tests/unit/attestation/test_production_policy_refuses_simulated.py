"""A production policy has no simulated root, and evidence of the simulated TEE can't pass it under any name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.attestation.policy import PRODUCTION_POLICY
from heartify.attestation.roots import INTEL_SGX_ROOT, Vendor
from heartify.errors import AttestationError, PolicyError
from heartify.protocol.evidence import TeeKind


def test_production_policy_lists_no_simulated_root_and_no_simulated_kind():
    assert not PRODUCTION_POLICY.allow_simulated
    assert not PRODUCTION_POLICY.accepted_tee_kinds.is_simulated
    assert not any(root.simulated for root in PRODUCTION_POLICY.roots)
    assert PRODUCTION_POLICY.roots_of(Vendor.INTEL) == (INTEL_SGX_ROOT,)
    assert len(PRODUCTION_POLICY.roots_of(Vendor.AMD)) == 3


def as_hardware(case, kind):
    """Make evidence that differs from a hardware platform's in its root only."""
    report = case.report(config_id=bytes(64)) if kind == "sgx" else case.td_report(mr_config_id=bytes(48))
    return case.evidence(kind=kind, tee_kind=kind, report=report)


def test_production_policy_refuses_simulated_evidence(case, kind):
    assert case.verify(kind=kind).simulated  # the same quote is good under the simulation's own policy

    with pytest.raises(AttestationError, match=f"kind simulated-{kind} is not accepted by policy 'production'"):
        case.verify(kind=kind, policy=PRODUCTION_POLICY)


def test_production_policy_refuses_simulated_evidence_under_the_name_of_hardware(case, kind):
    with pytest.raises(AttestationError, match="no trust root of the policy accepts"):
        case.verify(as_hardware(case, kind), policy=PRODUCTION_POLICY)


def test_production_policy_refuses_a_simulated_quote_as_a_report_of_amd(case):
    with pytest.raises(AttestationError):
        case.verify(case.evidence(tee_kind="sev-snp"), policy=PRODUCTION_POLICY, measurements=frozenset({bytes(48)}))


def test_production_policy_cannot_be_widened_to_simulation_by_accident(case):
    with pytest.raises(PolicyError, match="without allow_simulated"):
        replace(PRODUCTION_POLICY, roots=(*PRODUCTION_POLICY.roots, *case.policy.roots))
    with pytest.raises(PolicyError, match="without allow_simulated"):
        replace(PRODUCTION_POLICY, accepted_tee_kinds=PRODUCTION_POLICY.accepted_tee_kinds | TeeKind.SIMULATED_TDX)


def test_simulated_evidence_that_claims_hardware_is_refused_even_where_simulation_is_allowed(case, kind):
    mixed = replace(
        case.policy,
        roots=(*PRODUCTION_POLICY.roots, *case.policy.roots),
        accepted_tee_kinds=case.policy.accepted_tee_kinds | PRODUCTION_POLICY.accepted_tee_kinds,
    )
    assert case.verify(kind=kind, policy=mixed).simulated

    with pytest.raises(AttestationError, match=f"claims {kind} but its root is"):
        case.verify(as_hardware(case, kind), policy=mixed)
