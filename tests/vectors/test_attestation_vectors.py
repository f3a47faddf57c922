"""Genuine quotes of Intel's hardware at frozen times, and the simulated vectors, through the one verify()."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from heartify.attestation.dcap.sgx_quote import parse_sgx_quote
from heartify.attestation.dcap.sgx_report_check import check_sgx_attributes
from heartify.attestation.policy import PRODUCTION_POLICY, unsafe_simulation_policy
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence, TeeKind

VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "vectors" / "attestation"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="third-party vectors are absent: ../shared/vectors")

# sgx_quote: FMSPC 00A067110000; its collateral was valid at this second (README of the vectors).
SGX_NOW = 1752919277
SGX_MEASUREMENT = bytes.fromhex("33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb")
SGX_REPORT_DATA = b"Hello, world!".ljust(64, b"\0")
POLICY = replace(
    PRODUCTION_POLICY,
    accepted_tcb_statuses=frozenset({"ConfigurationAndSWHardeningNeeded"}),
    accepted_advisories=frozenset({"INTEL-SA-00289", "INTEL-SA-00615"}),
)


def phala_evidence(tee_kind: str = "sgx") -> Evidence:
    return Evidence(
        tee_kind=tee_kind,
        quote_hex=(VECTORS / "phala" / "sgx_quote").read_bytes().hex(),
        collateral=(VECTORS / "phala" / "sgx_quote_collateral.json").read_text(),
    )


def verify_phala(
    evidence=None, *, policy=POLICY, now=SGX_NOW, report_data=SGX_REPORT_DATA, measurement=SGX_MEASUREMENT
):
    return verify(
        evidence or phala_evidence(),
        policy,
        now,
        expected_report_data=report_data,
        reference_measurements=frozenset({measurement}),
    )


def test_genuine_intel_quote_is_accepted_at_its_frozen_time():
    result = verify_phala()

    assert result.tee_kind is TeeKind.SGX
    assert not result.simulated
    assert result.root_name == "Intel SGX Root CA"
    assert result.status == "ConfigurationAndSWHardeningNeeded"
    assert result.advisories == ("INTEL-SA-00289", "INTEL-SA-00615")
    assert any(mark.scope.endswith("/00a067110000") for mark in result.marks)
    assert 17 in [mark.number for mark in result.marks if mark.scope.startswith("tcb-info/")]


def test_intel_root_as_certificate_gives_the_same_result_as_the_one_inside_the_library():
    root = replace(POLICY.roots[0], der=(VECTORS / "phala" / "TrustedRootCA.der").read_bytes())

    assert verify_phala(policy=replace(POLICY, roots=(root,))) == verify_phala()


@pytest.mark.parametrize(
    "changes",
    [
        {"report_data": b"\x01" * 64},
        {"measurement": bytes(32)},
        {"now": SGX_NOW + 86400},
        {"now": SGX_NOW - 60 * 86400},
        {"policy": PRODUCTION_POLICY},
        {"policy": replace(POLICY, min_tcb_evaluation_data_number=18)},
        {"policy": replace(POLICY, accepted_advisories=frozenset())},
        {"policy": replace(POLICY, min_isv_svn=1)},
        {"policy": replace(POLICY, accepted_sgx_types=frozenset({1}))},
    ],
    ids=str,
)
def test_genuine_intel_quote_is_refused_when_anything_expected_differs(changes):
    with pytest.raises(AttestationError):
        verify_phala(**changes)


def test_genuine_intel_quote_is_refused_as_simulated():
    with pytest.raises(AttestationError, match="claims simulated-sgx but its root"):
        verify_phala(phala_evidence("simulated-sgx"))


def test_genuine_intel_quote_is_refused_under_a_simulated_root():
    policy = unsafe_simulation_policy((VECTORS / "simulated" / "root.der").read_bytes())

    with pytest.raises(AttestationError, match="no trust root"):
        verify_phala(policy=policy)


def test_genuine_debug_enclave_of_occlum_is_refused():
    quote = (VECTORS / "coco-trustee" / "occlum_quote.dat").read_bytes()
    body = parse_sgx_quote(quote)

    with pytest.raises(AttestationError, match="debug mode"):
        check_sgx_attributes(body, POLICY)
    with pytest.raises(AttestationError):
        verify_phala(replace_quote(phala_evidence(), quote), report_data=body.report_data, measurement=body.mr_enclave)


def replace_quote(evidence: Evidence, quote: bytes) -> Evidence:
    return Evidence(evidence.tee_kind, quote.hex(), evidence.collateral)


def simulated_vector() -> tuple[Evidence, dict, bytes]:
    folder = VECTORS / "simulated"
    evidence = Evidence(
        "simulated-sgx", (folder / "sgx_v3.quote").read_bytes().hex(), (folder / "sgx_collateral.json").read_text()
    )
    return evidence, json.loads((folder / "meta.json").read_text()), (folder / "root.der").read_bytes()


def verify_simulated(evidence, meta, policy):
    return verify(
        evidence,
        policy,
        meta["now"],
        expected_report_data=bytes.fromhex(meta["report_data"]),
        reference_measurements=frozenset({bytes.fromhex(meta["mr_enclave"])}),
    )


def test_simulated_vector_without_a_statement_of_isolation_is_refused():
    # Its CONFIGID is a deal's digest: the vector was made before simulations had to say what isolates them.
    evidence, meta, root_der = simulated_vector()

    with pytest.raises(AttestationError, match="does not state what isolated"):
        verify_simulated(evidence, meta, unsafe_simulation_policy(root_der))


def test_simulated_vector_is_refused_by_the_production_policy():
    evidence, meta, _ = simulated_vector()

    with pytest.raises(AttestationError, match="no trust root"):
        verify_simulated(evidence, meta, PRODUCTION_POLICY)
