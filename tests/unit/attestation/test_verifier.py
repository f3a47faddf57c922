"""What verify() gives for good evidence, and what it demands of its caller; attacks are in the files by group."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.attestation.isolation import Isolation, encode_isolation
from heartify.attestation.policy import PinnedMeasurement
from heartify.errors import AttestationError, DocumentError
from heartify.protocol.evidence import TeeKind

DAY = 86400


def test_good_sgx_evidence_gives_a_result_that_says_simulated(case):
    result = case.verify()

    assert result.tee_kind is TeeKind.SIMULATED_SGX
    assert result.simulated
    assert result.measurement == case.measurement
    assert (result.product_id, result.security_version) == (1, 1)


def test_good_tdx_evidence_gives_a_result_that_says_simulated(case):
    result = case.verify(kind="tdx")

    assert result.tee_kind is TeeKind.SIMULATED_TDX
    assert result.simulated
    assert result.measurement == case.td_measurement
    assert (result.product_id, result.security_version) == (None, None)


def test_result_says_status_machine_isolation_and_end_of_validity(case, kind):
    result = case.verify(kind=kind)

    assert (result.status, result.advisories) == ("UpToDate", ())
    assert result.report_data == case.report_data
    assert result.isolation == Isolation.NONE
    assert result.platform_ids == (case.platform.identity.ppid, case.platform.identity.platform_instance_id)
    assert case.now < result.valid_until_utc_seconds <= case.now + 30 * DAY


def test_sgx_and_tdx_of_one_machine_share_revocation_lists_and_nothing_else(case):
    sgx, tdx = ({mark.scope for mark in case.verify(kind=kind).marks} for kind in ("sgx", "tdx"))

    assert {scope.split("/")[0] for scope in sgx & tdx} == {"root-crl", "pck-crl"}
    assert {scope.split("/")[0] for scope in sgx ^ tdx} == {"tcb-info", "qe-identity"}


def test_collateral_reissued_months_later_is_good(case, kind):
    later = case.now + 200 * DAY
    collateral = case.platform.collateral(later, tdx=kind == "tdx")

    result = case.verify(case.evidence(kind=kind, collateral=collateral), now=later)

    assert result.status == "UpToDate"


def test_padding_of_linux_behind_a_tdx_quote_changes_nothing(case):
    quote = case.quote("tdx")

    padded = case.verify(case.evidence(kind="tdx", quote=quote + bytes(70)))

    assert padded == case.verify(case.evidence(kind="tdx", quote=quote))


def test_high_s_twin_of_a_signature_verifies_so_quote_bytes_are_no_identity(case, kind):
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    quote = case.quote(kind)
    start = {"sgx": 48 + 384 + 4, "tdx": 48 + 584 + 4}[kind] + 32
    s = int.from_bytes(quote[start : start + 32], "big")
    twin = quote[:start] + (order - s).to_bytes(32, "big") + quote[start + 32 :]
    assert twin != quote

    assert case.verify(case.evidence(kind=kind, quote=twin)) == case.verify(case.evidence(kind=kind, quote=quote))


# ---- what the caller must bring


@pytest.mark.parametrize("report_data", [b"", bytes(64), b"\x01" * 63])
def test_report_data_that_bind_nothing_are_refused(case, kind, report_data):
    with pytest.raises(AttestationError, match="bind something"):
        case.verify(kind=kind, report_data=report_data)


@pytest.mark.parametrize(
    "measurements", [frozenset(), frozenset({b""}), frozenset({bytes(31)}), frozenset({bytes(47)})]
)
def test_empty_or_malformed_reference_values_are_refused(case, kind, measurements):
    with pytest.raises(AttestationError, match="measurement"):
        case.verify(kind=kind, measurements=measurements)


def test_measurement_of_another_kind_is_refused(case):
    with pytest.raises(AttestationError, match="does not have 32 bytes"):
        case.verify(kind="sgx", measurements=frozenset({case.td_measurement}))
    with pytest.raises(AttestationError, match="does not have 48 bytes"):
        case.verify(kind="tdx", measurements=frozenset({case.measurement}))


def test_verification_without_a_clock_is_refused(case, kind):
    with pytest.raises(AttestationError, match="present time"):
        case.verify(kind=kind, now=0)


def test_unknown_kind_is_refused(case):
    with pytest.raises(DocumentError, match="unknown TEE kind"):
        case.verify(case.evidence(tee_kind="SGX"))


def test_kind_that_the_policy_does_not_accept_is_refused(case):
    policy = replace(case.policy, accepted_tee_kinds=TeeKind.SIMULATED_SGX)
    assert case.verify(kind="sgx", policy=policy).simulated

    with pytest.raises(AttestationError, match="kind simulated-tdx is not accepted"):
        case.verify(kind="tdx", policy=policy)


# ---- measurement, isolation and replay


def test_measurement_that_is_not_approved_is_refused_and_named(case):
    with pytest.raises(AttestationError, match=case.measurement.hex()):
        case.verify(kind="sgx", measurements=frozenset({bytes(32)}))
    with pytest.raises(AttestationError, match=case.td_measurement.hex()):
        case.verify(kind="tdx", measurements=frozenset({bytes(48)}))


def test_pinned_measurement_narrows_and_never_widens_what_is_approved(case):
    other = bytes(31) + b"\x01"
    pinned = replace(
        case.policy, pinned_measurements=frozenset({PinnedMeasurement(TeeKind.SIMULATED_SGX, case.measurement)})
    )
    both = frozenset({case.measurement, other})
    evidence_of_other = case.evidence(report=case.report(mr_enclave=other))
    assert case.verify(policy=pinned, measurements=both).measurement == case.measurement
    assert case.verify(evidence_of_other, measurements=both).measurement == other

    with pytest.raises(AttestationError, match="not among those that policy"):
        case.verify(evidence_of_other, policy=pinned, measurements=both)
    with pytest.raises(AttestationError, match="not among the 1 approved"):
        case.verify(policy=pinned, measurements=frozenset({other}))


def test_pin_of_one_kind_leaves_the_other_kinds_alone(case):
    pinned = replace(case.policy, pinned_measurements=frozenset({PinnedMeasurement(TeeKind.SIMULATED_SGX, bytes(32))}))

    assert case.verify(kind="tdx", policy=pinned).measurement == case.td_measurement


def isolated(case, kind, isolation):
    if kind == "sgx":
        return case.evidence(report=case.report(config_id=encode_isolation(isolation, 64)))
    return case.evidence(kind="tdx", report=case.td_report(mr_config_id=encode_isolation(isolation, 48)))


def test_simulated_evidence_says_what_isolated_its_process(case, kind):
    measures = Isolation.SANDBOX | Isolation.OWN_USER

    assert case.verify(isolated(case, kind, measures)).isolation == measures


def test_simulation_with_less_isolation_than_required_is_refused_by_name(case, kind):
    required = Isolation.SANDBOX | Isolation.SYSTEM_CALL_FILTER
    policy = replace(case.policy, required_isolation=required)
    assert case.verify(isolated(case, kind, required | Isolation.FILE_RULES), policy=policy).simulated

    with pytest.raises(AttestationError, match=r"lacks isolation that the policy requires: system-call-filter$"):
        case.verify(isolated(case, kind, Isolation.SANDBOX), policy=policy)


@pytest.mark.parametrize("filler", [0, 7])
def test_simulated_evidence_that_does_not_say_what_isolated_it_is_refused(case, kind, filler):
    report = (
        case.report(config_id=bytes([filler]) * 64)
        if kind == "sgx"
        else case.td_report(mr_config_id=bytes([filler]) * 48)
    )

    with pytest.raises(AttestationError, match="does not state what isolated"):
        case.verify(case.evidence(kind=kind, report=report))


def test_report_data_of_another_question_are_refused_as_replay(case, kind):
    with pytest.raises(AttestationError, match="report data"):
        case.verify(kind=kind, report_data=b"\x01" * 64)
