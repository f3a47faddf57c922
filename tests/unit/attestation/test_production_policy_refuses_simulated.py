"""A production policy has no simulated root, and evidence of the simulated TEE can't pass it under any name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.attestation.policy import PRODUCTION_POLICY
from heartify.errors import AttestationError, PolicyError


def test_production_policy_lists_no_simulated_root():
    assert not PRODUCTION_POLICY.allow_simulated
    assert [root.simulated for root in PRODUCTION_POLICY.roots] == [False]
    assert [root.der for root in PRODUCTION_POLICY.roots] == [None]


@pytest.mark.parametrize("tee_kind", ["simulated-sgx", "sgx"])
def test_production_policy_refuses_simulated_evidence(case, tee_kind):
    evidence = case.evidence(tee_kind=tee_kind)
    assert case.verify(case.evidence()).simulated  # the same quote is good under the simulation's own policy

    with pytest.raises(AttestationError, match="no trust root of the policy accepts"):
        case.verify(evidence, policy=PRODUCTION_POLICY)


def test_production_policy_cannot_be_given_a_simulated_root_by_accident(case):
    with pytest.raises(PolicyError, match="without allow_simulated"):
        replace(PRODUCTION_POLICY, roots=(*PRODUCTION_POLICY.roots, *case.policy.roots))


def test_simulated_evidence_that_claims_hardware_is_refused_even_where_simulation_is_allowed(case):
    mixed = replace(PRODUCTION_POLICY, roots=(*PRODUCTION_POLICY.roots, *case.policy.roots), allow_simulated=True)

    with pytest.raises(AttestationError, match="claims sgx but its root"):
        case.verify(case.evidence(tee_kind="sgx"), policy=mixed)
