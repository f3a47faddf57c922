"""The collateral of SEV-SNP evidence: AMD's certificates and revocation list, as one JSON text.

    {"certificates": "<PEM of the leaf (VCEK or VLEK), of its issuer (ASK or ASVK), and of AMD's root (ARK)>",
     "crl": "<hex of the root's revocation list, DER>"}

The root is there for its public key only, and counts when a policy pins that key by its digest; it may be left out when
the policy holds the certificate itself. So whoever sends collateral can leave something out, never add: all of it is
signed below the pinned key.
"""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from heartify.attestation.evidence_limits import check_json_text, check_pem_count
from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.errors import AttestationError

_CRL_LIMIT_BYTES: Final = 64 * 1024
_FILTER_LOCK: Final = threading.Lock()


class _CollateralDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    certificates: str
    crl: str


@dataclass(frozen=True, slots=True)
class SnpCollateral:
    """Parsed and not yet believed. `leaf` is a VCEK or VLEK, `issuer` an ASK or ASVK, `root` an ARK if sent.

    `serial_numbers` are those of leaf and issuer; the library warns about AMD's each time that they are asked for.
    """

    leaf: x509.Certificate
    issuer: x509.Certificate
    root: x509.Certificate | None
    crl: x509.CertificateRevocationList
    serial_numbers: tuple[int, int]


def parse_snp_collateral(text: str) -> SnpCollateral:
    """Parse `Evidence.collateral` of SEV-SNP. Raises AttestationError when it is too large or has another form."""
    check_json_text("SEV-SNP collateral", text)
    try:
        document = msgspec.json.decode(text, type=_CollateralDocument)
    except msgspec.MsgspecError as exc:
        raise AttestationError("SEV-SNP collateral is not a document with certificates and crl") from exc
    check_pem_count("SEV-SNP collateral", document.certificates)
    if len(document.crl) > 2 * _CRL_LIMIT_BYTES:
        raise AttestationError(f"AMD's revocation list is longer than {_CRL_LIMIT_BYTES} bytes")
    certificates = _load_certificates(document.certificates)
    if len(certificates) not in {2, 3}:
        raise AttestationError(
            f"SEV-SNP collateral has {len(certificates)} certificates, expected leaf, issuer and root"
        )
    leaf, issuer, *root = certificates
    with _allowing_serial_number_zero():
        serial_numbers = (leaf.serial_number, issuer.serial_number)
    return SnpCollateral(leaf, issuer, root[0] if root else None, _load_crl(document.crl), serial_numbers)


def encode_snp_collateral(leaf_der: bytes, issuer_der: bytes, root_der: bytes, crl_der: bytes) -> str:
    """Return the JSON text of a chain and its root's revocation list, all DER.

    Raises AttestationError when one of them isn't DER of its kind.
    """
    try:
        certificates = [_load_der(der) for der in (leaf_der, issuer_der, root_der)]
        x509.load_der_x509_crl(crl_der)
    except MALFORMED_X509 as exc:
        raise AttestationError("AMD's certificates and revocation list must be DER") from exc
    pem = "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)
    return json.dumps({"certificates": pem, "crl": crl_der.hex()})


def _load_certificates(pem: str) -> list[x509.Certificate]:
    try:
        with _allowing_serial_number_zero():
            certificates = x509.load_pem_x509_certificates(pem.encode("ascii"))
            for certificate in certificates:
                _read_all_of(certificate)
    except MALFORMED_X509 as exc:
        raise AttestationError("SEV-SNP collateral holds something that is no certificate") from exc
    return certificates


def _read_all_of(certificate: x509.Certificate) -> None:
    # The library reads most parts when they are asked for, and raises ValueError then: here, rather than later.
    _ = (certificate.public_key(), certificate.subject, certificate.issuer, certificate.serial_number)
    _ = (certificate.extensions, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _load_der(der: bytes) -> x509.Certificate:
    with _allowing_serial_number_zero():
        return x509.load_der_x509_certificate(der)


def _load_crl(crl_hex: str) -> x509.CertificateRevocationList:
    try:
        crl = x509.load_der_x509_crl(bytes.fromhex(crl_hex))
        _ = (crl.issuer, crl.extensions, crl.last_update_utc, crl.next_update_utc, len(crl))
    except MALFORMED_X509 as exc:
        raise AttestationError("SEV-SNP collateral has no revocation list in DER") from exc
    return crl


@contextlib.contextmanager
def _allowing_serial_number_zero() -> Iterator[None]:
    # AMD gives every VCEK the serial number 0, against RFC 5280; `cryptography` warns that it won't read such one day.
    # The filter is the whole process's, hence the lock.
    with _FILTER_LOCK, warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning):
        yield
