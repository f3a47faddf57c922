"""A simulated platform for SGX and TDX: it holds the keys of a simulated root and quotes any measurement it is told.

It stands where a processor, Intel's quoting enclave and Intel's collateral service stand together.
Whoever can read its folder can forge evidence under its root, which is why no production policy may list that root.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.dcap.sgx_report_check import FLAG_DEBUG, FLAG_INIT, FLAG_MODE64BIT
from heartify.attestation.isolation import SGX_CONFIG_ID_BYTES, TDX_CONFIG_ID_BYTES, encode_isolation
from heartify.attestation.simulated import platform_files
from heartify.attestation.simulated.collateral import SimulatedIssue, build_collateral
from heartify.attestation.simulated.launch import SimulatedLaunch
from heartify.attestation.simulated.pck_extension import SimulatedPlatformIdentity
from heartify.attestation.simulated.pki import SimulatedCertificates, SimulatedKeys, build_certificates, build_keys
from heartify.attestation.simulated.quote import SimulatedReport, build_quote
from heartify.attestation.simulated.td_quote import TD_DEBUG, SimulatedTdReport, build_td_quote
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

    def quote_report(self, report: SimulatedReport | SimulatedTdReport) -> bytes:
        """Quote any report body, also one that a verifier must refuse."""
        build = build_quote if isinstance(report, SimulatedReport) else build_td_quote
        return build(report.encode(), self.keys, self.certificates, self.identity)

    def quote_launch(self, launch: SimulatedLaunch, report_data: bytes) -> bytes:
        """Quote a launch with 64 bytes of report data. Raises EnclaveError for another size."""
        if launch.tee_kind is TeeKind.SIMULATED_SGX:
            return self.quote_report(self._sgx_report(launch, report_data))
        return self.quote_report(_td_report(launch, report_data))

    def _sgx_report(self, launch: SimulatedLaunch, report_data: bytes) -> SimulatedReport:
        return SimulatedReport(
            mr_enclave=launch.registers[0],
            report_data=report_data,
            cpu_svn=self.identity.cpu_svn,
            flags=FLAG_INIT | FLAG_MODE64BIT | (FLAG_DEBUG if launch.debug else 0),
            config_id=encode_isolation(launch.isolation, SGX_CONFIG_ID_BYTES),
        )

    def collateral(self, now_utc_seconds: int, *, tdx: bool = False) -> str:
        """Issue collateral for SGX or TDX as JSON text, valid for thirty days from `now_utc_seconds`."""
        return self.collateral_of_issue(SimulatedIssue(now_utc_seconds=now_utc_seconds), tdx=tdx)

    def collateral_of_issue(self, issue: SimulatedIssue, *, tdx: bool = False) -> str:
        """Issue collateral with chosen revocations and evaluation data number."""
        return json.dumps(build_collateral(self.keys, self.certificates, self.identity, issue, tdx=tdx))

    def launch_evidence(self, launch: SimulatedLaunch, report_data: bytes, now_utc_seconds: int) -> Evidence:
        """Quote a launch, and put the quote together with fresh collateral of its kind."""
        return Evidence(
            tee_kind=launch.tee_kind.wire_name,
            quote_hex=self.quote_launch(launch, report_data).hex(),
            collateral=self.collateral(now_utc_seconds, tdx=launch.tee_kind is TeeKind.SIMULATED_TDX),
        )

    def evidence(self, measurement: bytes, report_data: bytes, now_utc_seconds: int) -> Evidence:
        """Quote, and put the quote together with fresh collateral."""
        return Evidence(
            tee_kind=TeeKind.SIMULATED_SGX.wire_name,
            quote_hex=self.quote(measurement, report_data).hex(),
            collateral=self.collateral(now_utc_seconds),
        )


def _td_report(launch: SimulatedLaunch, report_data: bytes) -> SimulatedTdReport:
    mr_td, rtmr0, rtmr1, rtmr2 = launch.registers
    report = SimulatedTdReport(
        mr_td=mr_td,
        rtmr0=rtmr0,
        rtmr1=rtmr1,
        rtmr2=rtmr2,
        report_data=report_data,
        mr_config_id=encode_isolation(launch.isolation, TDX_CONFIG_ID_BYTES),
    )
    return replace(report, td_attributes=report.td_attributes | TD_DEBUG) if launch.debug else report
