"""Trust roots: the certificates and keys at which a chain of evidence may end.

A root is data. The verifier has one code path for all roots of a vendor; a simulated root differs from Intel's in its
DER only, and says that it is simulated. This module must never decide which root is trusted: a policy lists them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.attestation.snp.amd_roots import AMD_ROOT_PINS
from heartify.errors import AttestationError, PolicyError
from heartify.protocol.evidence import TeeKind

_SHA256_BYTES: Final = 32


class Vendor(Enum):
    """Whose formats a root vouches for: DCAP quotes of Intel, or attestation reports of AMD."""

    INTEL = "intel"
    AMD = "amd"


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """A named root.

    Of Intel's formats, `der` is the X.509 certificate; None means Intel's production root inside dcap-qvl.
    Of AMD's, `spki_sha256` pins the ARK: SHA-256 of its public key as DER SubjectPublicKeyInfo; `der` may hold the
    certificate itself, for evidence that doesn't bring it along.

    Raises PolicyError when a simulated root has no certificate of its own, its name does not say `simulated`, or
    certificate and pinned key disagree.
    """

    name: str
    der: bytes | None
    simulated: bool
    spki_sha256: bytes | None = None

    def __post_init__(self) -> None:
        if self.simulated != ("simulated" in self.name.lower()):
            raise PolicyError(
                f"trust root {self.name!r}: the name must contain 'simulated' exactly when the root is simulated"
            )
        if self.simulated and self.spki_sha256 is None and not self.der:
            raise PolicyError(f"trust root {self.name!r}: a simulated root needs its own certificate")
        if self.der is not None and not self.simulated and b"simulated" in self.der.lower():
            raise PolicyError(
                f"trust root {self.name!r}: the certificate says that it is simulated, the policy does not"
            )
        if self.spki_sha256 is not None:
            self._check_pin(self.spki_sha256)

    def _check_pin(self, spki_sha256: bytes) -> None:
        if len(spki_sha256) != _SHA256_BYTES:
            raise PolicyError(f"trust root {self.name!r}: a pinned key is {_SHA256_BYTES} bytes")
        if self.der is not None and _spki_sha256_of(self.der) != spki_sha256:
            raise PolicyError(f"trust root {self.name!r}: the certificate has another key than the pinned one")

    @property
    def vendor(self) -> Vendor:
        """Return whose formats this root vouches for."""
        return Vendor.INTEL if self.spki_sha256 is None else Vendor.AMD


INTEL_SGX_ROOT: Final = TrustRoot(name="Intel SGX Root CA", der=None, simulated=False)


# The pinned keys of AMD's products, in the order of `amd_roots`.
AMD_ROOTS: Final = tuple(
    TrustRoot(name=name, der=None, simulated=False, spki_sha256=pin) for name, pin in AMD_ROOT_PINS.items()
)


def simulated_root(der: bytes) -> TrustRoot:
    """Return a root of simulated evidence, named so that nobody takes it for a vendor's."""
    return TrustRoot(name="Simulated SGX Root CA, not Intel", der=der, simulated=True)


def check_kind_of_root(kind: TeeKind, root_name: str, *, simulated: bool) -> None:
    """Refuse hardware kinds under a simulated root and simulated kinds under a vendor's. Raises AttestationError."""
    if simulated != kind.is_simulated:
        raise AttestationError(f"evidence claims {kind.wire_name} but its root is {root_name!r}")


def _spki_sha256_of(der: bytes) -> bytes:
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except MALFORMED_X509 as exc:
        raise PolicyError("trust root: the certificate is not DER") from exc
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
