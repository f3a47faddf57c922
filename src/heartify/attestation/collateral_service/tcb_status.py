"""What a vendor says of a platform family today, and what of it a policy accepts: for people who keep machines.

TCB info lists levels of firmware, highest first; a platform stands at the first level that it reaches with every
component (Intel PCS API v4, "Determining TCB status"). Read from collateral whose signatures aren't checked here.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import dcap_qvl
import msgspec

from heartify.attestation.dcap.demands import IntelDemands
from heartify.errors import AttestationError

_DAY_SECONDS = 86400


class _Component(msgspec.Struct, frozen=True):
    svn: int


class _Tcb(msgspec.Struct, frozen=True):
    sgxtcbcomponents: tuple[_Component, ...]
    pcesvn: int
    tdxtcbcomponents: tuple[_Component, ...] = ()


class _Level(msgspec.Struct, frozen=True):
    tcb: _Tcb
    tcbDate: dt.datetime  # noqa: N815  the names in Intel's JSON
    tcbStatus: str  # noqa: N815
    advisoryIDs: tuple[str, ...] = ()  # noqa: N815


class _TcbInfo(msgspec.Struct, frozen=True):
    id: str
    fmspc: str
    tcbEvaluationDataNumber: int  # noqa: N815
    tcbLevels: tuple[_Level, ...]  # noqa: N815


class _TcbInfoText(msgspec.Struct, frozen=True):
    tcb_info: str


@dataclass(frozen=True, slots=True)
class PlatformFirmware:
    """What a quote says of its platform's firmware: 16 SGX components, PCE, and 16 TDX components of a TDX quote."""

    sgx_components: bytes
    pce_svn: int
    tdx_components: bytes


@dataclass(frozen=True, slots=True)
class TcbLevel:
    """One level. `refusal` is why a policy refuses it, None when it accepts; `current` marks the given platform's."""

    status: str
    date: int
    advisories: tuple[str, ...]
    sgx_components: tuple[int, ...]
    pce_svn: int
    refusal: str | None
    current: bool


@dataclass(frozen=True, slots=True)
class TcbStatus:
    """All levels of a family, highest first."""

    tee: str
    fmspc: str
    evaluation_data_number: int
    levels: tuple[TcbLevel, ...]


def firmware_of_quote(quote: bytes) -> PlatformFirmware:
    """Return the firmware versions that a quote states, unverified. Raises AttestationError."""
    try:
        parsed = dcap_qvl.Quote.parse(quote)
        pck, is_tdx = parsed.pck_extension(), parsed.is_tdx()
    except ValueError as exc:
        raise AttestationError("the quote does not say which firmware its platform has") from exc
    version = int.from_bytes(quote[:2], "little")
    start = 54 if version > 4 else 48
    return PlatformFirmware(pck.cpu_svn, pck.pce_svn, quote[start : start + 16] if is_tdx else b"")


def tcb_status(
    collateral: str, now_utc_seconds: int, demands: IntelDemands | None, platform: PlatformFirmware | None
) -> TcbStatus:
    """Return the levels in collateral of SGX or TDX. Raises AttestationError for another form."""
    try:
        text = msgspec.json.decode(collateral, type=_TcbInfoText)
        info = msgspec.json.decode(text.tcb_info, type=_TcbInfo)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise AttestationError("the collateral has no TCB info of version 3") from exc
    at = next((i for i, level in enumerate(info.tcbLevels) if platform and _reaches(platform, level.tcb)), None)
    levels = tuple(
        TcbLevel(
            status=level.tcbStatus,
            date=int(level.tcbDate.timestamp()),
            advisories=level.advisoryIDs,
            sgx_components=tuple(component.svn for component in level.tcb.sgxtcbcomponents),
            pce_svn=level.tcb.pcesvn,
            refusal=None if demands is None else _refusal(level, info, demands, now_utc_seconds),
            current=index == at,
        )
        for index, level in enumerate(info.tcbLevels)
    )
    return TcbStatus(info.id, info.fmspc.upper(), info.tcbEvaluationDataNumber, levels)


def _reaches(platform: PlatformFirmware, tcb: _Tcb) -> bool:
    needed = [component.svn for component in tcb.sgxtcbcomponents]
    if platform.pce_svn < tcb.pcesvn or len(needed) != len(platform.sgx_components):
        return False
    if any(have < need for have, need in zip(platform.sgx_components, needed, strict=True)):
        return False
    if not platform.tdx_components:
        return True
    # Components 0 and 1 are the TDX module's, which has identities of its own unless its major version is 0.
    first = 2 if platform.tdx_components[1] > 0 else 0
    tdx_needed = [component.svn for component in tcb.tdxtcbcomponents]
    return len(tdx_needed) == len(platform.tdx_components) and all(
        have >= need for have, need in list(zip(platform.tdx_components, tdx_needed, strict=True))[first:]
    )


def _refusal(level: _Level, info: _TcbInfo, demands: IntelDemands, now: int) -> str | None:
    """Say why a policy refuses a level; the verifier has the last word, and further rules."""
    if level.tcbStatus not in demands.accepted_tcb_statuses:
        return f"status {level.tcbStatus} is not accepted"
    refused = (set(level.advisoryIDs) - demands.accepted_advisories) | (
        set(level.advisoryIDs) & demands.rejected_advisories
    )
    if refused:
        return f"advisories are not accepted: {', '.join(sorted(refused))}"
    if level.tcbStatus.startswith("OutOfDate"):
        days = (now - int(level.tcbDate.timestamp())) / _DAY_SECONDS
        if days > demands.platform_grace_days:
            return f"out of date for {days:.0f} days, of which {demands.platform_grace_days} are allowed"
    if info.tcbEvaluationDataNumber < demands.min_tcb_evaluation_data_number:
        return f"evaluation data number is below {demands.min_tcb_evaluation_data_number}"
    return None
