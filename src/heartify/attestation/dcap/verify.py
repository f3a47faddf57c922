"""Verification of Intel's evidence: SGX quotes of version 3 and TDX quotes of version 4, genuine or simulated.

The numbers are those of the obligations in `heartify.attestation.verifier`, which calls this after (1) to (3) and goes
on afterwards. The code path is the same for every root: what differs between Intel's and a simulated one is data.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from heartify.attestation.dcap.claims import QuoteClaims
from heartify.attestation.dcap.collateral import (
    Collateral,
    check_collateral_age,
    check_collateral_kind,
    check_collateral_signers,
    parse_collateral,
)
from heartify.attestation.dcap.library import pck_authority_of, verify_under_roots
from heartify.attestation.dcap.platform_check import (
    advisories_of,
    check_same_platform,
    check_status,
    marks_of,
    platform_ids_of,
)
from heartify.attestation.dcap.same_report import check_same_domain, check_same_enclave
from heartify.attestation.dcap.sgx_quote import parse_sgx_quote
from heartify.attestation.dcap.sgx_report_check import check_sgx_attributes, check_sgx_configuration, check_sgx_version
from heartify.attestation.dcap.td_quote import parse_td_quote
from heartify.attestation.dcap.td_report_check import check_td_attributes, check_td_configuration, check_tdx_module
from heartify.attestation.evidence_limits import parse_quote_hex
from heartify.attestation.isolation import Isolation
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.result import AttestationResult
from heartify.attestation.roots import TrustRoot, Vendor, check_kind_of_root
from heartify.protocol.evidence import Evidence, TeeKind


@dataclass(frozen=True, slots=True)
class _Accepted:
    """What signatures prove: the root, the claims of the library, and the collateral that they were judged by."""

    root: TrustRoot
    claims: QuoteClaims
    pck_authority: str


def verify_sgx(evidence: Evidence, policy: VerifierPolicy, now_utc_seconds: int, kind: TeeKind) -> AttestationResult:
    """Verify an SGX quote. Raises AttestationError."""
    # (4) format
    quote = parse_quote_hex(evidence.quote_hex)
    body = parse_sgx_quote(quote)
    # (5) to (10)
    accepted = _verify_signed_parts(quote, evidence.collateral, policy, now_utc_seconds, kind)
    check_same_enclave(body, accepted.claims)
    # (11) attributes, (12) version and configuration
    check_sgx_attributes(body, policy.sgx)
    check_sgx_version(body, policy.sgx)
    isolation = check_sgx_configuration(body, policy.sgx, simulated=kind.is_simulated)
    result = _build_result(kind, accepted, isolation, body.mr_enclave, body.report_data)
    return dataclasses.replace(result, product_id=body.isv_prod_id, security_version=body.isv_svn)


def verify_tdx(evidence: Evidence, policy: VerifierPolicy, now_utc_seconds: int, kind: TeeKind) -> AttestationResult:
    """Verify a TDX quote, with or without the padding of Linux. Raises AttestationError."""
    # (4) format
    quote, body = parse_td_quote(parse_quote_hex(evidence.quote_hex))
    # (5) to (10)
    accepted = _verify_signed_parts(quote, evidence.collateral, policy, now_utc_seconds, kind)
    check_same_domain(body, accepted.claims)
    # (11) module and attributes, (12) configuration
    check_tdx_module(body)
    check_td_attributes(body, policy.tdx)
    isolation = check_td_configuration(body, policy.tdx, simulated=kind.is_simulated)
    return _build_result(kind, accepted, isolation, body.measurement, body.report_data)


def _verify_signed_parts(
    quote: bytes, collateral_text: str, policy: VerifierPolicy, now_utc_seconds: int, kind: TeeKind
) -> _Accepted:
    collateral: Collateral = parse_collateral(collateral_text)
    # (5) who signed the collateral, and for which TEE
    check_collateral_kind(collateral, tdx=_is_tdx(kind))
    check_collateral_signers(collateral)
    # (6) signatures, dates, revocation, TCB level, quoting enclave
    roots = policy.roots_of(Vendor.INTEL)
    root, claims = verify_under_roots(quote, collateral, roots, policy.intel, now_utc_seconds)
    # (7) kind and root
    check_kind_of_root(kind, root.name, simulated=root.simulated)
    # (8) processor family and PCE
    check_same_platform(claims, collateral)
    # (9) status and advisories
    check_status(claims, policy.intel)
    # (10) age
    check_collateral_age(collateral, policy.maximum_collateral_age_days, now_utc_seconds)
    return _Accepted(root, claims, pck_authority_of(quote))


def _is_tdx(kind: TeeKind) -> bool:
    return bool(kind & (TeeKind.TDX | TeeKind.SIMULATED_TDX))


def _build_result(
    kind: TeeKind, accepted: _Accepted, isolation: Isolation | None, measurement: bytes, report_data: bytes
) -> AttestationResult:
    claims = accepted.claims
    return AttestationResult(
        tee_kind=kind,
        root_name=accepted.root.name,
        simulated=accepted.root.simulated,
        measurement=measurement,
        report_data=report_data,
        status=claims.tcb.status,
        advisories=advisories_of(claims),
        platform_ids=platform_ids_of(claims),
        product_id=None,
        security_version=None,
        isolation=isolation,
        marks=marks_of(claims, accepted.pck_authority, tdx=_is_tdx(kind)),
        valid_until_utc_seconds=claims.earliest_expiration_date,
    )
