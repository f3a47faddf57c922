"""Client of a provisioning certificate caching service: Intel's own PCS, Intel's PCCS, or anything that speaks like it.

API: Intel SGX and TDX Provisioning Certification Service, version 4. Signed JSON is cut out of the answers byte for
byte, since its bytes are what is signed; nothing is verified here, `signatures` and the verifier do that.

    GET {base}/{sgx|tdx}/certification/v4/tcb?fmspc=…&update=standard   header (SGX-)TCB-Info-Issuer-Chain
    GET {base}/{sgx|tdx}/certification/v4/qe/identity?update=standard   header SGX-Enclave-Identity-Issuer-Chain
    GET {base}/sgx/certification/v4/pckcrl?ca=…&encoding=der            header SGX-PCK-CRL-Issuer-Chain
    GET {base}/sgx/certification/v4/rootcacrl                           a PCCS only; Intel's by the distribution point
"""

from __future__ import annotations

import json
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.collateral_service.fetching import NOT_FOUND, Answer, Fetch, fetch_found
from heartify.attestation.collateral_service.needs import DcapNeed
from heartify.attestation.evidence_limits import CHAIN_LIMIT_CERTIFICATES
from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.errors import ServiceError

T = TypeVar("T")

API_PATH = "/sgx/certification/v4"
INTEL_CERTIFICATE_HOST = "certificates.trustedservices.intel.com"
_CHAIN_LIMIT_CHARACTERS = 32 * 1024
_TCB_CHAIN = ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain")
_IDENTITY_CHAIN = ("sgx-enclave-identity-issuer-chain",)
_CRL_CHAIN = ("sgx-pck-crl-issuer-chain",)


class _TcbAnswer(msgspec.Struct):
    tcbInfo: msgspec.Raw  # noqa: N815  the name in Intel's JSON
    signature: str


class _IdentityAnswer(msgspec.Struct):
    enclaveIdentity: msgspec.Raw  # noqa: N815
    signature: str


class PccsClient:
    """Asks one service. `base_url` is what stands before `/sgx/certification/v4`, which may be written along."""

    def __init__(self, base_url: str, fetch: Fetch) -> None:
        self._base = base_url.rstrip("/").removesuffix(API_PATH)
        self._fetch = fetch

    def collateral(self, need: DcapNeed) -> str:
        """Return collateral as the text of `Evidence.collateral`: nine members of QuoteCollateralV3.

        Raises:
            ServiceError: the service is away, refuses, or its answers have another form.
        """
        crl = self._get("sgx", f"pckcrl?ca={need.ca}&encoding=der", "PCK revocation list")
        tcb = self._get(need.tee, f"tcb?fmspc={need.fmspc}&update=standard", f"TCB info of FMSPC {need.fmspc}")
        identity = self._get(need.tee, "qe/identity?update=standard", "identity of the quoting enclave")
        tcb_body = _parse(tcb, _TcbAnswer, "TCB info")
        identity_body = _parse(identity, _IdentityAnswer, "QE identity")
        crl_chain = _chain(crl, _CRL_CHAIN, "PCK revocation list")
        return json.dumps(
            {
                "pck_crl_issuer_chain": crl_chain,
                "root_ca_crl": self._root_crl(crl_chain).hex(),
                "pck_crl": _crl_der(crl.body, "PCK revocation list").hex(),
                "tcb_info_issuer_chain": _chain(tcb, _TCB_CHAIN, "TCB info"),
                "tcb_info": _text(tcb_body.tcbInfo, "TCB info"),
                "tcb_info_signature": tcb_body.signature,
                "qe_identity_issuer_chain": _chain(identity, _IDENTITY_CHAIN, "QE identity"),
                "qe_identity": _text(identity_body.enclaveIdentity, "QE identity"),
                "qe_identity_signature": identity_body.signature,
            }
        )

    def _get(self, tee: str, path: str, what: str) -> Answer:
        return fetch_found(self._fetch, f"{self._base}/{tee}/certification/v4/{path}", what)

    def _root_crl(self, crl_chain_pem: str) -> bytes:
        url = f"{self._base}{API_PATH}/rootcacrl"
        answer = self._fetch(url)
        if answer.status == NOT_FOUND:
            answer = fetch_found(self._fetch, self._distribution_point(crl_chain_pem), "root revocation list")
        elif answer.status != 200:
            raise ServiceError(f"the collateral service refused the root revocation list: status {answer.status}")
        return _crl_der(answer.body, "root revocation list")

    def _distribution_point(self, crl_chain_pem: str) -> str:
        """Return where the root says that its list lies. A service must not send us to addresses of its choice."""
        for url in _distribution_points(crl_chain_pem):
            parts = urlsplit(url)
            if parts.scheme == "https" and parts.netloc in (INTEL_CERTIFICATE_HOST, urlsplit(self._base).netloc):
                return url
        raise ServiceError("the collateral service has no root revocation list, and its root names no known place")


def _distribution_points(chain_pem: str) -> list[str]:
    try:
        root = x509.load_pem_x509_certificates(chain_pem.encode())[-1]
        points = root.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, *MALFORMED_X509):
        return []
    names = [name for point in points for name in point.full_name or ()]
    return [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]


def _parse(answer: Answer, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ServiceError(f"the collateral service's {what} is not the JSON of API version 4") from exc


def _text(signed: msgspec.Raw, what: str) -> str:
    try:
        return bytes(signed).decode()
    except UnicodeDecodeError as exc:
        raise ServiceError(f"the collateral service's {what} is not UTF-8") from exc


def _chain(answer: Answer, names: tuple[str, ...], what: str) -> str:
    encoded = next((answer.headers[name] for name in names if name in answer.headers), "")
    if not encoded or len(encoded) > _CHAIN_LIMIT_CHARACTERS:
        raise ServiceError(f"the collateral service sent no issuer chain with its {what}")
    chain = unquote(encoded)
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
    except MALFORMED_X509 as exc:
        raise ServiceError(f"the issuer chain of the collateral service's {what} is not PEM") from exc
    if len(certificates) > CHAIN_LIMIT_CERTIFICATES:
        raise ServiceError(f"the issuer chain of the collateral service's {what} is too long")
    return chain


def _crl_der(body: bytes, what: str) -> bytes:
    """Return a list as DER; services send DER, PEM or DER in hex."""
    try:
        if body.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_crl(body).public_bytes(Encoding.DER)
        der = body if body[:1] == b"\x30" else bytes.fromhex(body.decode("ascii"))
        x509.load_der_x509_crl(der)
    except MALFORMED_X509 as exc:
        raise ServiceError(f"the collateral service's {what} is no revocation list") from exc
    return der
