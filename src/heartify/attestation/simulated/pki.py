"""Certificates, keys and revocation lists of the simulated DCAP root.

Root -> {PCK Platform CA -> PCK leaf, TCB signing}, as Intel's hierarchy, every name saying "Simulated ... not Intel".
webpki, inside dcap-qvl, wants subject and authority key identifiers everywhere, version 2 revocation lists with
a number, and "Platform" in the issuer of the PCK. These keys must never be listed as trusted by a production policy.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from heartify.attestation.simulated.pck_extension import (
    SGX_EXTENSION_OID,
    SimulatedPlatformIdentity,
    encode_pck_extension,
)

ROOT_NAME = "Simulated SGX Root CA"
PCK_CA_NAME = "Simulated SGX PCK Platform CA"
PCK_NAME = "Simulated SGX PCK Certificate"
TCB_SIGNER_NAME = "Simulated SGX TCB Signing"
_CERTIFICATE_YEARS = 10
_BACKDATED = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, repr=False)
class SimulatedKeys:
    """The five P-256 private keys of a simulated platform; not shown by repr."""

    root: ec.EllipticCurvePrivateKey
    pck_ca: ec.EllipticCurvePrivateKey
    tcb_signer: ec.EllipticCurvePrivateKey
    pck: ec.EllipticCurvePrivateKey
    attestation: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class SimulatedCertificates:
    """The four certificates; the attestation key has none, the quoting enclave's report vouches for it."""

    root: x509.Certificate
    pck_ca: x509.Certificate
    tcb_signer: x509.Certificate
    pck: x509.Certificate


def build_keys() -> SimulatedKeys:
    """Make five fresh keys."""
    return SimulatedKeys(*(ec.generate_private_key(ec.SECP256R1()) for _ in range(5)))


def build_certificates(
    keys: SimulatedKeys, identity: SimulatedPlatformIdentity, now_utc_seconds: int
) -> SimulatedCertificates:
    """Issue the certificates, good from a day before `now_utc_seconds` for ten years."""
    not_before = utc_datetime(now_utc_seconds) - _BACKDATED
    sgx_extension = encode_pck_extension(identity)
    return SimulatedCertificates(
        root=_issue(ROOT_NAME, keys.root, ROOT_NAME, keys.root, not_before, path_length=1),
        pck_ca=_issue(PCK_CA_NAME, keys.pck_ca, ROOT_NAME, keys.root, not_before, path_length=0),
        tcb_signer=_issue(TCB_SIGNER_NAME, keys.tcb_signer, ROOT_NAME, keys.root, not_before),
        pck=_issue(PCK_NAME, keys.pck, PCK_CA_NAME, keys.pck_ca, not_before, sgx_extension=sgx_extension),
    )


def build_crl_der(
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    revoked_serials: Iterable[int] = (),
    number: int,
    issued_utc_seconds: int,
    next_update_utc_seconds: int,
) -> bytes:
    """Issue a version 2 revocation list with its number, as DER."""
    issued = utc_datetime(issued_utc_seconds)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(issued)
        .next_update(utc_datetime(next_update_utc_seconds))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    for serial in revoked_serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(issued).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.DER)


def encode_chain_pem(*certificates: x509.Certificate) -> str:
    """Encode a chain, leaf first."""
    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in certificates)


def utc_datetime(utc_seconds: int) -> dt.datetime:
    """Return a time as X.509 and Intel's JSON want it."""
    return dt.datetime.fromtimestamp(utc_seconds, tz=dt.UTC)


def _issue(
    subject: str,
    subject_key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    not_before: dt.datetime,
    *,
    path_length: int | None = None,
    sgx_extension: bytes | None = None,
) -> x509.Certificate:
    is_ca = path_length is not None
    issuer_public_key = issuer_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_distinguished_name(subject))
        .issuer_name(_distinguished_name(issuer))
        .public_key(subject_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_before + dt.timedelta(days=365 * _CERTIFICATE_YEARS))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(_key_usage(is_ca=is_ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public_key), critical=False)
    )
    if sgx_extension is not None:
        value = x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION_OID), sgx_extension)
        builder = builder.add_extension(value, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _distinguished_name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Simulated by Heartify, not Intel"),
        ]
    )


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
