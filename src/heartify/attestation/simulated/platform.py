"""A simulated SGX platform: it holds the keys of a simulated root and quotes any measurement it is told.

It stands where a processor, Intel's quoting enclave and Intel's collateral service stand together.
Whoever can read its folder can forge evidence under its root, which is why no production policy may list that root.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.simulated import platform_files
from heartify.attestation.simulated.collateral import SimulatedIssue, build_collateral
from heartify.attestation.simulated.pck_extension import SimulatedPlatformIdentity
from heartify.attestation.simulated.pki import SimulatedCertificates, SimulatedKeys, build_certificates, build_keys
from heartify.attestation.simulated.quote import SimulatedReport, build_quote
from heartify.protocol.evidence import Evidence, TeeKind

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, repr=False)
class SimulatedPlatform:
    """Keys, certificates and identity of one simulated machine; not shown by repr."""

    keys: SimulatedKeys
    certificates: SimulatedCertificates
    identity: SimulatedPlatformIdentity

    @classmethod
    def create(cls, now_utc_seconds: int, *, identity: SimulatedPlatformIdentity | None = None) -> SimulatedPlatform:
        """Make a platform with fresh keys, whose certificates are good for ten years from `now_utc_seconds`."""
        if identity is None:
            identity = SimulatedPlatformIdentity(ppid=os.urandom(16), platform_instance_id=os.urandom(16))
        keys = build_keys()
        return cls(keys, build_certificates(keys, identity, now_utc_seconds), identity)

    @classmethod
    def load(cls, folder: Path) -> SimulatedPlatform:
        """Read what `store` wrote. Raises InputError when absent or readable by others, IntegrityError when damaged."""
        return cls(*platform_files.load_platform(folder))

    def store(self, folder: Path) -> None:
        """Write keys and certificates into a folder, each file 0600. Raises InputError when a platform is there."""
        platform_files.store_platform(folder, self.keys, self.certificates, self.identity)

    @cached_property
    def root_der(self) -> bytes:
        """Return the certificate of the simulated root, for policies."""
        return self.certificates.root.public_bytes(Encoding.DER)

    def quote(self, measurement: bytes, report_data: bytes) -> bytes:
        """Quote a measurement of 32 bytes with 64 bytes of report data. Raises EnclaveError for other sizes."""
        report = SimulatedReport(mr_enclave=measurement, report_data=report_data, cpu_svn=self.identity.cpu_svn)
        return self.quote_report(report)

    def quote_report(self, report: SimulatedReport) -> bytes:
        """Quote any report body, also one that a verifier must refuse."""
        return build_quote(report.encode(), self.keys, self.certificates, self.identity)

    def collateral(self, now_utc_seconds: int) -> str:
        """Issue collateral as JSON text, valid for thirty days from `now_utc_seconds`."""
        return self.collateral_of_issue(SimulatedIssue(now_utc_seconds=now_utc_seconds))

    def collateral_of_issue(self, issue: SimulatedIssue) -> str:
        """Issue collateral with chosen revocations and evaluation data number."""
        return json.dumps(build_collateral(self.keys, self.certificates, self.identity, issue))

    def evidence(self, measurement: bytes, report_data: bytes, now_utc_seconds: int) -> Evidence:
        """Quote, and put the quote together with fresh collateral."""
        return Evidence(
            tee_kind=TeeKind.SIMULATED_SGX.wire_name,
            quote_hex=self.quote(measurement, report_data).hex(),
            collateral=self.collateral(now_utc_seconds),
        )
