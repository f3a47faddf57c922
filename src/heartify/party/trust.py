"""Which evidence a party believes: Intel's root by default, or by an explicitly unsafe choice a simulated root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.isolation import parse_isolation
from heartify.attestation.policy import PRODUCTION_POLICY, VerifierPolicy, unsafe_simulation_policy
from heartify.attestation.policy_file import load_policy
from heartify.errors import InputError
from heartify.party.home import write_atomically

POLICY_FILE = "trust-policy.toml"
SIMULATED_ROOT_FILE = "unsafe-simulated-root.pem"


def trust_simulated_root(home: Path, root_certificate: Path, required_isolation: Sequence[str] = ()) -> None:
    """Keep a copy of a simulated root in a party's home: from now on it believes evidence that proves nothing.

    With `required_isolation`, words such as `sandbox`, a policy file is written that refuses evidence of a simulated
    TEE that doesn't state these measures.

    Raises:
        InputError: the file holds no certificate.
        PolicyError: a word is unknown.
    """
    try:
        data = root_certificate.read_bytes()
        certificate = x509.load_pem_x509_certificate(data)
    except (OSError, ValueError) as exc:
        raise InputError(
            f"{root_certificate} holds no PEM certificate", hint="`heartify pool init` writes one"
        ) from exc
    pem = certificate.public_bytes(Encoding.PEM)
    policy = _policy_text(pem, required_isolation) if required_isolation else None
    write_atomically(home / SIMULATED_ROOT_FILE, pem)
    if policy is not None:
        write_atomically(home / POLICY_FILE, policy.encode())


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


def _policy_text(root_pem: bytes, required_isolation: Sequence[str]) -> str:
    """Write `unsafe_simulation_policy` as the document that a person can go on with, docs/reference/trust-policy.md."""
    words = ", ".join(f'"{word}"' for word in parse_isolation(required_isolation).words)
    return f"""\
# Believes a simulated TEE, which proves nothing: for trials only.
name = "unsafe-simulation"
accepted_tee_kinds = ["simulated-sgx", "simulated-tdx"]
allow_simulated = true
required_isolation = [{words}]

[[roots]]
name = "Simulated SGX Root CA, not Intel"
simulated = true
certificate_pem = '''
{root_pem.decode("ascii").strip()}
'''

[intel]
accepted_sgx_types = [0, 1, 2]
min_tcb_evaluation_data_number = 17
"""
