"""Collateral's own signatures, checked before it is kept.

The verifier checks them again, with dates and revocations and together with a quote. This check is for the cache: what
nobody signed must not push out what somebody did, nor set numbers that genuine collateral then can't reach. A root
counts if the digest of its public key (SHA-256 of the SubjectPublicKeyInfo) is among those that the policy lists.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.roots import TrustRoot
from heartify.attestation.snp.collateral import parse_snp_collateral
from heartify.errors import AttestationError

# Of "Intel SGX Root CA", whose certificate is inside dcap-qvl and can't be read from there.
INTEL_ROOT_KEY_DIGEST: Final = bytes.fromhex("a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e")


class _Document(msgspec.Struct, frozen=True):
    pck_crl_issuer_chain: str
    root_ca_crl: str
    pck_crl: str
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: str
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: str


def root_key_digest(root: x509.Certificate) -> bytes:
    """Return the SHA-256 of a certificate's public key, which names a root whatever its certificate's dates are."""
    spki = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def root_keys_of(policy: VerifierPolicy) -> frozenset[bytes]:
    """Return the key digests of a policy's roots."""
    return frozenset(_key_of(root) for root in policy.roots)


def check_snp_signatures(text: str, root_keys: frozenset[bytes] | None) -> bytes:
    """Check AMD's certificates and revocation list up to the root that was sent, and return its key digest.

    Raises AttestationError, also when no root was sent.
    """
    collateral = parse_snp_collateral(text)
    root = collateral.root
    if root is None:
        raise AttestationError("collateral of SEV-SNP holds no AMD root key")
    digest = root_key_digest(root)
    if root_keys is not None and digest not in root_keys:
        raise AttestationError("the collateral is signed under a root that the policy doesn't list")
    try:
        _check_chain([collateral.leaf, collateral.issuer, root])
    except (InvalidSignature, TypeError, *MALFORMED_X509) as exc:
        raise AttestationError("a certificate of the collateral is not signed by the one above it") from exc
    key = root.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or not collateral.crl.is_signature_valid(key):
        raise AttestationError("the revocation list is not signed by AMD's root")
    return digest


def check_dcap_signatures(text: str, root_keys: frozenset[bytes] | None) -> bytes:
    """Check every signature of SGX or TDX collateral up to its one root, and return that root's key digest.

    `root_keys` are the roots that count; None lets any root count, for those who only carry collateral.
    Raises AttestationError.
    """
    try:
        document = msgspec.json.decode(text, type=_Document)
        crl_chain = _chain(document.pck_crl_issuer_chain)
        tcb_chain, identity_chain = _chain(document.tcb_info_issuer_chain), _chain(document.qe_identity_issuer_chain)
        root = crl_chain[-1]
        digest = root_key_digest(root)
        if {root_key_digest(chain[-1]) for chain in (crl_chain, tcb_chain, identity_chain)} != {digest}:
            raise AttestationError("the collateral's parts end at different roots")
        if root_keys is not None and digest not in root_keys:
            raise AttestationError("the collateral is signed under a root that the policy doesn't list")
        for chain in (crl_chain, tcb_chain, identity_chain):
            _check_chain(chain)
        _check_crl("root revocation list", document.root_ca_crl, root)
        _check_crl("PCK revocation list", document.pck_crl, crl_chain[0])
        _check_text("TCB info", document.tcb_info, document.tcb_info_signature, tcb_chain[0])
        _check_text("QE identity", document.qe_identity, document.qe_identity_signature, identity_chain[0])
    except InvalidSignature as exc:
        raise AttestationError("a certificate of the collateral is not signed by the one above it") from exc
    except (msgspec.MsgspecError, TypeError, RecursionError, *MALFORMED_X509) as exc:
        raise AttestationError("the collateral's certificates and signatures can't be decoded") from exc
    return digest


def _key_of(root: TrustRoot) -> bytes:
    if root.spki_sha256 is not None:
        return root.spki_sha256
    return INTEL_ROOT_KEY_DIGEST if root.der is None else root_key_digest(x509.load_der_x509_certificate(root.der))


def _chain(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def _check_chain(chain: list[x509.Certificate]) -> None:
    for certificate, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        certificate.verify_directly_issued_by(issuer)


def _check_crl(name: str, crl_hex: str, issuer: x509.Certificate) -> None:
    crl, key = x509.load_der_x509_crl(bytes.fromhex(crl_hex)), issuer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not crl.is_signature_valid(key):
        raise AttestationError(f"the {name} is not signed by its issuer")


def _check_text(name: str, text: str, signature_hex: str, signer: x509.Certificate) -> None:
    raw, key = bytes.fromhex(signature_hex), signer.public_key()
    if len(raw) != 64 or not isinstance(key, ec.EllipticCurvePublicKey):
        raise AttestationError(f"the {name} has no ECDSA signature of 64 bytes")
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        key.verify(signature, text.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as exc:
        raise AttestationError(f"the {name} is not signed by its issuer") from exc
