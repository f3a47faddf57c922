"""AMD's certificate chain: leaf (VCEK or VLEK), its issuer (ASK or ASVK), the root (ARK) that a policy pins.

X.509 libraries' path builders don't know this chain: signatures are RSA-PSS with SHA-384 and a VCEK has the serial
number 0, no key usage and no basic constraints. So each link is checked here, by `cryptography`'s primitives. Names
matter: an ASK may sign VCEKs and an ASVK VLEKs, and the name is the only thing that tells them apart.
Trusts the pinned key and the clock that is passed. It must never accept a root that no pin names.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from heartify.attestation.snp.collateral import SnpCollateral
from heartify.attestation.snp.tcb import SnpProduct
from heartify.errors import AttestationError

# AMD publication 57230, section on certificates: RSASSA-PSS, SHA-384, MGF1 with SHA-384, a salt of 48 bytes.
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
_RSA_BITS: Final = 4096
_CRITICAL_KNOWN: Final = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE})


def spki_sha256(certificate: x509.Certificate) -> bytes:
    """Return the SHA-256 of a certificate's public key, as a policy pins it."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def check_chain(collateral: SnpCollateral, root: x509.Certificate, product: SnpProduct, now: datetime) -> None:
    """Check every link from the leaf to the root, whose key the caller found pinned.

    Raises AttestationError for a wrong signature, name, key, date or constraint.
    """
    kind = _kind_of_leaf(collateral.leaf)
    expected_names = (
        (collateral.leaf, f"SEV-{kind}"),
        (collateral.issuer, f"SEV-VLEK-{product}" if kind == "VLEK" else f"SEV-{product}"),
        (root, f"ARK-{product}"),
    )
    for certificate, name in expected_names:
        _check_name(certificate, name)
        _check_dates(certificate, name, now)
        _check_extensions(certificate, name)
    for issuer, name in ((root, "root"), (collateral.issuer, "issuer")):
        _check_is_authority(issuer, name)
    for certificate, issuer in ((root, root), (collateral.issuer, root), (collateral.leaf, collateral.issuer)):
        _check_signed_by(certificate, issuer)
    leaf_key = collateral.leaf.public_key()
    if not isinstance(leaf_key, ec.EllipticCurvePublicKey) or not isinstance(leaf_key.curve, ec.SECP384R1):
        raise AttestationError("AMD's certificate of the signing key has no P-384 key")


def check_revocation(
    collateral: SnpCollateral, root: x509.Certificate, now: datetime, maximum_age_days: int | None = None
) -> int:
    """Check the root's revocation list, and that neither issuer nor leaf is on it. Return the list's number.

    `maximum_age_days` refuses an older list although it hasn't expired.

    Raises AttestationError for a list that isn't the root's own, complete and current one, and for a revoked key.
    """
    crl = collateral.crl
    if crl.issuer != root.subject or crl.signature_algorithm_oid != root.signature_algorithm_oid:
        raise AttestationError("the revocation list is not of AMD's root")
    _verify_pss(root, crl.signature, crl.tbs_certlist_bytes, "the revocation list")
    if crl.next_update_utc is None or not crl.last_update_utc <= now <= crl.next_update_utc:
        raise AttestationError("AMD's revocation list is not valid at this time", hint="fetch the current list")
    if maximum_age_days is not None and now - crl.last_update_utc > timedelta(days=maximum_age_days):
        raise AttestationError(f"AMD's revocation list is older than the {maximum_age_days} days of the policy")
    try:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound as exc:
        raise AttestationError("AMD's revocation list has no number") from exc
    if any(extension.critical for extension in crl.extensions):
        raise AttestationError("AMD's revocation list has a critical extension: it may be a part of one")
    # A list of the root names what the root signed. A leaf's serial number on it is taken as a revocation too: refusing
    # one key too many is harmless.
    for serial_number, name in zip(collateral.serial_numbers, ("signing key", "issuer"), strict=True):
        if crl.get_revoked_certificate_by_serial_number(serial_number) is not None:
            raise AttestationError(f"AMD revoked the {name} of this evidence")
    return number


def _kind_of_leaf(leaf: x509.Certificate) -> str:
    name = _common_name(leaf)
    if name not in {"SEV-VCEK", "SEV-VLEK"}:
        raise AttestationError(f"the signing key's certificate is for {name[:40]!r}, expected SEV-VCEK or SEV-VLEK")
    return name.removeprefix("SEV-")


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def _check_name(certificate: x509.Certificate, name: str) -> None:
    if _common_name(certificate) != name:
        raise AttestationError(f"AMD's chain has {_common_name(certificate)[:40]!r} where {name} is expected")


def _check_dates(certificate: x509.Certificate, name: str, now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise AttestationError(f"certificate {name} is not valid at this time")


def _check_extensions(certificate: x509.Certificate, name: str) -> None:
    if any(item.critical and item.oid not in _CRITICAL_KNOWN for item in certificate.extensions):
        raise AttestationError(f"certificate {name} has a critical extension that is unknown here")


def _check_is_authority(certificate: x509.Certificate, name: str) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as exc:
        raise AttestationError(f"the {name} of AMD's chain doesn't say that it is an authority") from exc
    if not constraints.ca or not usage.key_cert_sign:
        raise AttestationError(f"the {name} of AMD's chain may not sign certificates")


def _check_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    if certificate.issuer != issuer.subject:
        raise AttestationError(f"certificate {_common_name(certificate)[:40]} names another issuer")
    _verify_pss(issuer, certificate.signature, certificate.tbs_certificate_bytes, _common_name(certificate)[:40])


def _verify_pss(signer: x509.Certificate, signature: bytes, signed: bytes, what: str) -> None:
    key = signer.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != _RSA_BITS:
        raise AttestationError(f"{_common_name(signer)[:40]} has no RSA key of {_RSA_BITS} bits")
    try:
        key.verify(signature, signed, _PSS, hashes.SHA384())
    except InvalidSignature as exc:
        raise AttestationError(f"the signature of {what} is wrong") from exc
