"""What a relying party demands of evidence, in one frozen value that a security officer can read.

Every member narrows what is accepted; the defaults are the strict ones. A policy that lists a simulated root without
`allow_simulated` cannot exist: the constructor refuses it. Reading policies from files is `policy_file`'s job, saying
them in sentences `policy_text`'s. Measurements always come from approved app releases; a policy can only narrow them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from heartify.attestation.dcap.demands import IntelDemands, SgxDemands, TdxDemands
from heartify.attestation.isolation import Isolation, parse_isolation
from heartify.attestation.platforms import AllowedPlatform
from heartify.attestation.roots import AMD_ROOTS, INTEL_SGX_ROOT, TrustRoot, Vendor, simulated_root
from heartify.attestation.snp.demands import SnpDemands
from heartify.errors import PolicyError
from heartify.protocol.evidence import TeeKind

HARDWARE_KINDS: Final = TeeKind.SGX | TeeKind.TDX | TeeKind.SEV_SNP
SIMULATED_KINDS: Final = TeeKind.SIMULATED_SGX | TeeKind.SIMULATED_TDX
MEASUREMENT_BYTES: Final = {
    TeeKind.SGX: 32,
    TeeKind.SIMULATED_SGX: 32,
    TeeKind.TDX: 48,
    TeeKind.SIMULATED_TDX: 48,
    TeeKind.SEV_SNP: 48,
}


@dataclass(frozen=True, slots=True)
class PinnedMeasurement:
    """A measurement that a policy pins for a TEE kind. Raises PolicyError for another size than the kind's."""

    tee_kind: TeeKind
    measurement: bytes

    def __post_init__(self) -> None:
        if len(self.measurement) != MEASUREMENT_BYTES.get(self.tee_kind):
            raise PolicyError(f"a pinned measurement of {self.tee_kind.wire_name} has {len(self.measurement)} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierPolicy:
    """Which evidence is good enough. Raises PolicyError when its members contradict each other.

    `accepted_tee_kinds`: one bit for each kind. `required_isolation`: what a simulation must say that surrounds its
    process. `maximum_collateral_age_days`: how old the vendor's statements may be although they haven't expired.
    `platforms`: empty allows every machine that the rest accepts. `pinned_measurements`: of a kind that has any, only
    these are accepted, and only if an approved app release names them too.
    """

    name: str
    roots: tuple[TrustRoot, ...]
    accepted_tee_kinds: TeeKind = HARDWARE_KINDS
    allow_simulated: bool = False
    required_isolation: Isolation = Isolation.NONE
    maximum_collateral_age_days: int | None = None
    platforms: tuple[AllowedPlatform, ...] = ()
    pinned_measurements: frozenset[PinnedMeasurement] = frozenset()
    intel: IntelDemands = field(default_factory=IntelDemands)
    sgx: SgxDemands = field(default_factory=SgxDemands)
    tdx: TdxDemands = field(default_factory=TdxDemands)
    sev_snp: SnpDemands = field(default_factory=SnpDemands)

    def __post_init__(self) -> None:
        self._check_roots()
        self._check_kinds()
        if self.maximum_collateral_age_days is not None and self.maximum_collateral_age_days < 1:
            raise PolicyError(f"policy {self.name!r}: maximum_collateral_age_days must be at least 1")
        if len({platform.id for platform in self.platforms}) != len(self.platforms):
            raise PolicyError(f"policy {self.name!r}: a platform is listed twice")

    def roots_of(self, vendor: Vendor) -> tuple[TrustRoot, ...]:
        """Return the roots under which evidence of a vendor's formats may be verified."""
        return tuple(root for root in self.roots if root.vendor is vendor)

    def pinned_for(self, kind: TeeKind) -> frozenset[bytes]:
        """Return the measurements pinned for a kind; empty where the policy pins none."""
        return frozenset(pinned.measurement for pinned in self.pinned_measurements if pinned.tee_kind is kind)

    def _check_roots(self) -> None:
        if not self.roots:
            raise PolicyError(f"policy {self.name!r} lists no trust root")
        if len({root.name for root in self.roots}) != len(self.roots):
            raise PolicyError(f"policy {self.name!r} lists two roots of one name")
        if any(root.simulated for root in self.roots) and not self.allow_simulated:
            raise PolicyError(
                f"policy {self.name!r} lists a simulated root without allow_simulated = true",
                hint="remove the simulated root; only a test or demonstration policy may allow it",
            )

    def _check_kinds(self) -> None:
        if not self.accepted_tee_kinds:
            raise PolicyError(f"policy {self.name!r} accepts no TEE kind")
        if self.accepted_tee_kinds.is_simulated and not self.allow_simulated:
            raise PolicyError(
                f"policy {self.name!r} accepts a simulated TEE kind without allow_simulated = true",
                hint="remove the kind; only a test or demonstration policy may allow it",
            )
        if any(root.simulated for root in self.roots) and not self.accepted_tee_kinds.is_simulated:
            raise PolicyError(
                f"policy {self.name!r} lists a simulated root but accepts no simulated TEE kind",
                hint='name the kind in accepted_tee_kinds, such as "simulated-sgx", or remove the root',
            )


PRODUCTION_POLICY: Final = VerifierPolicy(
    name="production",
    roots=(INTEL_SGX_ROOT, *AMD_ROOTS),
    intel=IntelDemands(
        # Nearly every server with SGX is a multi-socket, hyper-threaded Xeon of type 1 (attestation.md section 1):
        # refusing these would refuse the hardware that exists. Physical interposers are in SECURITY as out of scope.
        accepted_sgx_types=frozenset({0, 1, 2}),
        allow_dynamic_platform=True,
        allow_cached_keys=True,
        allow_smt=True,
        min_tcb_evaluation_data_number=17,
    ),
)


def unsafe_simulation_policy(root_der: bytes, *, required_isolation: tuple[str, ...] = ()) -> VerifierPolicy:
    """Build a policy that accepts evidence of one simulated root and of no hardware.

    `required_isolation` are words such as `sandbox`. It protects nothing: whoever holds the simulated platform's keys
    can quote any measurement. Raises PolicyError for an unknown word.
    """
    return VerifierPolicy(
        name="unsafe-simulation",
        roots=(simulated_root(root_der),),
        accepted_tee_kinds=SIMULATED_KINDS,
        allow_simulated=True,
        required_isolation=parse_isolation(required_isolation),
        intel=IntelDemands(accepted_sgx_types=frozenset({0, 1, 2}), min_tcb_evaluation_data_number=17),
    )
