"""The parts of a DCAP quote that SGX and TDX share: header, signature section and its length fields.

Layout: Intel "SGX ECDSA QuoteLibReference" appendix A.4 (version 3) and "TDX DCAP Quoting Library API" appendix A.3
(version 4). Every length must lead exactly to the next part and the last one to the end, so that no byte is without
a meaning. Parsing proves nothing: dcap-qvl checks the signatures over these very bytes.
"""

from __future__ import annotations

import struct
from typing import Final

from heartify.attestation.evidence_limits import CHAIN_LIMIT_CERTIFICATES
from heartify.errors import AttestationError

HEADER_BYTES: Final = 48
ECDSA_P256: Final = 2
_LENGTH_BYTES: Final = 4
# ECDSA signature and attestation key, 64 bytes each.
_SIGNATURE_AND_KEY_BYTES: Final = 128
# The quoting enclave's report and the PCK's signature over it.
_QE_REPORT_AND_SIGNATURE_BYTES: Final = 384 + 64
_PCK_CERTIFICATE_CHAIN: Final = 5
_QE_REPORT_CERTIFICATION: Final = 6


def check_header(quote: bytes, *, name: str, version: int, tee_type: int) -> None:
    """Refuse a quote of another version, key type or TEE type. Raises AttestationError."""
    if len(quote) < HEADER_BYTES:
        raise AttestationError("quote is truncated")
    found = struct.unpack_from("<HHI", quote, 0)
    if found != (version, ECDSA_P256, tee_type):
        raise AttestationError(
            f"not {name} quote of version {version} with ECDSA P-256: version {found[0]}, key type {found[1]}, "
            f"TEE type {found[2]:#x}"
        )


def split_quote(quote: bytes, body_bytes: int) -> tuple[bytes, bytes, bytes]:
    """Return a quote's body, its signature section, and what follows the end that the length field gives.

    Raises AttestationError for a quote that is shorter than that.
    """
    start = HEADER_BYTES + body_bytes + _LENGTH_BYTES
    if len(quote) < start:
        raise AttestationError("quote is truncated")
    end = start + int.from_bytes(quote[start - _LENGTH_BYTES : start], "little")
    if end > len(quote):
        raise AttestationError("quote is truncated")
    return quote[HEADER_BYTES : HEADER_BYTES + body_bytes], quote[start:end], quote[end:]


def check_signature_section(section: bytes) -> None:
    """Check the section of version 3: signature, key, certification by the quoting enclave. Raises AttestationError."""
    _check_certification(section[_SIGNATURE_AND_KEY_BYTES:])


def check_wrapped_signature_section(section: bytes) -> None:
    """Check the section of version 4, which wraps the certification once more. Raises AttestationError."""
    kind, certification = _certification_data(section[_SIGNATURE_AND_KEY_BYTES:])
    if kind != _QE_REPORT_CERTIFICATION:
        raise AttestationError(f"quote has certification data of type {kind}, expected {_QE_REPORT_CERTIFICATION}")
    _check_certification(certification)


def _check_certification(certification: bytes) -> None:
    rest = certification[_QE_REPORT_AND_SIGNATURE_BYTES:]
    authentication_bytes = int.from_bytes(rest[:2], "little")
    kind, chain = _certification_data(rest[2 + authentication_bytes :])
    if kind != _PCK_CERTIFICATE_CHAIN:
        raise AttestationError(f"quote names its PCK certificate by type {kind}, expected the chain itself")
    if chain.count(b"-----BEGIN") > CHAIN_LIMIT_CERTIFICATES:
        raise AttestationError(f"quote has more than {CHAIN_LIMIT_CERTIFICATES} certificates")


def _certification_data(data: bytes) -> tuple[int, bytes]:
    if len(data) < 6:
        raise AttestationError("quote has a signature section that is too short")
    kind, length = struct.unpack_from("<HI", data, 0)
    if length != len(data) - 6:
        raise AttestationError("quote has a length field that doesn't lead to the end of its section")
    return kind, data[6:]
