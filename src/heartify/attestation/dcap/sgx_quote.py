"""Byte layout of an SGX ECDSA quote of version 3 and of the report body in it.

Offsets follow Intel's "SGX ECDSA QuoteLibReference" (appendix A.4) and SDM volume 3D (REPORT structure).
Parsing proves nothing: the verifier lets dcap-qvl check the signatures over these very bytes.
It must never accept a byte that belongs to no field.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from heartify.attestation.dcap.quote_sections import check_header, check_signature_section, split_quote
from heartify.errors import AttestationError

BODY_BYTES = 384
QUOTE_VERSION = 3
TEE_TYPE_SGX = 0
_RESERVED_RANGES = ((20, 32), (96, 128), (160, 192), (262, 304))


@dataclass(frozen=True, slots=True)
class SgxReportBody:
    """The enclave's report: what the hardware, or its simulation, says about the enclave. Sizes in bytes are fixed."""

    flags: int
    xfrm: int
    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int
    isv_ext_prod_id: bytes
    config_id: bytes
    config_svn: int
    isv_family_id: bytes
    report_data: bytes


def parse_sgx_quote(quote: bytes) -> SgxReportBody:
    """Parse a quote whose length is exactly what its length fields say.

    Raises AttestationError for another version, key type or TEE type, a missing or an excess byte.
    """
    check_header(quote, name="an SGX", version=QUOTE_VERSION, tee_type=TEE_TYPE_SGX)
    body, signature_section, tail = split_quote(quote, BODY_BYTES)
    if tail:
        raise AttestationError(f"quote is followed by {len(tail)} trailing bytes")
    check_signature_section(signature_section)
    return parse_sgx_report_body(body)


def parse_sgx_report_body(body: bytes) -> SgxReportBody:
    """Parse the 384 bytes of a report body. Raises AttestationError for another length or reserved bytes in use."""
    if len(body) != BODY_BYTES:
        raise AttestationError(f"report body has {len(body)} bytes, expected {BODY_BYTES}")
    if any(any(body[start:end]) for start, end in _RESERVED_RANGES):
        raise AttestationError("report body uses reserved bytes")
    flags, xfrm = struct.unpack_from("<QQ", body, 48)
    isv_prod_id, isv_svn, config_svn = struct.unpack_from("<HHH", body, 256)
    return SgxReportBody(
        flags=flags,
        xfrm=xfrm,
        mr_enclave=body[64:96],
        mr_signer=body[128:160],
        isv_prod_id=isv_prod_id,
        isv_svn=isv_svn,
        isv_ext_prod_id=body[32:48],
        config_id=body[192:256],
        config_svn=config_svn,
        isv_family_id=body[304:320],
        report_data=body[320:384],
    )
