"""Facts of certificates and revocation lists."""

from __future__ import annotations

import datetime as dt
import hashlib
import warnings

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from heartify.attestation.inspection.facts import Section
from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.attestation.snp.leaf import parse_leaf
from heartify.errors import AttestationError, InputError


def certificate_sections(pem: bytes) -> tuple[Section, ...]:
    """Return a section for each certificate of a PEM text. Raises InputError when one can't be read."""
    try:
        with _serial_number_zero_allowed():
            certificates = x509.load_pem_x509_certificates(pem)
    except MALFORMED_X509 as exc:
        raise InputError("there is a certificate that can't be read") from exc
    return tuple(
        certificate_section(f"certificate {number}", item) for number, item in enumerate(certificates, start=1)
    )


def der_section(der: bytes) -> Section:
    """Return the facts of a certificate or a revocation list in DER. Raises InputError for anything else."""
    try:
        with _serial_number_zero_allowed():
            return certificate_section("certificate", x509.load_der_x509_certificate(der))
    except MALFORMED_X509:
        pass
    try:
        return crl_section("revocation list", x509.load_der_x509_crl(der))
    except MALFORMED_X509 as exc:
        raise InputError("the file is neither a certificate nor a revocation list") from exc


def crl_section(title: str, crl: x509.CertificateRevocationList) -> Section:
    """Return the facts of a revocation list."""
    try:
        number = str(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
    except x509.ExtensionNotFound:
        number = "none"
    end = crl.next_update_utc
    facts = (
        ("issuer", crl.issuer.rfc4514_string()),
        ("number", number),
        ("issued", moment(crl.last_update_utc)),
        ("next update", "not said" if end is None else moment(end)),
        ("revoked certificates", str(len(crl))),
    )
    return Section(title, facts)


def moment(time: dt.datetime) -> str:
    """Return a time as text, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


def certificate_section(title: str, certificate: x509.Certificate) -> Section:
    """Return the facts of a certificate."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    facts = (
        ("subject", certificate.subject.rfc4514_string()),
        ("issuer", certificate.issuer.rfc4514_string()),
        ("valid from", moment(certificate.not_valid_before_utc)),
        ("valid until", moment(certificate.not_valid_after_utc)),
        ("public key (SHA-256)", hashlib.sha256(spki).hexdigest()),
        *_amd_facts(certificate),
    )
    return Section(title, facts)


def _amd_facts(certificate: x509.Certificate) -> tuple[tuple[str, str], ...]:
    """Return what a VCEK or VLEK says of chip and firmware; nothing for other certificates."""
    try:
        leaf = parse_leaf(certificate)
    except (AttestationError, *MALFORMED_X509):
        return ()
    whose = ("chip id", leaf.hardware_id.hex()) if leaf.hardware_id else ("cloud provider", leaf.provider or "")
    return (("product", leaf.product_name), ("TCB", str(leaf.tcb)), whose)


def _serial_number_zero_allowed() -> warnings.catch_warnings[None]:
    # AMD's VCEKs have the serial number 0, of which `cryptography` warns. The filter is the process's: this is for
    # commands, which have one thread.
    return warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning)
