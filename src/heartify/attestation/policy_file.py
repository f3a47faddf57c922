"""Reading a verifier policy from TOML or JSON; the document is described in docs/reference/trust-policy.md.

The tables [intel], [sgx], [tdx] and [sev_snp] have the members of their demands under the same names. A root of a
vendor is named and nothing more; any other brings its certificate. Unknown members are refused everywhere, because a
misspelt restriction would otherwise be a missing one.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
import operator
import re
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.dcap.demands import IntelDemands, SgxDemands, TdxDemands
from heartify.attestation.evidence_limits import check_json_text
from heartify.attestation.isolation import parse_isolation
from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.attestation.platforms import AllowedPlatform
from heartify.attestation.policy import PinnedMeasurement, VerifierPolicy
from heartify.attestation.roots import AMD_ROOTS, INTEL_SGX_ROOT, TrustRoot
from heartify.attestation.snp.demands import SnpDemands
from heartify.errors import AttestationError, DocumentError, InputError, PolicyError
from heartify.protocol.evidence import TeeKind, parse_tee_kind

_FILE_LIMIT_BYTES = 65536
_KNOWN_ROOTS: Final = {root.name: root for root in (INTEL_SGX_ROOT, *AMD_ROOTS)}
_HINT: Final = "docs/reference/trust-policy.md lists every member"


class _RootDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    simulated: bool = False
    certificate_pem: str | None = None


class _PlatformDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    operator: str
    site: str
    until: dt.date | None = None


class _PolicyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    roots: tuple[_RootDocument, ...]
    accepted_tee_kinds: frozenset[str] = frozenset({"sgx", "tdx", "sev-snp"})
    allow_simulated: bool = False
    required_isolation: tuple[str, ...] = ()
    maximum_collateral_age_days: int | None = None
    platforms: tuple[_PlatformDocument, ...] = ()
    pinned_measurements: dict[str, frozenset[str]] = {}
    intel: IntelDemands = IntelDemands()
    sgx: SgxDemands = SgxDemands()
    tdx: TdxDemands = TdxDemands()
    sev_snp: SnpDemands = SnpDemands()


# msgspec ignores unknown members of dataclasses, so those of the tables are compared here.
_TABLES: Final = {"intel": IntelDemands, "sgx": SgxDemands, "tdx": TdxDemands, "sev_snp": SnpDemands}


def parse_policy_toml(text: str) -> VerifierPolicy:
    """Parse a policy written in TOML. Raises InputError for its form, PolicyError for what it says."""
    try:
        return _parse(msgspec.toml.decode(text))
    except msgspec.MsgspecError as exc:
        raise InputError(f"verifier policy: {exc}", hint=_HINT) from exc


def parse_policy_json(text: str | bytes) -> VerifierPolicy:
    """Parse a policy written in JSON. Raises InputError for its form, PolicyError for what it says."""
    try:
        if isinstance(text, bytes):
            text = text.decode()
        # The standard library's parser is the one that tells of duplicates; it must not be given unbounded nesting.
        check_json_text("verifier policy", text, _FILE_LIMIT_BYTES)
        return _parse(json.loads(text, object_pairs_hook=_object_without_duplicates))
    except (ValueError, AttestationError) as exc:
        raise InputError(f"verifier policy: {exc}", hint=_HINT) from exc


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


def _parse(value: object) -> VerifierPolicy:
    if not isinstance(value, dict):
        raise msgspec.ValidationError("expected a document of members")
    for table, demands in _TABLES.items():
        members = value.get(table)
        known = {member.name for member in dataclasses.fields(demands)}
        if isinstance(members, dict) and not members.keys() <= known:
            unknown = ", ".join(sorted(map(str, members.keys() - known)))
            raise msgspec.ValidationError(f"table [{table}] contains unknown fields: {unknown[:120]}")
    return _build_policy(msgspec.convert(value, _PolicyDocument))


def _build_policy(document: _PolicyDocument) -> VerifierPolicy:
    return VerifierPolicy(
        name=document.name,
        roots=tuple(_build_root(root) for root in document.roots),
        accepted_tee_kinds=functools.reduce(operator.or_, map(_kind, document.accepted_tee_kinds), TeeKind(0)),
        allow_simulated=document.allow_simulated,
        required_isolation=parse_isolation(document.required_isolation),
        maximum_collateral_age_days=document.maximum_collateral_age_days,
        platforms=tuple(_build_platform(platform) for platform in document.platforms),
        pinned_measurements=frozenset(
            PinnedMeasurement(_kind(name), _bytes_of_hex(f"pinned measurement of {name}", text))
            for name, texts in document.pinned_measurements.items()
            for text in texts
        ),
        intel=document.intel,
        sgx=document.sgx,
        tdx=document.tdx,
        sev_snp=document.sev_snp,
    )


def _build_root(document: _RootDocument) -> TrustRoot:
    if document.certificate_pem is None:
        if document.simulated or document.name not in _KNOWN_ROOTS:
            raise PolicyError(
                f"trust root {document.name!r} has no certificate_pem",
                hint=f"known without one: {', '.join(_KNOWN_ROOTS)}",
            )
        return _KNOWN_ROOTS[document.name]
    try:
        certificate = x509.load_pem_x509_certificate(document.certificate_pem.encode())
    except MALFORMED_X509 as exc:
        raise PolicyError(f"trust root {document.name!r}: certificate_pem is not one PEM certificate") from exc
    # Under the name of an AMD root the certificate must have the pinned key; TrustRoot compares them.
    known = _KNOWN_ROOTS.get(document.name)
    pin = known.spki_sha256 if known else None
    return TrustRoot(document.name, certificate.public_bytes(Encoding.DER), document.simulated, pin)


def _build_platform(document: _PlatformDocument) -> AllowedPlatform:
    return AllowedPlatform(
        id=_bytes_of_hex("platform id", document.id),
        operator=document.operator,
        site=document.site,
        until=document.until,
    )


def _kind(name: str) -> TeeKind:
    try:
        return parse_tee_kind(name)
    except DocumentError as exc:
        raise PolicyError(exc.message, hint=exc.hint) from exc


def _bytes_of_hex(what: str, text: str) -> bytes:
    if not re.fullmatch(r"(?:[0-9a-f]{2})+", text):
        raise PolicyError(f"{what} {text[:40]!r} is not lower-case hex digits")
    return bytes.fromhex(text)


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise msgspec.ValidationError("a member stands twice in one object")
    return members
