"""The report that we parsed is the one that the library verified.

Two parsers read the same bytes. Should they ever disagree about where a field lies, the checks of one would be about
bytes that the signature checks of the other never meant, so a difference refuses the evidence.
"""

from __future__ import annotations

from heartify.attestation.dcap.claims import QuoteClaims
from heartify.attestation.dcap.sgx_quote import SgxReportBody
from heartify.attestation.dcap.td_quote import TdReportBody
from heartify.errors import AttestationError


def check_same_enclave(body: SgxReportBody, claims: QuoteClaims) -> None:
    """Compare an enclave report. Raises AttestationError."""
    verified = claims.report.SgxEnclave
    if verified is None or (verified.mr_enclave, verified.report_data) != (
        body.mr_enclave.hex(),
        body.report_data.hex(),
    ):
        raise AttestationError("the quote library verified another report than the one parsed")


def check_same_domain(body: TdReportBody, claims: QuoteClaims) -> None:
    """Compare a TD report. Raises AttestationError."""
    verified = claims.report.TD10
    parsed = (
        body.attributes.to_bytes(8, "little"),
        body.xfam.to_bytes(8, "little"),
        body.mr_td,
        body.mr_config_id,
        body.rtmr0,
        body.rtmr1,
        body.rtmr2,
        body.rtmr3,
        body.report_data,
    )
    if verified is None or verified.values() != tuple(part.hex() for part in parsed):
        raise AttestationError("the quote library verified another report than the one parsed")
