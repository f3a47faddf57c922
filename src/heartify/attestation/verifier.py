"""The verifier: evidence in, attestation result out, or AttestationError. It never returns a truth value.

It trusts the roots of the policy, the clock that the caller passes, and dcap-qvl for signatures. Obligations:

  1. Sizes, nesting and certificate counts are bounded before anything is parsed.
  2. The quote has the claimed format, and not a byte more than its length field says.
  3. TCB info and QE identity are signed by a TCB signing certificate, not by any leaf below the root.
  4. All signatures, dates, revocations, TCB levels, QE identity hold under a root of the policy (dcap-qvl).
  5. The claimed TEE kind agrees with the root: hardware kinds need a hardware root, simulated kinds a simulated one.
  6. The TCB info is for the PCE that the PCK certificate names.
  7. Status and advisories are those that the policy accepts; the evaluation data numbers reach its floor.
  8. The enclave is initialised, 64-bit, not debuggable, without privileged keys, and within the XFRM mask.
  9. Measurement, product, security version and configuration are approved; report data are exactly the expected.

Rollback of collateral between two questions is the caller's state: `high_water`. Replay is in the report data.
The code path is the same for every root: what differs between Intel's and a simulated one is the certificate.
"""

from __future__ import annotations

import dcap_qvl

from heartify.attestation.dcap.claims import QuoteClaims, parse_claims
from heartify.attestation.dcap.collateral import Collateral, check_collateral_signers, parse_collateral
from heartify.attestation.dcap.sgx_quote import SgxReportBody, parse_sgx_quote
from heartify.attestation.dcap.sgx_report_check import (
    check_sgx_attributes,
    check_sgx_configuration,
    check_sgx_identity,
)
from heartify.attestation.evidence_limits import check_pem_count, parse_quote_hex
from heartify.attestation.isolation import Isolation
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.result import AttestationResult, CollateralMark
from heartify.attestation.roots import TrustRoot
from heartify.errors import AttestationError
from heartify.protocol.evidence import REPORT_DATA_BYTES, Evidence, TeeKind, parse_tee_kind

_SGX_KINDS = TeeKind.SGX | TeeKind.SIMULATED_SGX
_MEASUREMENT_BYTES = 32


def verify(
    evidence: Evidence,
    policy: VerifierPolicy,
    now_utc_seconds: int,
    *,
    expected_report_data: bytes,
    reference_measurements: frozenset[bytes],
) -> AttestationResult:
    """Verify evidence against a policy at a time.

    `expected_report_data` are 64 bytes that bind this question; `reference_measurements` are the approved MRENCLAVE
    values of 32 bytes. Raises AttestationError for any failed obligation, DocumentError for an unknown TEE kind.
    """
    _check_expectations(now_utc_seconds, expected_report_data, reference_measurements)
    kind = parse_tee_kind(evidence.tee_kind)
    if not kind & _SGX_KINDS:
        raise AttestationError(f"evidence of kind {evidence.tee_kind} can't be verified by this release")
    # (1) bounds
    quote = parse_quote_hex(evidence.quote_hex)
    check_pem_count("quote", quote.decode("latin-1"))
    collateral = parse_collateral(evidence.collateral)
    # (2) format
    body = parse_sgx_quote(quote)
    # (3) who signed the collateral
    check_collateral_signers(collateral)
    # (4) signatures, dates, revocation, TCB level, part of (7)
    root, claims = _verify_under_roots(quote, collateral, policy, now_utc_seconds)
    # (5) kind and root
    if root.simulated != kind.is_simulated:
        raise AttestationError(f"evidence claims {evidence.tee_kind} but its root is {root.name!r}")
    # (6) PCE
    if bytes(claims.platform.pck.pce_id) != collateral.pce_id or bytes(claims.platform.pck.fmspc) != collateral.fmspc:
        raise AttestationError("TCB info is for another platform than the PCK certificate")
    # (7) status and advisories
    _check_status(claims, policy)
    # (8) attributes, (9) identity
    _check_same_report(body, claims)
    check_sgx_attributes(body, policy)
    isolation = check_sgx_configuration(body, policy, simulated=kind.is_simulated)
    check_sgx_identity(
        body,
        policy,
        expected_report_data=expected_report_data,
        reference_measurements=reference_measurements,
    )
    return _build_result(kind, root, body, claims, quote, isolation)


def _check_expectations(now_utc_seconds: int, report_data: bytes, measurements: frozenset[bytes]) -> None:
    if now_utc_seconds <= 0:
        raise AttestationError("verification needs the present time")
    if len(report_data) != REPORT_DATA_BYTES or not any(report_data):
        raise AttestationError(f"expected report data must be {REPORT_DATA_BYTES} bytes that bind something")
    if not measurements:
        raise AttestationError("no measurement is approved", hint="approve an app release first")
    if any(len(measurement) != _MEASUREMENT_BYTES for measurement in measurements):
        raise AttestationError(f"a reference measurement does not have {_MEASUREMENT_BYTES} bytes")


def _verify_under_roots(
    quote: bytes, collateral: Collateral, policy: VerifierPolicy, now_utc_seconds: int
) -> tuple[TrustRoot, QuoteClaims]:
    library_policy = _build_library_policy(policy, now_utc_seconds)
    refusals = []
    for root in policy.roots:
        verifier = dcap_qvl.QuoteVerifier(root.der)
        try:
            verified = verifier.verify_with_policy(quote, collateral.library_value, now_utc_seconds, library_policy)
        except ValueError as exc:
            refusals.append(f"{root.name}: {_one_line(exc)}")
        else:
            return root, parse_claims(verified.to_json())
    raise AttestationError("no trust root of the policy accepts the evidence: " + "; ".join(refusals))


def _build_library_policy(policy: VerifierPolicy, now_utc_seconds: int) -> dcap_qvl.QuotePolicy:
    # The time stands in policy and call, and the library does not compare them: both come from one variable.
    library_policy = dcap_qvl.QuotePolicy.strict(now_utc_seconds)
    for status in sorted(policy.accepted_tcb_statuses - {"UpToDate"}):
        library_policy = library_policy.allow_status(status)
    return (
        library_policy.reject_advisories(sorted(policy.rejected_advisories))
        .platform_grace_period(policy.platform_grace_seconds)
        .qe_grace_period(policy.qe_grace_seconds)
        .min_tcb_eval_data_number(policy.min_tcb_evaluation_data_number)
        .accepted_sgx_types(sorted(policy.accepted_sgx_types))
        .allow_dynamic_platform(policy.allow_dynamic_platform)
        .allow_cached_keys(policy.allow_cached_keys)
        .allow_smt(policy.allow_smt)
    )


def _check_status(claims: QuoteClaims, policy: VerifierPolicy) -> None:
    # A quoting enclave that is up to date is fine under every policy, whatever the platform's own status is.
    for status, accepted in (
        (claims.tcb.status, policy.accepted_tcb_statuses),
        (claims.qe.tcb_level.tcbStatus, policy.accepted_tcb_statuses | {"UpToDate"}),
    ):
        if status not in accepted:
            raise AttestationError(f"TCB status {status} is not accepted by policy {policy.name!r}")
    advisories = {*claims.tcb.advisory_ids, *claims.qe.tcb_level.advisoryIDs}
    refused = (advisories - policy.accepted_advisories) | (advisories & policy.rejected_advisories)
    if refused:
        raise AttestationError(f"advisories are not accepted by policy {policy.name!r}: {', '.join(sorted(refused))}")
    lowest = min(claims.tcb.eval_data_number, claims.qe.tcb_eval_data_number)
    if lowest < policy.min_tcb_evaluation_data_number:
        raise AttestationError(
            f"TCB evaluation data number {lowest} is below the floor {policy.min_tcb_evaluation_data_number}"
        )


def _check_same_report(body: SgxReportBody, claims: QuoteClaims) -> None:
    verified = claims.report.SgxEnclave
    if (verified.mr_enclave, verified.report_data) != (body.mr_enclave.hex(), body.report_data.hex()):
        raise AttestationError("the quote library verified another report than the one parsed")


def _build_result(
    kind: TeeKind, root: TrustRoot, body: SgxReportBody, claims: QuoteClaims, quote: bytes, isolation: Isolation | None
) -> AttestationResult:
    pck = claims.platform.pck
    instance = pck.platform_instance_id
    return AttestationResult(
        tee_kind=kind,
        root_name=root.name,
        simulated=root.simulated,
        measurement=body.mr_enclave,
        report_data=body.report_data,
        status=claims.tcb.status,
        advisories=tuple(sorted({*claims.tcb.advisory_ids, *claims.qe.tcb_level.advisoryIDs})),
        platform_ids=(bytes(pck.ppid), *(() if instance is None else (bytes(instance),))),
        product_id=body.isv_prod_id,
        security_version=body.isv_svn,
        isolation=isolation,
        marks=_marks(claims, str(dcap_qvl.Quote.parse(quote).ca())),
        valid_until_utc_seconds=claims.earliest_expiration_date,
    )


def _marks(claims: QuoteClaims, pck_ca: str) -> tuple[CollateralMark, ...]:
    platform, root = claims.platform, bytes(claims.platform.root_key_id).hex()
    return (
        CollateralMark(f"root-crl/{root}", platform.root_ca_crl_num),
        CollateralMark(f"pck-crl/{root}/{pck_ca}", platform.pck_crl_num),
        CollateralMark(f"tcb-info/{root}/{bytes(platform.pck.fmspc).hex()}", claims.tcb.eval_data_number),
        CollateralMark(f"qe-identity/{root}", claims.qe.tcb_eval_data_number),
    )


def _one_line(error: ValueError) -> str:
    return " ".join(str(error).split())[:300]
