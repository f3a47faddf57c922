"""Checks on an SGX report body that the DCAP library leaves to its caller.

Runs after the signatures were verified. It must never be called on its own: an unsigned report can say anything.
"""

from __future__ import annotations

from typing import Final

from heartify.attestation.dcap.demands import SgxDemands
from heartify.attestation.dcap.sgx_quote import SgxReportBody
from heartify.attestation.isolation import Isolation, decode_isolation
from heartify.errors import AttestationError

# Intel SDM volume 3D, table 34-3 (ATTRIBUTES).
FLAG_INIT: Final = 0x001
FLAG_DEBUG: Final = 0x002
FLAG_MODE64BIT: Final = 0x004
FLAG_PROVISION_KEY: Final = 0x010
FLAG_EINITTOKEN_KEY: Final = 0x020
FLAG_KSS: Final = 0x080
FLAG_AEX_NOTIFY: Final = 0x400
_REQUIRED: Final = FLAG_INIT | FLAG_MODE64BIT
_ALLOWED: Final = _REQUIRED | FLAG_KSS | FLAG_AEX_NOTIFY
_LEGACY_STATE: Final = 0b11  # x87 and SSE, without which EINIT fails


def check_sgx_attributes(body: SgxReportBody, demands: SgxDemands) -> None:
    """Refuse a debuggable, privileged, unfinished or 32-bit enclave, and processor state the policy doesn't list.

    Raises AttestationError.
    """
    if body.flags & FLAG_DEBUG:
        raise AttestationError("enclave runs in debug mode: its memory is readable from outside")
    if body.flags & (FLAG_PROVISION_KEY | FLAG_EINITTOKEN_KEY):
        raise AttestationError("enclave has access to the provisioning or launch key")
    if body.flags & _REQUIRED != _REQUIRED:
        raise AttestationError(f"enclave attributes {body.flags:#x} lack INIT or MODE64BIT")
    if body.flags & ~_ALLOWED:
        raise AttestationError(f"enclave attributes {body.flags:#x} hold unknown bits")
    if body.xfrm & ~demands.xfrm_allowed:
        raise AttestationError(f"enclave XFRM {body.xfrm:#x} exceeds the allowed {demands.xfrm_allowed:#x}")
    if body.xfrm & _LEGACY_STATE != _LEGACY_STATE:
        raise AttestationError(f"enclave XFRM {body.xfrm:#x} lacks x87 or SSE, which every enclave has")


def check_sgx_version(body: SgxReportBody, demands: SgxDemands) -> None:
    """Refuse another product and a security version below the floor. Raises AttestationError."""
    if demands.isv_prod_id is not None and body.isv_prod_id != demands.isv_prod_id:
        raise AttestationError(f"ISV product id is {body.isv_prod_id}, expected {demands.isv_prod_id}")
    if body.isv_svn < demands.min_isv_svn:
        raise AttestationError(f"ISV security version {body.isv_svn} is below the floor {demands.min_isv_svn}")


def check_sgx_configuration(body: SgxReportBody, demands: SgxDemands, *, simulated: bool) -> Isolation | None:
    """Refuse another CONFIGID than the policy's, and the other members of key separation where they aren't zero.

    Of a simulation, CONFIGID must say what isolated its process, and that is returned; None for hardware.
    Raises AttestationError.
    """
    if body.config_svn or any(body.isv_ext_prod_id) or any(body.isv_family_id):
        raise AttestationError("enclave uses key separation members that the policy does not name")
    if simulated:
        return decode_isolation(body.config_id)
    if body.config_id.hex() != demands.config_id_hex:
        raise AttestationError("CONFIGID of the enclave is not the expected one")
    return None
