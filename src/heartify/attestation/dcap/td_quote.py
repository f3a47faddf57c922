"""Byte layout of a TDX quote of version 4 and of the TD report 1.0 in it.

Layout: Intel "TDX DCAP Quoting Library API" appendix A.3. Linux hands quotes out with zero padding behind them; it's
cut off by the length field, since a certificate chain may itself end in a zero byte. Quotes of version 5 are refused:
their reports have a service domain's measurement, for which no policy has words yet.
Parsing proves nothing: the verifier lets dcap-qvl check the signatures over these very bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from heartify.attestation.dcap.quote_sections import check_header, check_wrapped_signature_section, split_quote
from heartify.attestation.td_measurement import TD_REGISTER_BYTES, td_measurement
from heartify.errors import AttestationError

TD_BODY_BYTES: Final = 584
TD_QUOTE_VERSION: Final = 4
TEE_TYPE_TDX: Final = 0x81
_REGISTERS_OFFSET: Final = 136
_REPORT_DATA_OFFSET: Final = 520


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReportBody:
    """The trust domain's report: what the TDX module, or its simulation, says about the domain.

    Registers have 48 bytes. `tee_tcb_svn`: 16 security versions of the module and its loader. `mr_seam` and
    `mr_signer_seam` name the module, `attributes` and `xfam` are bits (see `td_attributes`), `mr_td` and the
    `rtmr` say what was booted, `mr_config_id`, `mr_owner`, `mr_owner_config` are the host's choice.
    """

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: int
    attributes: int
    xfam: int
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    report_data: bytes

    @property
    def measurement(self) -> bytes:
        """Return what an app release names of this domain, 48 bytes."""
        return td_measurement(mr_td=self.mr_td, rtmr0=self.rtmr0, rtmr1=self.rtmr1, rtmr2=self.rtmr2)


def parse_td_quote(blob: bytes) -> tuple[bytes, TdReportBody]:
    """Parse a quote as Linux hands it out. Return the quote without padding, and its report.

    Raises AttestationError for another version, key type or TEE type, a missing byte, or padding that isn't zero.
    """
    check_header(blob, name="a TDX", version=TD_QUOTE_VERSION, tee_type=TEE_TYPE_TDX)
    body, signature_section, padding = split_quote(blob, TD_BODY_BYTES)
    if any(padding):
        raise AttestationError(f"quote is followed by {len(padding)} trailing bytes that aren't zero padding")
    check_wrapped_signature_section(signature_section)
    return blob[: len(blob) - len(padding)], parse_td_report_body(body)


def parse_td_report_body(body: bytes) -> TdReportBody:
    """Parse the 584 bytes of a TD report 1.0. Raises AttestationError for another length."""
    if len(body) != TD_BODY_BYTES:
        raise AttestationError(f"TD report has {len(body)} bytes, expected {TD_BODY_BYTES}")
    seam_attributes, attributes, xfam = struct.unpack_from("<QQQ", body, 112)
    registers = [
        body[offset : offset + TD_REGISTER_BYTES]
        for offset in range(_REGISTERS_OFFSET, _REPORT_DATA_OFFSET, TD_REGISTER_BYTES)
    ]
    mr_td, mr_config_id, mr_owner, mr_owner_config, rtmr0, rtmr1, rtmr2, rtmr3 = registers
    return TdReportBody(
        tee_tcb_svn=body[:16],
        mr_seam=body[16:64],
        mr_signer_seam=body[64:112],
        seam_attributes=seam_attributes,
        attributes=attributes,
        xfam=xfam,
        mr_td=mr_td,
        mr_config_id=mr_config_id,
        mr_owner=mr_owner,
        mr_owner_config=mr_owner_config,
        rtmr0=rtmr0,
        rtmr1=rtmr1,
        rtmr2=rtmr2,
        rtmr3=rtmr3,
        report_data=body[_REPORT_DATA_OFFSET:],
    )
