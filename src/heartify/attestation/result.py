"""The attestation result: what a relying party may believe after verification (RFC 9334, section 8.4).

Only the verifier builds one. There is no result for refused evidence: the verifier raises.
The bytes of a quote are no identity (a signature has a second valid form), so none is kept here.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartify.attestation.isolation import Isolation
from heartify.protocol.evidence import TeeKind


@dataclass(frozen=True, slots=True)
class CollateralMark:
    """A number that may rise and never fall: of a revocation list, TCB info, QE identity or platform firmware.

    `scope` is a text such as `root-crl/<root key id>` that says what the number counts for.
    """

    scope: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationResult:
    """Accepted evidence.

    `measurement`: MRENCLAVE of SGX (32 bytes), the TD measurement of TDX (48), the launch digest of SEV-SNP (48).
    `status` and `advisories`: Intel's TCB status; SEV-SNP has no such words and says `UpToDate`, since a TCB under the
    policy's floor is refused. `platform_ids`: what names this machine among all, most specific first, such as the PPID
    and the platform instance id (16 bytes each), or AMD's chip id (64 bytes; none under a VLEK).
    `product_id`, `security_version`: ISVPRODID and ISVSVN of SGX, the guest SVN of SEV-SNP, None of TDX.
    `isolation`: what a simulated TEE says that surrounds its process; None for hardware.
    `marks`: for protection against rollback, see `high_water`. `valid_until_utc_seconds`: the collateral's end.
    """

    tee_kind: TeeKind
    root_name: str
    simulated: bool
    measurement: bytes
    report_data: bytes
    status: str
    advisories: tuple[str, ...]
    platform_ids: tuple[bytes, ...]
    product_id: int | None
    security_version: int | None
    isolation: Isolation | None
    marks: tuple[CollateralMark, ...]
    valid_until_utc_seconds: int
