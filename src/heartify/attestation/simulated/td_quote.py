"""TDX quotes of version 4 as a simulated quoting enclave signs them.

Layout: Intel TDX DCAP Quoting Library API, appendix A.3; the body is TD report 1.0 of the TDX module's specification.
Like `quote`, this module signs whatever registers the launcher states. It must never sign for Intel's root.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from heartify.attestation.isolation import TDX_CONFIG_ID_BYTES, Isolation, encode_isolation
from heartify.attestation.simulated.pck_extension import SimulatedPlatformIdentity
from heartify.attestation.simulated.pki import SimulatedCertificates, SimulatedKeys
from heartify.attestation.simulated.quote import (
    QE_VENDOR_ID,
    TD_QE_ISV_PROD_ID,
    build_qe_certification,
    encode_public_key,
    sign_raw,
)
from heartify.attestation.td_measurement import TD_REGISTER_BYTES
from heartify.errors import EnclaveError

TD_BODY_BYTES: Final = 584
_QUOTE_VERSION, _ECDSA_P256, _TEE_TYPE_TDX = 4, 2, 0x81
_QE_REPORT_CERTIFICATION: Final = 6
_SEPT_VE_DISABLE: Final = 1 << 28
TD_DEBUG: Final = 1
# Module 1, security version 5, as the first three of the sixteen: version, major, SEAM loader.
TDX_MODULE_SVN: Final = bytes((5, 1, 5)).ljust(16, b"\0")
_ZEROS: Final = bytes(TD_REGISTER_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedTdReport:
    """A TD report to be quoted; the defaults are a production domain's. Registers have 48 bytes, report data 64."""

    mr_td: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    report_data: bytes
    rtmr3: bytes = _ZEROS
    mr_config_id: bytes = encode_isolation(Isolation.NONE, TDX_CONFIG_ID_BYTES)
    mr_owner: bytes = _ZEROS
    mr_owner_config: bytes = _ZEROS
    td_attributes: int = _SEPT_VE_DISABLE
    xfam: int = 0x602E7
    tee_tcb_svn: bytes = TDX_MODULE_SVN
    mr_seam: bytes = hashlib.sha384(b"simulated TDX module, not Intel").digest()
    # Intel's own modules have zeros here, and the library demands them.
    mr_signer_seam: bytes = _ZEROS
    seam_attributes: int = 0

    def encode(self) -> bytes:
        """Encode the 584 bytes. Raises EnclaveError when a member has the wrong size."""
        registers = (
            self.mr_td,
            self.mr_config_id,
            self.mr_owner,
            self.mr_owner_config,
            self.rtmr0,
            self.rtmr1,
            self.rtmr2,
            self.rtmr3,
        )
        sizes = {len(register) for register in (*registers, self.mr_seam, self.mr_signer_seam)}
        if sizes != {TD_REGISTER_BYTES} or (len(self.tee_tcb_svn), len(self.report_data)) != (16, 64):
            raise EnclaveError("quote: a member of the report has the wrong size")
        return b"".join(
            (
                self.tee_tcb_svn,
                self.mr_seam,
                self.mr_signer_seam,
                struct.pack("<QQQ", self.seam_attributes, self.td_attributes, self.xfam),
                *registers,
                self.report_data,
            )
        )


def build_td_quote(
    body: bytes,
    keys: SimulatedKeys,
    certificates: SimulatedCertificates,
    identity: SimulatedPlatformIdentity,
) -> bytes:
    """Sign a TD report into a quote with its PCK certificate chain."""
    signed = struct.pack("<HHIHH", _QUOTE_VERSION, _ECDSA_P256, _TEE_TYPE_TDX, 0, 0) + QE_VENDOR_ID + bytes(20) + body
    attestation_public_key = encode_public_key(keys.attestation)
    certification = build_qe_certification(attestation_public_key, keys, certificates, identity, TD_QE_ISV_PROD_ID)
    signature_data = b"".join(
        (
            sign_raw(keys.attestation, signed),
            attestation_public_key,
            # Version 4 wraps what version 3 puts directly here.
            struct.pack("<HI", _QE_REPORT_CERTIFICATION, len(certification)),
            certification,
        )
    )
    return signed + struct.pack("<I", len(signature_data)) + signature_data
