"""One simulated platform for all tests of the verifier, and a call of verify() with every argument replaceable."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.simulated.pck_extension import SimulatedPlatformIdentity
from heartify.attestation.simulated.quote import SimulatedReport, sign_raw
from heartify.attestation.simulated.td_quote import SimulatedTdReport
from heartify.attestation.td_measurement import td_measurement
from heartify.attestation.verifier import verify
from heartify.protocol.evidence import Evidence

NOW = 1_795_000_000
MEASUREMENT = bytes(range(32))
REPORT_DATA = bytes(range(64, 128))
REGISTERS = {name: bytes([number]) * 48 for number, name in enumerate(("mr_td", "rtmr0", "rtmr1", "rtmr2"), start=1)}
TD_MEASUREMENT = td_measurement(**REGISTERS)


class Case:
    """A good piece of evidence and what verifies it; tests replace one thing."""

    now = NOW
    measurement = MEASUREMENT
    td_measurement = TD_MEASUREMENT
    registers = REGISTERS
    report_data = REPORT_DATA

    def __init__(self, platform: SimulatedPlatform | None = None) -> None:
        self.platform = platform or SimulatedPlatform.create(NOW)
        self.policy = unsafe_simulation_policy(self.platform.root_der)

    @classmethod
    def at(cls, svn: int, pce_svn: int, **changes) -> Case:
        """Make a platform of its own at a TCB level of the simulated collateral, with a policy for its root."""
        identity = SimulatedPlatformIdentity(
            ppid=b"\x11" * 16,
            platform_instance_id=b"\x22" * 16,
            cpu_svn=bytes([svn]) * 16,
            pce_svn=pce_svn,
            **changes,
        )
        return cls(SimulatedPlatform.create(NOW, identity=identity))

    def report(self, **changes):
        base = SimulatedReport(mr_enclave=MEASUREMENT, report_data=REPORT_DATA, cpu_svn=self.platform.identity.cpu_svn)
        return replace(base, **changes)

    def td_report(self, **changes):
        return replace(SimulatedTdReport(**REGISTERS, report_data=REPORT_DATA), **changes)

    def quote(self, kind="sgx"):
        return self.platform.quote_report(self.report() if kind == "sgx" else self.td_report())

    def quote_of_quoting_enclave(self, kind, offset, value):
        """Quote with one byte of the quoting enclave's own report replaced, and that report signed again by the PCK."""
        quote = bytearray(self.quote(kind))
        start = {"sgx": 48 + 384 + 4 + 128, "tdx": 48 + 584 + 4 + 128 + 6}[kind]
        quote[start + offset] = value
        report = bytes(quote[start : start + 384])
        return bytes(quote[: start + 384]) + sign_raw(self.platform.keys.pck, report) + bytes(quote[start + 448 :])

    def collateral(self, kind="sgx", **changes):
        """Issue collateral, with members of the document replaced."""
        return json.dumps({**json.loads(self.platform.collateral(NOW, tdx=kind == "tdx")), **changes})

    def signed_again(self, kind, member, change, *, key=None, chain=None):
        """Change TCB info or QE identity and sign it with a key of the platform."""
        collateral = json.loads(self.collateral(kind))
        text = change(collateral[member])
        collateral[member] = text
        collateral[f"{member}_signature"] = sign_raw(key or self.platform.keys.tcb_signer, text.encode()).hex()
        if chain:
            collateral[f"{member}_issuer_chain"] = chain
        return json.dumps(collateral)

    def evidence(self, *, report=None, quote=None, collateral=None, tee_kind=None, platform=None, kind="sgx"):
        """Make evidence of a simulated kind, `sgx` or `tdx`."""
        platform = platform or self.platform
        if quote is None:
            default = self.td_report() if kind == "tdx" else self.report(cpu_svn=platform.identity.cpu_svn)
            quote = platform.quote_report(report or default)
        if collateral is None:
            collateral = platform.collateral(NOW, tdx=kind == "tdx")
        return Evidence(tee_kind or f"simulated-{kind}", quote.hex(), collateral)

    def verify(self, evidence=None, *, kind="sgx", policy=None, now=NOW, report_data=REPORT_DATA, measurements=None):
        evidence = evidence or self.evidence(kind=kind)
        approved = {MEASUREMENT} if evidence.tee_kind.endswith("sgx") else {TD_MEASUREMENT}
        return verify(
            evidence,
            policy or self.policy,
            now,
            expected_report_data=report_data,
            reference_measurements=frozenset(approved) if measurements is None else measurements,
        )


@pytest.fixture(scope="session")
def case() -> Case:
    return Case()


@pytest.fixture(params=["sgx", "tdx"])
def kind(request) -> str:
    """Run a test for both of Intel's formats."""
    return request.param


@pytest.fixture(scope="session")
def case_at():
    """Return what makes a platform at another TCB level."""
    return Case.at
