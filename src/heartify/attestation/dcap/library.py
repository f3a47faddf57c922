"""The call of dcap-qvl: signatures, dates, revocation, TCB levels and quoting enclave, under each root of a policy.

The library verifies under one root at a time, so a chain that ends at one root and collateral of another are never
both accepted. Its policy is built from ours by narrowing its strictest one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import dcap_qvl

from heartify.attestation.dcap.claims import QuoteClaims, parse_claims
from heartify.attestation.dcap.collateral import Collateral
from heartify.attestation.dcap.demands import IntelDemands
from heartify.attestation.roots import TrustRoot
from heartify.errors import AttestationError

_SECONDS_A_DAY: Final = 86400


def verify_under_roots(
    quote: bytes, collateral: Collateral, roots: Iterable[TrustRoot], demands: IntelDemands, now_utc_seconds: int
) -> tuple[TrustRoot, QuoteClaims]:
    """Return the first root under which everything holds, and what the quote then says.

    Raises AttestationError when there is none, with the reason under each root.
    """
    library_policy = _build_library_policy(demands, now_utc_seconds)
    refusals = []
    for root in roots:
        verifier = dcap_qvl.QuoteVerifier(root.der)
        try:
            verified = verifier.verify_with_policy(quote, collateral.library_value, now_utc_seconds, library_policy)
        except ValueError as exc:
            refusals.append(f"{root.name}: {_one_line(exc)}")
        else:
            return root, parse_claims(verified.to_json())
    reasons = "; ".join(refusals) or "it lists none for this kind of evidence"
    raise AttestationError(f"no trust root of the policy accepts the evidence: {reasons}")


def pck_authority_of(quote: bytes) -> str:
    """Return which of Intel's authorities issued the quote's PCK certificate, `platform` or `processor`."""
    return str(dcap_qvl.Quote.parse(quote).ca())


def _build_library_policy(demands: IntelDemands, now_utc_seconds: int) -> dcap_qvl.QuotePolicy:
    # The time stands in policy and call, and the library does not compare them: both come from one variable.
    library_policy = dcap_qvl.QuotePolicy.strict(now_utc_seconds)
    for status in sorted(demands.accepted_tcb_statuses - {"UpToDate"}):
        library_policy = library_policy.allow_status(status)
    return (
        library_policy.reject_advisories(sorted(demands.rejected_advisories))
        .platform_grace_period(demands.platform_grace_days * _SECONDS_A_DAY)
        .qe_grace_period(demands.qe_grace_days * _SECONDS_A_DAY)
        .min_tcb_eval_data_number(demands.min_tcb_evaluation_data_number)
        .accepted_sgx_types(sorted(demands.accepted_sgx_types))
        .allow_dynamic_platform(demands.allow_dynamic_platform)
        .allow_cached_keys(demands.allow_cached_keys)
        .allow_smt(demands.allow_smt)
    )


def _one_line(error: ValueError) -> str:
    return " ".join(str(error).split())[:300]
