"""The verified claims of dcap-qvl 0.7.0 as a typed value.

Its input is the library's own JSON, made after all signatures, dates and revocations were checked.
A member that is missing or of another type is refused: a library update must not silently drop a check.
"""

from __future__ import annotations

import msgspec

from heartify.errors import AttestationError


class _Tcb(msgspec.Struct, frozen=True):
    status: str
    advisory_ids: tuple[str, ...]
    eval_data_number: int


class _Pck(msgspec.Struct, frozen=True):
    ppid: tuple[int, ...]
    pce_id: tuple[int, ...]
    fmspc: tuple[int, ...]
    sgx_type: int
    platform_instance_id: tuple[int, ...] | None


class _Platform(msgspec.Struct, frozen=True):
    pck: _Pck
    root_key_id: tuple[int, ...]
    pck_crl_num: int
    root_ca_crl_num: int


class _QeLevel(msgspec.Struct, frozen=True):
    tcbStatus: str  # noqa: N815  the name in Intel's JSON
    advisoryIDs: tuple[str, ...] = ()  # noqa: N815


class _Qe(msgspec.Struct, frozen=True):
    tcb_level: _QeLevel
    tcb_eval_data_number: int


class _SgxReport(msgspec.Struct, frozen=True):
    mr_enclave: str
    report_data: str


class TdReportClaims(msgspec.Struct, frozen=True):
    """The members of a TD report that are compared with our own parsing, as the library's hex."""

    td_attributes: str
    xfam: str
    mr_td: str
    mr_config_id: str
    rt_mr0: str
    rt_mr1: str
    rt_mr2: str
    rt_mr3: str
    report_data: str

    def values(self) -> tuple[str, ...]:
        """Return the members in their order."""
        return msgspec.structs.astuple(self)


class _Report(msgspec.Struct, frozen=True):
    SgxEnclave: _SgxReport | None = None
    TD10: TdReportClaims | None = None


class QuoteClaims(msgspec.Struct, frozen=True):
    """What a verified quote says; integer lists are the library's form of bytes."""

    claims_version: int
    tee_type: int
    tcb: _Tcb
    platform: _Platform
    qe: _Qe
    report: _Report
    earliest_expiration_date: int


def parse_claims(claims_json: str) -> QuoteClaims:
    """Parse the library's claims. Raises AttestationError when their form is not that of version 1."""
    try:
        claims = msgspec.json.decode(claims_json, type=QuoteClaims)
    except msgspec.MsgspecError as exc:
        raise AttestationError("the quote library returned claims of an unknown form") from exc
    if claims.claims_version != 1:
        raise AttestationError(f"the quote library returned claims of version {claims.claims_version}, expected 1")
    return claims
