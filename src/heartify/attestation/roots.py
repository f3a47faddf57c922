"""Trust roots: the certificates at which a chain of evidence may end.

A root is data. The verifier has one code path for all of them; a simulated root differs from Intel's in its DER only,
and says that it is simulated. This module must never decide which root is trusted: a policy lists them.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartify.errors import PolicyError


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """A named root. `der` is the X.509 certificate; None means Intel's production root inside dcap-qvl.

    Raises PolicyError when a simulated root has no certificate of its own, or its name does not say `simulated`.
    """

    name: str
    der: bytes | None
    simulated: bool

    def __post_init__(self) -> None:
        if self.simulated and not self.der:
            raise PolicyError(f"trust root {self.name!r}: a simulated root needs its own certificate")
        if self.simulated != ("simulated" in self.name.lower()):
            raise PolicyError(
                f"trust root {self.name!r}: the name must contain 'simulated' exactly when the root is simulated"
            )
        if self.der is not None and not self.simulated and b"simulated" in self.der.lower():
            raise PolicyError(
                f"trust root {self.name!r}: the certificate says that it is simulated, the policy does not"
            )


INTEL_SGX_ROOT = TrustRoot(name="Intel SGX Root CA", der=None, simulated=False)


def simulated_root(der: bytes) -> TrustRoot:
    """Return a root of simulated evidence, named so that nobody takes it for a vendor's."""
    return TrustRoot(name="Simulated SGX Root CA, not Intel", der=der, simulated=True)
