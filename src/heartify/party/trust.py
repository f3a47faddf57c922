"""Which evidence a party believes: Intel's root by default, or by an explicitly unsafe choice a simulated root."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.policy import PRODUCTION_POLICY, VerifierPolicy, unsafe_simulation_policy
from heartify.attestation.policy_file import load_policy
from heartify.errors import InputError
from heartify.party.home import write_atomically

POLICY_FILE = "trust-policy.toml"
SIMULATED_ROOT_FILE = "unsafe-simulated-root.pem"


def trust_simulated_root(home: Path, root_certificate: Path) -> None:
    """Keep a copy of a simulated root in a party's home: from now on it believes evidence that proves nothing.

    Raises:
        InputError: the file holds no certificate.
    """
    try:
        data = root_certificate.read_bytes()
        certificate = x509.load_pem_x509_certificate(data)
    except (OSError, ValueError) as exc:
        raise InputError(
            f"{root_certificate} holds no PEM certificate", hint="`heartify pool init` writes one"
        ) from exc
    write_atomically(home / SIMULATED_ROOT_FILE, certificate.public_bytes(Encoding.PEM))


def load_trust(home: Path) -> VerifierPolicy:
    """Return a party's verifier policy: its own policy file, else its simulated root, else production.

    Raises:
        InputError, PolicyError: the policy file or the simulated root is wrong.
    """
    if (home / POLICY_FILE).exists():
        return load_policy(home / POLICY_FILE)
    simulated = home / SIMULATED_ROOT_FILE
    if not simulated.exists():
        return PRODUCTION_POLICY
    try:
        certificate = x509.load_pem_x509_certificate(simulated.read_bytes())
    except (OSError, ValueError) as exc:
        raise InputError(f"{simulated} holds no PEM certificate", hint="give the simulated root again") from exc
    return unsafe_simulation_policy(certificate.public_bytes(Encoding.DER))
