"""The verifier: evidence in, attestation result out, or AttestationError. It never returns a truth value.

It trusts the roots of the policy, the clock that the caller passes, and dcap-qvl for Intel's signatures. Obligations:

  1. The caller expects something: report data that bind a question, approved measurements of the kind's size, a time.
  2. The TEE kind is one, and one that the policy accepts.
  3. Sizes, nesting and certificate counts are bounded before anything is parsed.
  4. The quote has the claimed format, and not a byte more than its length fields say; only TDX may have zero padding.
  5. TCB info and QE identity are of this kind, signed by a TCB signing certificate, not by any leaf below the root.
  6. All signatures, dates, revocations, TCB levels, QE identity hold under one root of the policy (dcap-qvl).
  7. The TEE kind agrees with the root: hardware kinds need a hardware root, simulated kinds a simulated one.
  8. The TCB info is for the processor family and the PCE that the PCK certificate names.
  9. Status and advisories are those that the policy accepts; the evaluation data numbers reach its floor.
 10. The vendor's statements aren't older than the policy allows.
 11. Enclave: initialised, 64-bit, not debuggable, without privileged keys, within the XFRM mask. Trust domain: Intel's
     module, not debuggable, not migratable, SEPT_VE_DISABLE, no attribute and no state that the policy doesn't name.
 12. Product, security version, CONFIGID; RTMR3, MRCONFIGID, MROWNER, MROWNERCONFIG are the policy's.
     Of a simulation, CONFIGID or MRCONFIGID says what isolated its process.
 13. A simulated process was isolated by all that the policy requires.
 14. The measurement is approved, and pinned where the policy pins any.
 15. The machine is one that the policy allows, where it lists any, and its day hasn't passed.
 16. The report data are exactly the expected.

(4) to (12) are in `dcap.verify`; SEV-SNP has a list of its own for them, in `snp.verify`.
Rollback of collateral between two questions is the caller's state: `high_water`. Replay is in the report data.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

from heartify.attestation.dcap.verify import verify_sgx, verify_tdx
from heartify.attestation.evidence_limits import check_evidence_size
from heartify.attestation.isolation import Isolation
from heartify.attestation.platforms import check_platform_allowed
from heartify.attestation.policy import MEASUREMENT_BYTES, VerifierPolicy
from heartify.attestation.result import AttestationResult
from heartify.attestation.roots import check_kind_of_root
from heartify.attestation.snp.verify import verify_snp
from heartify.errors import AttestationError
from heartify.protocol.evidence import REPORT_DATA_BYTES, Evidence, TeeKind, parse_tee_kind

_IntelVerifier = Callable[[Evidence, VerifierPolicy, int, TeeKind], AttestationResult]
_INTEL_VERIFIERS: Final[dict[TeeKind, _IntelVerifier]] = {
    TeeKind.SGX: verify_sgx,
    TeeKind.SIMULATED_SGX: verify_sgx,
    TeeKind.TDX: verify_tdx,
    TeeKind.SIMULATED_TDX: verify_tdx,
}


def verify(
    evidence: Evidence,
    policy: VerifierPolicy,
    now_utc_seconds: int,
    *,
    expected_report_data: bytes,
    reference_measurements: frozenset[bytes],
) -> AttestationResult:
    """Verify evidence against a policy at a time.

    `expected_report_data` are 64 bytes that bind this question; `reference_measurements` are the approved ones: 32
    bytes of SGX (MRENCLAVE), 48 of TDX (`td_measurement`) and SEV-SNP (launch digest). Raises AttestationError for
    any failed obligation, DocumentError for an unknown TEE kind.
    """
    # (1) expectations, (2) kind
    kind = parse_tee_kind(evidence.tee_kind)
    _check_expectations(kind, now_utc_seconds, expected_report_data, reference_measurements)
    if not kind & policy.accepted_tee_kinds:
        raise AttestationError(f"evidence of kind {evidence.tee_kind} is not accepted by policy {policy.name!r}")
    # (3) bounds
    check_evidence_size(evidence)
    # (4) to (12)
    if kind is TeeKind.SEV_SNP:
        result = verify_snp(
            evidence,
            policy,
            now_utc_seconds,
            expected_report_data=expected_report_data,
            reference_measurements=reference_measurements,
        )
    else:
        result = _INTEL_VERIFIERS[kind](evidence, policy, now_utc_seconds, kind)
    # (7) once more, for every vendor
    check_kind_of_root(kind, result.root_name, simulated=result.simulated)
    # (13) isolation
    if kind.is_simulated:
        _check_isolation(result.isolation, policy.required_isolation)
    # (14) measurement
    _check_measurement(result, policy, reference_measurements)
    # (15) machine
    if policy.platforms:
        check_platform_allowed(policy.platforms, result.platform_ids, now_utc_seconds)
    # (16) report data
    if not hmac.compare_digest(result.report_data, expected_report_data):
        raise AttestationError(
            "report data are not those expected: the quote answers another nonce, broker, deal, plan or key"
        )
    return result


def _check_expectations(
    kind: TeeKind, now_utc_seconds: int, report_data: bytes, measurements: frozenset[bytes]
) -> None:
    if now_utc_seconds <= 0:
        raise AttestationError("verification needs the present time")
    if len(report_data) != REPORT_DATA_BYTES or not any(report_data):
        raise AttestationError(f"expected report data must be {REPORT_DATA_BYTES} bytes that bind something")
    if not measurements:
        raise AttestationError("no measurement is approved", hint="approve an app release first")
    size = MEASUREMENT_BYTES[kind]
    if any(len(measurement) != size for measurement in measurements):
        raise AttestationError(f"a reference measurement of {kind.wire_name} does not have {size} bytes")


def _check_isolation(found: Isolation | None, required: Isolation) -> None:
    missing = required & ~(found or Isolation.NONE)
    if missing:
        raise AttestationError(
            f"the simulated TEE lacks isolation that the policy requires: {', '.join(missing.words)}",
            hint="run the pool where these measures are in force, or on hardware",
        )


def _check_measurement(result: AttestationResult, policy: VerifierPolicy, approved: frozenset[bytes]) -> None:
    if result.measurement not in approved:
        raise AttestationError(
            f"measurement {result.measurement.hex()} is not among the {len(approved)} approved",
            hint="approve the app release only after its source digest and measurement were reproduced",
        )
    pinned = policy.pinned_for(result.tee_kind)
    if pinned and result.measurement not in pinned:
        raise AttestationError(
            f"measurement {result.measurement.hex()} is not among those that policy {policy.name!r} pins"
        )
