"""Checks on a TD report that the DCAP library leaves to its caller, and those on which nobody should rely twice.

Runs after the signatures were verified. It must never be called on its own: an unsigned report can say anything.
"""

from __future__ import annotations

from typing import Final

from heartify.attestation.dcap.demands import TdxDemands
from heartify.attestation.dcap.td_attributes import (
    ALLOWABLE_TD_ATTRIBUTES,
    PROCESSOR_STATE_NAMES,
    TD_ATTRIBUTE_NAMES,
    TD_DEBUG,
    TD_MIGRATABLE,
    TD_SEPT_VE_DISABLE,
    bit_names,
)
from heartify.attestation.dcap.td_quote import TdReportBody
from heartify.attestation.isolation import Isolation, decode_isolation
from heartify.errors import AttestationError

_LEGACY_STATE: Final = 0b11  # x87 and SSE, which XFAM can't lack


def check_tdx_module(body: TdReportBody) -> None:
    """Refuse a TDX module that Intel didn't sign, or one for debugging. Raises AttestationError."""
    # Intel's own modules have no signer register and no attribute (TDX module base specification, "TDREPORT").
    if any(body.mr_signer_seam) or body.seam_attributes:
        raise AttestationError("TDX module isn't Intel's production module: its signer and attributes must be zero")


def check_td_attributes(body: TdReportBody, demands: TdxDemands) -> None:
    """Refuse a debuggable or migratable domain, unnamed attributes, and processor state beyond the mask.

    Raises AttestationError.
    """
    if body.attributes & TD_DEBUG:
        raise AttestationError("trust domain runs in debug mode: its memory is readable from outside")
    if body.attributes & TD_MIGRATABLE:
        raise AttestationError("trust domain is migratable: a service domain may carry its memory elsewhere")
    if not body.attributes & TD_SEPT_VE_DISABLE:
        raise AttestationError("trust domain lacks SEPT_VE_DISABLE: the host can disturb its memory unseen")
    allowed = sum(ALLOWABLE_TD_ATTRIBUTES[name] for name in demands.allowed_attributes)
    excess = body.attributes & ~(TD_SEPT_VE_DISABLE | allowed)
    if excess:
        names = ", ".join(bit_names(excess, TD_ATTRIBUTE_NAMES))
        raise AttestationError(f"trust domain has attributes that the policy doesn't allow: {names}")
    if body.xfam & _LEGACY_STATE != _LEGACY_STATE:
        raise AttestationError(f"trust domain XFAM {body.xfam:#x} lacks x87 or SSE, which every domain has")
    unknown_state = body.xfam & ~demands.xfam_allowed
    if unknown_state:
        names = ", ".join(bit_names(unknown_state, PROCESSOR_STATE_NAMES))
        raise AttestationError(f"trust domain XFAM {body.xfam:#x} exceeds the allowed state: {names}")


def check_td_configuration(body: TdReportBody, demands: TdxDemands, *, simulated: bool) -> Isolation | None:
    """Refuse another configuration, owner or RTMR3 than the policy's.

    Of a simulation, MRCONFIGID must say what isolated its process, and that is returned; None for hardware.
    Raises AttestationError.
    """
    for name, found, expected_hex in (
        ("RTMR3", body.rtmr3, demands.rtmr3_hex),
        ("MROWNER", body.mr_owner, demands.mr_owner_hex),
        ("MROWNERCONFIG", body.mr_owner_config, demands.mr_owner_config_hex),
    ):
        if found.hex() != expected_hex:
            raise AttestationError(f"{name} of the trust domain is not the expected one")
    if simulated:
        return decode_isolation(body.mr_config_id)
    if body.mr_config_id.hex() != demands.mr_config_id_hex:
        raise AttestationError("MRCONFIGID of the trust domain is not the expected one")
    return None
