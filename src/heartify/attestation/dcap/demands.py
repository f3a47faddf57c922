"""What a policy demands of Intel's platforms, of SGX enclaves and of TDX trust domains.

The tables [intel], [sgx] and [tdx] of a policy document have these members under these names. Every default is the
strict one. Nothing here can accept a revoked platform, a debuggable enclave or an unnamed measurement: there is no
member for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from heartify.attestation.dcap.td_attributes import ALLOWABLE_TD_ATTRIBUTES
from heartify.errors import PolicyError

# Intel PCS API v4, "tcbStatus". Revoked is known and never acceptable.
ACCEPTABLE_TCB_STATUSES: Final = frozenset(
    {
        "UpToDate",
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
    }
)
# x87, SSE, AVX, and the three parts of AVX-512 (SDM volume 1, section 13.1): XFRM 0xE7 of the DCAP samples. Other
# bits, such as AMX, widen what the enclave's state holds and are allowed by name only.
DEFAULT_XFRM_ALLOWED: Final = 0xE7
# The same, and PKRU, CET and AMX, which today's trust domains have (0x602E7 and 0x618E7 are seen). Processor trace,
# last branch records and user interrupts aren't in it.
DEFAULT_XFAM_ALLOWED: Final = 0x61AE7
# Gramine has no KSS, so every member of that family is zero in its quotes; a runtime that binds its configuration
# in CONFIGID has it named by the policy.
NO_CONFIG_ID_HEX: Final = "00" * 64
NO_TD_REGISTER_HEX: Final = "00" * 48
_ADVISORY = re.compile(r"INTEL-SA-\d{5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelDemands:
    """What Intel may say of a platform's firmware. Raises PolicyError when its members contradict each other.

    `accepted_tcb_statuses`: platform statuses; `Revoked` can't be listed. `accepted_advisories`: an advisory that
    the evidence carries and this set lacks refuses it; `rejected_advisories` refuses even where both name it.
    `*_grace_days`: how long after its TCB date an accepted `OutOfDate` level is still good.
    `min_tcb_evaluation_data_number`: floor of TCB info and QE identity. `accepted_sgx_types`: 0 standard, 1 scalable
    (no memory integrity), 2 scalable with integrity.
    """

    accepted_tcb_statuses: frozenset[str] = frozenset({"UpToDate"})
    accepted_advisories: frozenset[str] = frozenset()
    rejected_advisories: frozenset[str] = frozenset()
    platform_grace_days: int = 0
    qe_grace_days: int = 0
    min_tcb_evaluation_data_number: int = 0
    accepted_sgx_types: frozenset[int] = frozenset({0, 2})
    allow_dynamic_platform: bool = False
    allow_cached_keys: bool = False
    allow_smt: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(self.accepted_tcb_statuses - ACCEPTABLE_TCB_STATUSES)
        if unknown or not self.accepted_tcb_statuses:
            raise PolicyError(f"[intel]: TCB statuses that can't be accepted: {unknown or 'empty list'}")
        for advisory in self.accepted_advisories | self.rejected_advisories:
            if not _ADVISORY.fullmatch(advisory):
                raise PolicyError(f"[intel]: {advisory[:40]!r} is not an advisory such as INTEL-SA-00615")
        if min(self.platform_grace_days, self.qe_grace_days, self.min_tcb_evaluation_data_number) < 0:
            raise PolicyError("[intel]: numbers can't be negative")
        if not self.accepted_sgx_types or not self.accepted_sgx_types <= {0, 1, 2}:
            raise PolicyError("[intel]: accepted_sgx_types must be some of 0, 1, 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxDemands:
    """What an enclave must be besides approved. Raises PolicyError for a member out of its range.

    `min_isv_svn` is a floor; `isv_prod_id` None accepts every product of an approved measurement. `config_id_hex` are
    the 64 bytes that a hardware quote must carry. `xfrm_allowed` masks the processor state that it may have.
    """

    min_isv_svn: int = 0
    isv_prod_id: int | None = None
    config_id_hex: str = NO_CONFIG_ID_HEX
    xfrm_allowed: int = DEFAULT_XFRM_ALLOWED

    def __post_init__(self) -> None:
        if not 0 <= self.min_isv_svn < 1 << 16 or not 0 <= (self.isv_prod_id or 0) < 1 << 16:
            raise PolicyError("[sgx]: min_isv_svn and isv_prod_id must be numbers of 16 bits")
        if not 0 <= self.xfrm_allowed < 1 << 64:
            raise PolicyError("[sgx]: xfrm_allowed must be a mask of 64 bits")
        _check_hex("[sgx]: config_id_hex", self.config_id_hex, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxDemands:
    """What a trust domain must be besides approved. Raises PolicyError for a member out of its range.

    `allowed_attributes`: names of `td_attributes` that may be set, none has to. `xfam_allowed` masks the processor
    state. The registers are 48 bytes each and must be exactly these: `rtmr3` belongs to who runs inside, the others
    to the host that built the domain.
    """

    allowed_attributes: frozenset[str] = frozenset()
    xfam_allowed: int = DEFAULT_XFAM_ALLOWED
    rtmr3_hex: str = NO_TD_REGISTER_HEX
    mr_config_id_hex: str = NO_TD_REGISTER_HEX
    mr_owner_hex: str = NO_TD_REGISTER_HEX
    mr_owner_config_hex: str = NO_TD_REGISTER_HEX

    def __post_init__(self) -> None:
        unknown = sorted(self.allowed_attributes - ALLOWABLE_TD_ATTRIBUTES.keys())
        if unknown:
            raise PolicyError(
                f"[tdx]: attributes that can't be allowed: {', '.join(unknown)[:80]}",
                hint=f"known: {', '.join(ALLOWABLE_TD_ATTRIBUTES)}",
            )
        if not 0 <= self.xfam_allowed < 1 << 64:
            raise PolicyError("[tdx]: xfam_allowed must be a mask of 64 bits")
        for name in ("rtmr3_hex", "mr_config_id_hex", "mr_owner_hex", "mr_owner_config_hex"):
            _check_hex(f"[tdx]: {name}", getattr(self, name), 48)


def _check_hex(name: str, text: str, size: int) -> None:
    if not re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", text):
        raise PolicyError(f"{name} must be {2 * size} lower-case hex digits")
