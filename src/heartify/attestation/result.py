"""The attestation result: what a relying party may believe after verification (RFC 9334, section 8.4).

Only the verifier builds one. There is no result for refused evidence: the verifier raises.
The bytes of a quote are no identity (a signature has a second valid form), so none is kept here.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartify.protocol.evidence import TeeKind


@dataclass(frozen=True, slots=True)
class CollateralNumbers:
    """Version numbers of the collateral used, for rollback protection. Scopes say what each number counts for."""

    root_key_id: bytes
    fmspc: bytes
    pck_ca: str
    root_ca_crl_number: int
    pck_crl_number: int
    tcb_evaluation_data_number: int
    qe_evaluation_data_number: int


@dataclass(frozen=True, slots=True)
class AttestationResult:
    """Accepted evidence. `measurement` is MRENCLAVE (32 bytes); `valid_until_utc_seconds` is the collateral's end."""

    tee_kind: TeeKind
    root_name: str
    simulated: bool
    measurement: bytes
    isv_prod_id: int
    isv_svn: int
    status: str
    advisories: tuple[str, ...]
    ppid: bytes
    platform_instance_id: bytes | None
    fmspc: bytes
    report_data: bytes
    collateral_numbers: CollateralNumbers
    valid_until_utc_seconds: int
