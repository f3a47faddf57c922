"""Checks on an SGX report body that the DCAP library leaves to its caller.

Runs after the signatures were verified; the caller says which bytes the report must carry.
It must never be called on its own: an unsigned report can say anything.
"""

from __future__ import annotations

import hmac
from typing import Final

from heartify.attestation.dcap.sgx_quote import SgxReportBody
from heartify.attestation.isolation import Isolation, decode_isolation
from heartify.attestation.policy import VerifierPolicy
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


def check_sgx_attributes(body: SgxReportBody, policy: VerifierPolicy) -> None:
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
    if body.xfrm & ~policy.xfrm_allowed:
        raise AttestationError(f"enclave XFRM {body.xfrm:#x} exceeds the allowed {policy.xfrm_allowed:#x}")


def check_sgx_configuration(body: SgxReportBody, policy: VerifierPolicy, *, simulated: bool) -> Isolation | None:
    """Refuse another CONFIGID than the policy's; of a simulation, refuse one that doesn't say what isolated it.

    Returns what a simulation states, None for hardware. Raises AttestationError.
    """
    if simulated:
        return decode_isolation(body.config_id)
    if body.config_id.hex() != policy.config_id_hex:
        raise AttestationError("CONFIGID of the enclave is not the expected one")
    return None


def check_sgx_identity(
    body: SgxReportBody,
    policy: VerifierPolicy,
    *,
    expected_report_data: bytes,
    reference_measurements: frozenset[bytes],
) -> None:
    """Refuse any code, version, configuration or report data but the expected. Raises AttestationError."""
    if body.mr_enclave not in reference_measurements:
        raise AttestationError(
            f"measurement {body.mr_enclave.hex()} is not among the {len(reference_measurements)} approved",
            hint="approve the app release only after its source digest and measurement were reproduced",
        )
    if policy.isv_prod_id is not None and body.isv_prod_id != policy.isv_prod_id:
        raise AttestationError(f"ISV product id is {body.isv_prod_id}, expected {policy.isv_prod_id}")
    if body.isv_svn < policy.min_isv_svn:
        raise AttestationError(f"ISV security version {body.isv_svn} is below the floor {policy.min_isv_svn}")
    if body.config_svn or any(body.isv_ext_prod_id) or any(body.isv_family_id):
        raise AttestationError("enclave uses key separation members that the policy does not name")
    if not hmac.compare_digest(body.report_data, expected_report_data):
        raise AttestationError(
            "report data are not those expected: the quote answers another nonce, broker, deal, plan or key"
        )
