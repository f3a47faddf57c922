"""Quotes of simulated launches, checked by dcap-qvl: the launcher's words and the workload's, each in its place."""

from __future__ import annotations

import json
from dataclasses import replace

import dcap_qvl
import pytest

from heartify.attestation.isolation import Isolation, decode_isolation
from heartify.attestation.simulated import SimulatedLaunch, SimulatedPlatform
from heartify.attestation.td_measurement import td_measurement
from heartify.errors import EnclaveError
from heartify.protocol.evidence import TeeKind

NOW = 1_795_000_000
REPORT_DATA = bytes(range(64))
REGISTERS = tuple(bytes([i]) * 48 for i in range(1, 5))
SGX = SimulatedLaunch(TeeKind.SIMULATED_SGX, (bytes(range(32)),), Isolation.SANDBOX | Isolation.OWN_USER)
TDX = SimulatedLaunch(TeeKind.SIMULATED_TDX, REGISTERS, Isolation.SANDBOX | Isolation.OWN_USER)
LAUNCHES = pytest.mark.parametrize("launch", [SGX, TDX], ids=["sgx", "tdx"])


@pytest.fixture(scope="module")
def platform():
    return SimulatedPlatform.create(NOW)


def library_claims(platform, evidence):
    """Verify by the library alone, as a referee; raises ValueError."""
    collateral = dcap_qvl.QuoteCollateralV3.from_json(evidence.collateral)
    verifier = dcap_qvl.QuoteVerifier(platform.root_der)
    policy = dcap_qvl.QuotePolicy.strict(NOW)
    return json.loads(verifier.verify_with_policy(bytes.fromhex(evidence.quote_hex), collateral, NOW, policy).to_json())


def test_library_accepts_a_simulated_tdx_quote_and_reads_the_registers_in_it(platform):
    claims = library_claims(platform, platform.launch_evidence(TDX, REPORT_DATA, NOW))

    report = claims["report"]["TD10"]
    assert claims["tcb"]["status"] == "UpToDate"
    assert claims["header"]["version"] == 4
    assert (report["mr_td"], report["rt_mr0"], report["rt_mr1"], report["rt_mr2"]) == tuple(
        register.hex() for register in REGISTERS
    )
    assert report["rt_mr3"] == "00" * 48
    assert report["report_data"] == REPORT_DATA.hex()
    assert decode_isolation(bytes.fromhex(report["mr_config_id"])) == TDX.isolation


def test_library_accepts_a_simulated_sgx_launch_and_reads_what_was_launched(platform):
    evidence = platform.launch_evidence(SGX, REPORT_DATA, NOW)

    report = library_claims(platform, evidence)["report"]["SgxEnclave"]
    assert report["mr_enclave"] == SGX.measurement.hex()
    assert report["report_data"] == REPORT_DATA.hex()
    assert decode_isolation(bytes.fromhex(evidence.quote_hex)[48 + 192 : 48 + 256]) == SGX.isolation


@LAUNCHES
def test_debug_launch_is_refused_by_the_library(platform, launch):
    evidence = platform.launch_evidence(replace(launch, debug=True), REPORT_DATA, NOW)

    with pytest.raises(ValueError, match="Debug mode"):
        library_claims(platform, evidence)


@LAUNCHES
def test_collateral_of_the_other_kind_is_refused(platform, launch):
    evidence = platform.launch_evidence(launch, REPORT_DATA, NOW)
    other = platform.collateral(NOW, tdx=launch is SGX)

    with pytest.raises(ValueError, match="Verification failed"):
        library_claims(platform, type(evidence)(evidence.tee_kind, evidence.quote_hex, other))


@LAUNCHES
def test_nothing_but_the_last_64_bytes_of_the_report_depends_on_report_data(platform, launch):
    signed = 48 + (384 if launch is SGX else 584)

    quotes = [platform.quote_launch(launch, data)[: signed - 64] for data in (bytes(64), b"\xff" * 64, REPORT_DATA)]

    assert len(set(quotes)) == 1


@LAUNCHES
@pytest.mark.parametrize("size", [0, 63, 65, 128])
def test_report_data_of_another_size_are_refused(platform, launch, size):
    with pytest.raises(EnclaveError, match="wrong size"):
        platform.quote_launch(launch, bytes(size))


@pytest.mark.parametrize(
    ("kind", "registers"),
    [
        (TeeKind.SIMULATED_SGX, ()),
        (TeeKind.SIMULATED_SGX, (bytes(31),)),
        (TeeKind.SIMULATED_SGX, (bytes(32), bytes(32))),
        (TeeKind.SIMULATED_TDX, REGISTERS[:3]),
        (TeeKind.SIMULATED_TDX, (*REGISTERS[:3], bytes(47))),
    ],
)
def test_launch_with_registers_of_another_shape_can_not_be_stated(kind, registers):
    with pytest.raises(EnclaveError, match="wrong size"):
        SimulatedLaunch(kind, registers, Isolation.NONE)


@pytest.mark.parametrize("kind", [TeeKind.SGX, TeeKind.TDX, TeeKind.SEV_SNP])
def test_hardware_can_not_be_stated_as_simulated(kind):
    with pytest.raises(EnclaveError, match="simulated kind"):
        SimulatedLaunch(kind, (bytes(32),), Isolation.NONE)


def test_measurement_of_a_launch_is_what_an_app_release_names():
    mr_td, rtmr0, rtmr1, rtmr2 = REGISTERS

    assert SGX.measurement == bytes(range(32))
    assert TDX.measurement == td_measurement(mr_td=mr_td, rtmr0=rtmr0, rtmr1=rtmr1, rtmr2=rtmr2)
