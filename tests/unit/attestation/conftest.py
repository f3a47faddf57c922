"""One simulated platform for all tests of the verifier, and a call of verify() with every argument replaceable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.simulated.quote import SimulatedReport
from heartify.attestation.verifier import verify
from heartify.protocol.evidence import Evidence

NOW = 1_795_000_000
MEASUREMENT = bytes(range(32))
REPORT_DATA = bytes(range(64, 128))


class Case:
    """A good piece of evidence and what verifies it; tests replace one thing."""

    now = NOW
    measurement = MEASUREMENT
    report_data = REPORT_DATA

    def __init__(self) -> None:
        self.platform = SimulatedPlatform.create(NOW)
        self.policy = unsafe_simulation_policy(self.platform.root_der)

    def report(self, **changes):
        base = SimulatedReport(mr_enclave=MEASUREMENT, report_data=REPORT_DATA, cpu_svn=self.platform.identity.cpu_svn)
        return replace(base, **changes)

    def evidence(self, *, report=None, quote=None, collateral=None, tee_kind="simulated-sgx", platform=None):
        platform = platform or self.platform
        if quote is None:
            quote = platform.quote_report(report or self.report(cpu_svn=platform.identity.cpu_svn))
        return Evidence(tee_kind, quote.hex(), platform.collateral(NOW) if collateral is None else collateral)

    def verify(self, evidence=None, *, policy=None, now=NOW, report_data=REPORT_DATA, measurements=None):
        return verify(
            evidence or self.evidence(),
            policy or self.policy,
            now,
            expected_report_data=report_data,
            reference_measurements=frozenset({MEASUREMENT}) if measurements is None else measurements,
        )


@pytest.fixture(scope="session")
def case() -> Case:
    return Case()
