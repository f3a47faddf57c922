"""What a file holds: told from its form alone, whatever its name is.

Known are evidence documents, public receipts and result bundles of Heartify, collateral and bundles of it, quotes of
SGX and TDX and reports of SEV-SNP as bytes or as hex, certificates and revocation lists as PEM or DER.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import dcap_qvl
import msgspec
from cryptography import x509

from heartify.attestation.collateral_service.offline_bundle import BundleDocument
from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.attestation.snp.report import REPORT_BYTES
from heartify.errors import AttestationError, DocumentError, InputError
from heartify.protocol.bundle import Receipt, ResultBundle
from heartify.protocol.canonical import parse_json
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.protocol.nesting import check_nesting

T = TypeVar("T")

_HEX: Final = re.compile(rb"(0x)?([0-9a-fA-F]{2}\s*)+")
_TEE_TYPES: Final = {0: TeeKind.SGX, 0x81: TeeKind.TDX}
_QUOTE_VERSIONS: Final = (3, 4, 5)
_DER_SEQUENCE: Final = b"\x30\x82"


@dataclass(frozen=True, slots=True)
class QuoteContents:
    """A quote or report alone, and the hardware kind that its form shows."""

    kind: TeeKind
    quote: bytes


@dataclass(frozen=True, slots=True)
class CertificateContents:
    """Certificates and revocation lists; `der` when it is one object in DER."""

    data: bytes
    der: bool


@dataclass(frozen=True, slots=True)
class CollateralContents:
    """The text of `Evidence.collateral`."""

    text: str


Contents: TypeAlias = (
    QuoteContents | Evidence | Receipt | ResultBundle | CollateralContents | BundleDocument | CertificateContents
)


def parse_contents(data: bytes) -> Contents:
    """Return what a file holds.

    Raises:
        InputError: nothing that is known here.
        DocumentError: a document of Heartify that is malformed.
    """
    text = data.strip()
    if text.startswith(b"{"):
        return _parse_document(text)
    if text.startswith(b"-----BEGIN"):
        return CertificateContents(text, der=False)
    if len(text) > 64 and _HEX.fullmatch(text):
        return _parse_binary(bytes.fromhex(text.decode("ascii").removeprefix("0x")))
    return _parse_binary(data)


def kind_with_simulation(contents: QuoteContents) -> TeeKind:
    """Return the TEE kind that a quote claims, simulated if its own certificates say so."""
    return _simulated_kind(contents.kind) if says_simulated(contents.quote) else contents.kind


def says_simulated(quote: bytes) -> bool:
    """Say whether the certificates in a quote call themselves simulated; not proof of anything."""
    try:
        chain = dcap_qvl.Quote.parse(quote).cert_chain_pem_bytes()
    except ValueError:
        return False
    return any("simulated" in name.lower() for name in _names_in(chain or b""))


def report_data_of(kind: TeeKind, quote: bytes) -> bytes:
    """Return the 64 bytes of report data that a quote or report carries. Raises AttestationError when truncated."""
    start = 0x50 if kind is TeeKind.SEV_SNP else 48 + (320 if kind & (TeeKind.SGX | TeeKind.SIMULATED_SGX) else 520)
    found = quote[start : start + 64]
    if len(found) != 64:
        raise AttestationError("the quote is too short to carry report data")
    return found


def _parse_document(text: bytes) -> Contents:
    try:
        check_nesting(text, "the file")
        members = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("the file begins like JSON, and is none") from exc
    if "quote_hex" in members:
        return parse_json(text, Evidence)
    if members.get("format") == "heartify.receipt/1":
        return _parse_large(text, Receipt)
    if members.get("format") == "heartify.bundle/1":
        return _parse_large(text, ResultBundle)
    if members.get("format") == "heartify.collateral-bundle/1":
        return _parse_large(text, BundleDocument)
    if "tcb_info" in members or set(members) == {"certificates", "crl"}:
        return CollateralContents(text.decode())
    raise InputError(
        "the file is a JSON document of another kind",
        hint="evidence, a receipt, a result bundle, collateral or a collateral bundle can be inspected",
    )


def _parse_large(text: bytes, kind: type[T]) -> T:
    """Parse a document that may be larger than those of the protocol, such as a bundle with a sealed result in it."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as exc:
        raise DocumentError(f"the {kind.__name__} is malformed: {exc}") from exc


def _simulated_kind(kind: TeeKind) -> TeeKind:
    return {TeeKind.SGX: TeeKind.SIMULATED_SGX, TeeKind.TDX: TeeKind.SIMULATED_TDX}.get(kind, kind)


def _names_in(chain_pem: bytes) -> list[str]:
    try:
        certificates = x509.load_pem_x509_certificates(chain_pem.rstrip(b"\0"))
    except MALFORMED_X509:
        return []
    return [certificate.issuer.rfc4514_string() for certificate in certificates]


def _parse_binary(data: bytes) -> Contents:
    version, tee_type = int.from_bytes(data[:2], "little"), int.from_bytes(data[4:8], "little")
    if len(data) > 436 and version in _QUOTE_VERSIONS and tee_type in _TEE_TYPES and data[2:4] in (b"\2\0", b"\3\0"):
        return QuoteContents(_TEE_TYPES[tee_type], data)
    if len(data) == REPORT_BYTES:
        return QuoteContents(TeeKind.SEV_SNP, data)
    if data.startswith(_DER_SEQUENCE):
        return CertificateContents(data, der=True)
    raise InputError(
        f"the file's {len(data)} bytes are nothing that is known here",
        hint="a quote of SGX or TDX, a report of SEV-SNP, evidence, a receipt, collateral or certificates",
    )
