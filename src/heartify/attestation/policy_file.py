"""Reading a verifier policy from TOML or JSON.

The document has the members of `VerifierPolicy` under the same names; a root is `{name, simulated, certificate_pem}`,
where Intel's own root is `{name = "Intel SGX Root CA", simulated = false}`. Unknown members are refused, because
a misspelt restriction would otherwise be a missing one.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.policy import DEFAULT_XFRM_ALLOWED, NO_CONFIG_ID_HEX, VerifierPolicy
from heartify.attestation.roots import INTEL_SGX_ROOT, TrustRoot
from heartify.errors import InputError, PolicyError

_FILE_LIMIT_BYTES = 65536


class _RootDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    simulated: bool
    certificate_pem: str | None = None


class _PolicyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    roots: tuple[_RootDocument, ...]
    allow_simulated: bool = False
    accepted_tcb_statuses: frozenset[str] = frozenset({"UpToDate"})
    accepted_advisories: frozenset[str] = frozenset()
    rejected_advisories: frozenset[str] = frozenset()
    platform_grace_seconds: int = 0
    qe_grace_seconds: int = 0
    min_tcb_evaluation_data_number: int = 0
    min_isv_svn: int = 0
    isv_prod_id: int | None = None
    config_id_hex: str = NO_CONFIG_ID_HEX
    accepted_sgx_types: frozenset[int] = frozenset({0, 2})
    allow_dynamic_platform: bool = False
    allow_cached_keys: bool = False
    allow_smt: bool = False
    xfrm_allowed: int = DEFAULT_XFRM_ALLOWED


def parse_policy_toml(text: str) -> VerifierPolicy:
    """Parse a policy written in TOML. Raises InputError for its form, PolicyError for what it says."""
    try:
        document = msgspec.toml.decode(text, type=_PolicyDocument)
    except msgspec.MsgspecError as exc:
        raise InputError(f"verifier policy: {exc}") from exc
    return _build_policy(document)


def parse_policy_json(text: str | bytes) -> VerifierPolicy:
    """Parse a policy written in JSON. Raises InputError for its form, PolicyError for what it says."""
    try:
        document = msgspec.json.decode(text, type=_PolicyDocument)
    except msgspec.MsgspecError as exc:
        raise InputError(f"verifier policy: {exc}") from exc
    return _build_policy(document)


def load_policy(path: Path) -> VerifierPolicy:
    """Read a policy file; its suffix, .toml or .json, names the language.

    Raises InputError when it can't be read or parsed, PolicyError when it contradicts itself.
    """
    parsers = {".toml": parse_policy_toml, ".json": parse_policy_json}
    if path.suffix not in parsers:
        raise InputError(f"verifier policy {path.name}: expected a .toml or .json file")
    try:
        if path.stat().st_size > _FILE_LIMIT_BYTES:
            raise InputError(f"verifier policy {path.name} is larger than {_FILE_LIMIT_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"verifier policy {path.name} can't be read: {type(exc).__name__}") from exc
    return parsers[path.suffix](text)


def _build_policy(document: _PolicyDocument) -> VerifierPolicy:
    members = {name: getattr(document, name) for name in document.__struct_fields__ if name not in {"name", "roots"}}
    return VerifierPolicy(name=document.name, roots=tuple(_build_root(root) for root in document.roots), **members)


def _build_root(document: _RootDocument) -> TrustRoot:
    if document.certificate_pem is None:
        if document.simulated or document.name != INTEL_SGX_ROOT.name:
            raise PolicyError(f"trust root {document.name!r} has no certificate_pem")
        return INTEL_SGX_ROOT
    try:
        certificate = x509.load_pem_x509_certificate(document.certificate_pem.encode())
    except ValueError as exc:
        raise PolicyError(f"trust root {document.name!r}: certificate_pem is not one PEM certificate") from exc
    return TrustRoot(document.name, certificate.public_bytes(Encoding.DER), document.simulated)
