"""What configfs-tsm returns, cut to size: a TDX quote, an SEV-SNP report, AMD's table of certificates.

The kernel's buffers are longer than their content. A quote has its length inside, so it is cut there, and what follows
must be zeros; the content's own last bytes may be zeros too, so zeros are never stripped. Everything here came through
the host: the report data must be those of this very question, the rest is each broker's to verify.
Sources: Intel, TDX DCAP quoting library API, appendix A; AMD 56860 (report); AMD 56421, GHCB (table of certificates).
"""

from __future__ import annotations

import binascii
import hmac
import struct
from typing import Final

from heartify.errors import AttestationError
from heartify.protocol.evidence import REPORT_DATA_BYTES

# Quote of version 4: header, TD report body, length of the signature data.
_TDX_VERSION, _TDX_TEE_TYPE = 4, 0x81
_TDX_REPORT_DATA_OFFSET, _TDX_LENGTH_OFFSET = 48 + 520, 48 + 584
_SNP_REPORT_BYTES, _SNP_REPORT_DATA_OFFSET = 1184, 0x50
_TABLE_ENTRY: Final = struct.Struct("<16sII")
_TABLE_LIMIT_ENTRIES: Final = 16
# Leaf before its issuer, as evidence orders them. AMD writes a GUID's bytes in the order of its text.
_CERTIFICATES_IN_ORDER: Final = tuple(
    bytes.fromhex(text.replace("-", ""))
    for text in (
        "63da758d-e664-4564-adc5-f4b93be8accd",  # VCEK
        "a8074bc2-a25a-483e-aae6-39c045a0b8a1",  # VLEK
        "4ab7b379-bbac-4fe4-a02f-05aef327c782",  # ASK or ASVK
        "c0b406a4-a803-4952-9743-3fb6014cd0ae",  # ARK
    )
)
_PEM_BEGIN, _PEM_END = "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"


def cut_tdx_quote(blob: bytes, report_data: bytes) -> bytes:
    """Return the quote at the start of a blob.

    Raises:
        AttestationError: it is no quote of version 4, has other report data, or is followed by something.
    """
    if len(blob) < _TDX_LENGTH_OFFSET + 4 or struct.unpack_from("<HHI", blob)[::2] != (_TDX_VERSION, _TDX_TEE_TYPE):
        raise AttestationError("the blob is no TDX quote of version 4")
    end = _TDX_LENGTH_OFFSET + 4 + int(struct.unpack_from("<I", blob, _TDX_LENGTH_OFFSET)[0])
    return _cut(blob, end, _TDX_REPORT_DATA_OFFSET, report_data)


def cut_snp_report(blob: bytes, report_data: bytes) -> bytes:
    """Return the attestation report at the start of a blob.

    Raises:
        AttestationError: it is too short, has other report data, or is followed by something.
    """
    return _cut(blob, _SNP_REPORT_BYTES, _SNP_REPORT_DATA_OFFSET, report_data)


def certificates_of_table(table: bytes) -> str:
    """Return the certificates of AMD's table as PEM, the signing key's first; empty when it holds none.

    The table is the host's. It is passed on for the host's own use, so a malformed one gives nothing and fails nothing.
    """
    found: dict[bytes, bytes] = {}
    for number in range(_TABLE_LIMIT_ENTRIES):
        if len(table) < (number + 1) * _TABLE_ENTRY.size:
            return ""
        guid, offset, length = _TABLE_ENTRY.unpack_from(table, number * _TABLE_ENTRY.size)
        if not any(guid):
            break
        if length == 0 or offset + length > len(table):
            return ""
        found[guid] = table[offset : offset + length]
    return "".join(_to_pem(found[guid]) for guid in _CERTIFICATES_IN_ORDER if guid in found)


def _cut(blob: bytes, end: int, report_data_offset: int, report_data: bytes) -> bytes:
    if end > len(blob) or any(blob[end:]):
        raise AttestationError("the blob is shorter or longer than what it says")
    own = blob[report_data_offset : report_data_offset + REPORT_DATA_BYTES]
    if not hmac.compare_digest(own, report_data):
        raise AttestationError("the blob answers another question")
    return blob[:end]


def _to_pem(certificate: bytes) -> str:
    if certificate.startswith(_PEM_BEGIN.encode()):
        return certificate.decode("ascii", errors="replace")
    # Lines of 64 characters (RFC 7468) are 48 bytes each.
    lines = (binascii.b2a_base64(certificate[start : start + 48]).decode() for start in range(0, len(certificate), 48))
    return _PEM_BEGIN + "".join(lines) + _PEM_END
