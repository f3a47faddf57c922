"""What a simulated quoting service certifies: which code was launched, as which kind of TEE, isolated by what.

The launcher states it, since it measured the bytes and started the process. The workload has no part in it.
The sizes are checked here, so that no quote with a shifted field can be made.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartify.attestation.isolation import Isolation
from heartify.attestation.td_measurement import TD_REGISTER_BYTES, td_measurement
from heartify.errors import EnclaveError
from heartify.protocol.evidence import TeeKind

MR_ENCLAVE_BYTES = 32
TD_REGISTERS = 4


@dataclass(frozen=True, slots=True)
class SimulatedLaunch:
    """One launch. `registers`: MRENCLAVE (32 bytes) of simulated SGX; MRTD and RTMR0 to RTMR2 (48 each) of TDX.

    `debug`: the process may be looked into; quotes say so, and every verifier refuses them. Raises EnclaveError for
    another kind or another number or size of registers.
    """

    tee_kind: TeeKind
    registers: tuple[bytes, ...]
    isolation: Isolation
    debug: bool = False

    def __post_init__(self) -> None:
        expected = {
            TeeKind.SIMULATED_SGX: (MR_ENCLAVE_BYTES,),
            TeeKind.SIMULATED_TDX: (TD_REGISTER_BYTES,) * TD_REGISTERS,
        }.get(self.tee_kind)
        if expected is None:
            raise EnclaveError("only a simulated kind of TEE is quoted by a simulation")
        if tuple(map(len, self.registers)) != expected:
            raise EnclaveError("quote: a register of the launch has the wrong size")

    @property
    def measurement(self) -> bytes:
        """Return what an app release names: 32 bytes of simulated SGX, 48 of simulated TDX."""
        if self.tee_kind is TeeKind.SIMULATED_SGX:
            return self.registers[0]
        mr_td, rtmr0, rtmr1, rtmr2 = self.registers
        return td_measurement(mr_td=mr_td, rtmr0=rtmr0, rtmr1=rtmr1, rtmr2=rtmr2)
