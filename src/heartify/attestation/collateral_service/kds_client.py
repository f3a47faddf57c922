"""Client of AMD's key distribution service, or of a cache that speaks like it.

API: AMD "Versioned Chip Endorsement Key Certificate and KDS Interface Specification" (57230), chapter 4.

    GET {base}/vcek/v1/{product}/{chip id}?blSPL=…&teeSPL=…&snpSPL=…&ucodeSPL=…   DER
    GET {base}/{vcek|vlek}/v1/{product}/cert_chain                                PEM: ASK or ASVK, then ARK
    GET {base}/{vcek|vlek}/v1/{product}/crl                                       DER

A VLEK certificate is given to the cloud's operator only, so it comes from the host. The ARK goes along for its public
key, which a policy pins.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.collateral_service.fetching import Fetch, fetch_found
from heartify.attestation.collateral_service.needs import SnpNeed
from heartify.attestation.evidence_limits import CHAIN_LIMIT_CERTIFICATES
from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.attestation.snp.collateral import encode_snp_collateral
from heartify.attestation.snp.tcb import SnpTcb
from heartify.errors import AttestationError, ServiceError

_PARAMETERS: Final = (
    ("fmc", "fmcSPL"),
    ("boot_loader", "blSPL"),
    ("tee", "teeSPL"),
    ("snp", "snpSPL"),
    ("microcode", "ucodeSPL"),
)


class KdsClient:
    """Asks one service; `base_url` is what stands before `/vcek/v1`."""

    def __init__(self, base_url: str, fetch: Fetch) -> None:
        self._base = base_url.rstrip("/").removesuffix("/vcek/v1")
        self._fetch = fetch

    def collateral(self, need: SnpNeed) -> str:
        """Return collateral as the text of `Evidence.collateral`: leaf, issuer, root and revocation list.

        Raises:
            ServiceError: the service is away, refuses, or its answers have another form.
        """
        path = f"{self._base}/{need.signer}/v1/{need.product}"
        leaf = need.vlek_der or self._vcek(path, need)
        issuer, root = self._chain(f"{path}/cert_chain", need)
        crl = fetch_found(self._fetch, f"{path}/crl", f"revocation list of {need.product}").body
        try:
            return encode_snp_collateral(leaf, issuer, root, crl)
        except AttestationError as exc:
            raise ServiceError(f"AMD's service: {exc.message}") from exc

    def _chain(self, url: str, need: SnpNeed) -> tuple[bytes, bytes]:
        body = fetch_found(self._fetch, url, f"certificate chain of {need.product}").body
        try:
            count = body.count(b"-----BEGIN")
            chain = x509.load_pem_x509_certificates(body) if count <= CHAIN_LIMIT_CERTIFICATES else []
        except MALFORMED_X509 as exc:
            raise ServiceError("AMD's service sent a certificate chain that is not PEM") from exc
        if len(chain) != 2:
            raise ServiceError(f"AMD's service sent a chain of {count} certificates, expected 2")
        return chain[0].public_bytes(Encoding.DER), chain[1].public_bytes(Encoding.DER)

    def _vcek(self, path: str, need: SnpNeed) -> bytes:
        chip_id = need.chip_id[: need.product.hardware_id_bytes]
        url = f"{path}/{chip_id.hex()}?{_query(need.tcb)}"
        return fetch_found(self._fetch, url, "VCEK certificate of this chip and TCB").body


def _query(tcb: SnpTcb) -> str:
    versions = tcb.versions()
    return "&".join(f"{parameter}={versions[name]}" for name, parameter in _PARAMETERS if name in versions)
