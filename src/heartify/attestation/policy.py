"""What a relying party demands of evidence, in one frozen value that a security officer can read.

Every member narrows what is accepted; the defaults are the strict ones. A policy that lists a simulated root without
`allow_simulated` cannot exist: the constructor refuses it. Reading policies from files is `policy_file`'s job.
Accepting more than `UpToDate` means trusting platforms with published weaknesses: list the advisories by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from heartify.attestation.roots import INTEL_SGX_ROOT, TrustRoot, simulated_root
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
# x87, SSE, AVX, MPX (bits 3 and 4 are historical but allowed by Intel's default signing), AVX-512, PKRU: XFRM 0xE7 of
# the DCAP samples. Other bits, such as AMX, widen what the enclave's state holds and are allowed by name only.
DEFAULT_XFRM_ALLOWED: Final = 0xE7
# Gramine has no KSS, so every member of that family is zero in its quotes; a runtime that binds its configuration
# in CONFIGID has it named by the policy.
NO_CONFIG_ID_HEX: Final = "00" * 64
_ADVISORY = re.compile(r"INTEL-SA-\d{5}")
_CONFIG_ID_HEX = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierPolicy:
    """Which evidence is good enough. Raises PolicyError when its members contradict each other.

    `accepted_tcb_statuses`: platform statuses; `Revoked` can't be listed. `accepted_advisories`: an advisory that
    the evidence carries and this set lacks refuses it; `rejected_advisories` refuses even where both name it.
    `*_grace_seconds`: how long after its TCB date an accepted `OutOfDate` level is still good.
    `min_tcb_evaluation_data_number`: floor of TCB info and QE identity. `accepted_sgx_types`: 0 standard, 1 scalable
    (no memory integrity), 2 scalable with integrity. `xfrm_allowed`: mask of XFRM bits that the enclave may have set.
    """

    name: str
    roots: tuple[TrustRoot, ...]
    allow_simulated: bool = False
    accepted_tcb_statuses: frozenset[str] = frozenset({"UpToDate"})
    accepted_advisories: frozenset[str] = frozenset()
    rejected_advisories: frozenset[str] = frozenset()
    platform_grace_seconds: int = 0
    qe_grace_seconds: int = 0
    min_tcb_evaluation_data_number: int = 0
    min_isv_svn: int = 0
    isv_prod_id: int | None = None
    config_id_hex: str = NO_CONFIG_ID_HEX
    accepted_sgx_types: frozenset[int] = frozenset({0, 2})
    allow_dynamic_platform: bool = False
    allow_cached_keys: bool = False
    allow_smt: bool = False
    xfrm_allowed: int = DEFAULT_XFRM_ALLOWED

    def __post_init__(self) -> None:
        self._check_roots()
        self._check_statuses_and_advisories()
        self._check_numbers()

    def _check_roots(self) -> None:
        if not self.roots:
            raise PolicyError(f"policy {self.name!r} lists no trust root")
        if any(root.simulated for root in self.roots) and not self.allow_simulated:
            raise PolicyError(
                f"policy {self.name!r} lists a simulated root without allow_simulated = true",
                hint="remove the simulated root; only a test or demonstration policy may allow it",
            )

    def _check_statuses_and_advisories(self) -> None:
        unknown = sorted(self.accepted_tcb_statuses - ACCEPTABLE_TCB_STATUSES)
        if unknown or not self.accepted_tcb_statuses:
            raise PolicyError(f"policy {self.name!r}: TCB statuses that can't be accepted: {unknown or 'empty list'}")
        for advisory in self.accepted_advisories | self.rejected_advisories:
            if not _ADVISORY.fullmatch(advisory):
                raise PolicyError(f"policy {self.name!r}: {advisory[:40]!r} is not an advisory such as INTEL-SA-00615")

    def _check_numbers(self) -> None:
        numbers = (
            self.platform_grace_seconds,
            self.qe_grace_seconds,
            self.min_tcb_evaluation_data_number,
            self.min_isv_svn,
            self.isv_prod_id or 0,
            self.xfrm_allowed,
        )
        if min(numbers) < 0:
            raise PolicyError(f"policy {self.name!r}: numbers can't be negative")
        if not _CONFIG_ID_HEX.fullmatch(self.config_id_hex):
            raise PolicyError(f"policy {self.name!r}: config_id_hex must be 128 lower-case hex digits")
        if not self.accepted_sgx_types or not self.accepted_sgx_types <= {0, 1, 2}:
            raise PolicyError(f"policy {self.name!r}: accepted_sgx_types must be some of 0, 1, 2")


PRODUCTION_POLICY: Final = VerifierPolicy(
    name="production",
    roots=(INTEL_SGX_ROOT,),
    # Nearly every server with SGX is a multi-socket, hyper-threaded Xeon of type 1 (attestation.md section 1):
    # refusing these would refuse the hardware that exists. Physical interposers are in SECURITY as out of scope.
    accepted_sgx_types=frozenset({0, 1, 2}),
    allow_dynamic_platform=True,
    allow_cached_keys=True,
    allow_smt=True,
    min_tcb_evaluation_data_number=17,
)


def unsafe_simulation_policy(root_der: bytes) -> VerifierPolicy:
    """Build a policy that accepts evidence of one simulated root and of no hardware.

    It protects nothing: whoever holds the simulated platform's keys can quote any measurement.
    """
    return VerifierPolicy(
        name="unsafe-simulation",
        roots=(simulated_root(root_der),),
        allow_simulated=True,
        accepted_sgx_types=frozenset({0, 1, 2}),
        min_tcb_evaluation_data_number=17,
    )
