"""SGX quotes of version 3 as a simulated quoting enclave signs them.

Layout: Intel SGX ECDSA QuoteLibReference, appendix A.4. The simulated quoting enclave is this module: it runs on the
host, next to the launcher, and signs whatever measurement the launcher states. It must never sign for Intel's root.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from heartify.attestation.dcap.quote_sections import ECDSA_P256
from heartify.attestation.dcap.sgx_quote import BODY_BYTES, QUOTE_VERSION, TEE_TYPE_SGX
from heartify.attestation.dcap.sgx_report_check import FLAG_INIT, FLAG_MODE64BIT, FLAG_PROVISION_KEY
from heartify.attestation.isolation import SGX_CONFIG_ID_BYTES, Isolation, encode_isolation
from heartify.attestation.simulated.pck_extension import SimulatedPlatformIdentity
from heartify.attestation.simulated.pki import SimulatedCertificates, SimulatedKeys, encode_chain_pem
from heartify.errors import EnclaveError

# dcap-qvl demands the vendor id of Intel's quoting enclave; that the vendor is not Intel is in every certificate.
QE_VENDOR_ID: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
QE_MR_SIGNER: Final = hashlib.sha256(b"simulated quoting enclave signer, not Intel").digest()
QE_MR_ENCLAVE: Final = hashlib.sha256(b"simulated quoting enclave, not Intel").digest()
QE_ISV_PROD_ID: Final = 1
TD_QE_ISV_PROD_ID: Final = 2
QE_ISV_SVN: Final = 8
_QE_AUTHENTICATION_DATA: Final = bytes(range(32))
_PCK_CHAIN_PEM: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedReport:
    """An SGX report body to be quoted; the defaults are a production enclave's. Sizes are those of the fields."""

    mr_enclave: bytes
    report_data: bytes
    cpu_svn: bytes
    mr_signer: bytes = hashlib.sha256(b"simulated enclave signer, not Intel").digest()
    isv_prod_id: int = 1
    isv_svn: int = 1
    flags: int = FLAG_INIT | FLAG_MODE64BIT
    xfrm: int = 0xE7
    config_id: bytes = encode_isolation(Isolation.NONE, SGX_CONFIG_ID_BYTES)

    def encode(self) -> bytes:
        """Encode the 384 bytes. Raises EnclaveError when a member has the wrong size."""
        body = b"".join(
            (
                self.cpu_svn,
                bytes(32),
                struct.pack("<QQ", self.flags, self.xfrm),
                self.mr_enclave,
                bytes(32),
                self.mr_signer,
                bytes(32),
                self.config_id,
                struct.pack("<HH", self.isv_prod_id, self.isv_svn),
                bytes(60),
                self.report_data,
            )
        )
        sizes = tuple(map(len, (self.cpu_svn, self.mr_enclave, self.mr_signer, self.config_id, self.report_data)))
        if sizes != (16, 32, 32, 64, 64) or len(body) != BODY_BYTES:
            raise EnclaveError("quote: a member of the report has the wrong size")
        return body


def build_quote(
    body: bytes,
    keys: SimulatedKeys,
    certificates: SimulatedCertificates,
    identity: SimulatedPlatformIdentity,
) -> bytes:
    """Sign an SGX report body into a quote with its PCK certificate chain."""
    signed = _encode_header(identity) + body
    attestation_public_key = encode_public_key(keys.attestation)
    certification = build_qe_certification(attestation_public_key, keys, certificates, identity, QE_ISV_PROD_ID)
    signature_data = sign_raw(keys.attestation, signed) + attestation_public_key + certification
    return signed + struct.pack("<I", len(signature_data)) + signature_data


def build_qe_certification(
    attestation_public_key: bytes,
    keys: SimulatedKeys,
    certificates: SimulatedCertificates,
    identity: SimulatedPlatformIdentity,
    product_id: int,
) -> bytes:
    """Build what vouches for an attestation key: the quoting enclave's report, its signature, and the PCK chain.

    `product_id` is QE_ISV_PROD_ID of the quoting enclave for SGX, TD_QE_ISV_PROD_ID of the one for TDX.
    """
    qe_report = _build_qe_report(attestation_public_key, identity, product_id)
    chain = encode_chain_pem(certificates.pck, certificates.pck_ca, certificates.root).encode()
    return b"".join(
        (
            qe_report,
            sign_raw(keys.pck, qe_report),
            struct.pack("<H", len(_QE_AUTHENTICATION_DATA)),
            _QE_AUTHENTICATION_DATA,
            struct.pack("<HI", _PCK_CHAIN_PEM, len(chain)),
            chain,
        )
    )


def sign_raw(private_key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Sign by ECDSA P-256 with SHA-256; 64 bytes, r then s, big endian."""
    r, s = decode_dss_signature(private_key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _encode_header(identity: SimulatedPlatformIdentity) -> bytes:
    fixed = struct.pack("<HHIHH", QUOTE_VERSION, ECDSA_P256, TEE_TYPE_SGX, QE_ISV_SVN, identity.pce_svn)
    return fixed + QE_VENDOR_ID + bytes(20)


def _build_qe_report(attestation_public_key: bytes, identity: SimulatedPlatformIdentity, product_id: int) -> bytes:
    binding = hashlib.sha256(attestation_public_key + _QE_AUTHENTICATION_DATA).digest()
    return SimulatedReport(
        mr_enclave=QE_MR_ENCLAVE,
        mr_signer=QE_MR_SIGNER,
        isv_prod_id=product_id,
        isv_svn=QE_ISV_SVN,
        flags=FLAG_INIT | FLAG_PROVISION_KEY | FLAG_MODE64BIT,
        cpu_svn=identity.cpu_svn,
        config_id=bytes(SGX_CONFIG_ID_BYTES),
        report_data=binding + bytes(32),
    ).encode()


def encode_public_key(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    """Encode the public half: 64 bytes, x then y, big endian."""
    numbers = private_key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
