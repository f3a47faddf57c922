"""A simulated Intel DCAP: its own root, certificates, collateral and quotes for SGX and TDX, in Intel's formats.

Every distinguished name says "Simulated ... not Intel". It protects nothing; it lets everything else run for real.
"""

from heartify.attestation.simulated.launch import SimulatedLaunch
from heartify.attestation.simulated.platform import SimulatedPlatform

__all__ = ["SimulatedLaunch", "SimulatedPlatform"]
