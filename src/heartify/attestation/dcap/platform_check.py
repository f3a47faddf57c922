"""Checks on what Intel's collateral says of the platform, beyond what dcap-qvl was told to check.

Statuses, advisories and evaluation data numbers are checked here and by the library: they're the part of a policy that
changes most often, and a library update must not silently drop it.
"""

from __future__ import annotations

from heartify.attestation.dcap.claims import QuoteClaims
from heartify.attestation.dcap.collateral import Collateral
from heartify.attestation.dcap.demands import IntelDemands
from heartify.attestation.result import CollateralMark
from heartify.errors import AttestationError


def check_same_platform(claims: QuoteClaims, collateral: Collateral) -> None:
    """Refuse TCB info of another processor family or another PCE than the PCK's. Raises AttestationError."""
    pck = claims.platform.pck
    if bytes(pck.pce_id) != collateral.pce_id or bytes(pck.fmspc) != collateral.fmspc:
        raise AttestationError("TCB info is for another platform than the PCK certificate")


def check_status(claims: QuoteClaims, demands: IntelDemands) -> None:
    """Refuse a status, advisory or evaluation data number that isn't accepted. Raises AttestationError."""
    # A quoting enclave that is up to date is fine under every policy, whatever the platform's own status is.
    for status, accepted in (
        (claims.tcb.status, demands.accepted_tcb_statuses),
        (claims.qe.tcb_level.tcbStatus, demands.accepted_tcb_statuses | {"UpToDate"}),
    ):
        if status not in accepted:
            raise AttestationError(f"TCB status {status} is not accepted by the policy")
    found = {*claims.tcb.advisory_ids, *claims.qe.tcb_level.advisoryIDs}
    refused = (found - demands.accepted_advisories) | (found & demands.rejected_advisories)
    if refused:
        raise AttestationError(
            f"advisories are not accepted by the policy: {', '.join(sorted(refused))}",
            hint="read them, then name them in accepted_advisories",
        )
    lowest = min(claims.tcb.eval_data_number, claims.qe.tcb_eval_data_number)
    if lowest < demands.min_tcb_evaluation_data_number:
        raise AttestationError(
            f"TCB evaluation data number {lowest} is below the floor {demands.min_tcb_evaluation_data_number}"
        )


def advisories_of(claims: QuoteClaims) -> tuple[str, ...]:
    """Return the advisories of platform and quoting enclave, sorted."""
    return tuple(sorted({*claims.tcb.advisory_ids, *claims.qe.tcb_level.advisoryIDs}))


def platform_ids_of(claims: QuoteClaims) -> tuple[bytes, ...]:
    """Return the PPID and, where the PCK certificate has one, the platform instance id; 16 bytes each."""
    instance = claims.platform.pck.platform_instance_id
    return (bytes(claims.platform.pck.ppid), *(() if instance is None else (bytes(instance),)))


def marks_of(claims: QuoteClaims, pck_authority: str, *, tdx: bool) -> tuple[CollateralMark, ...]:
    """Return the numbers that must never go down; SGX and TDX have TCB info and QE identities of their own."""
    platform, root = claims.platform, bytes(claims.platform.root_key_id).hex()
    scope = f"{root}/tdx" if tdx else root
    return (
        CollateralMark(f"root-crl/{root}", platform.root_ca_crl_num),
        CollateralMark(f"pck-crl/{root}/{pck_authority}", platform.pck_crl_num),
        CollateralMark(f"tcb-info/{scope}/{bytes(platform.pck.fmspc).hex()}", claims.tcb.eval_data_number),
        CollateralMark(f"qe-identity/{scope}", claims.qe.tcb_eval_data_number),
    )
