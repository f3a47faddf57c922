"""Which collateral evidence needs, as far as its quote or report says.

The quote is unverified when it is read here: what it names only decides what is asked for, and a lie gets collateral
that the verifier then finds not to fit. Nothing here may be used as a fact about the platform.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

import dcap_qvl
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from heartify.attestation.evidence_limits import check_pem_count, parse_quote_hex
from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.attestation.snp.collateral import parse_snp_collateral
from heartify.attestation.snp.report import CHIP_ID_BYTES, SIGNED_BY_VLEK, SnpReport, parse_snp_report
from heartify.attestation.snp.tcb import SnpProduct, SnpTcb, parse_product, parse_tcb, product_of_processor
from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence, TeeKind, parse_tee_kind

DcapTee: TypeAlias = Literal["sgx", "tdx"]
PckCa: TypeAlias = Literal["processor", "platform"]

_FMSPC = re.compile(r"[0-9A-F]{12}")
_SGX_KINDS = TeeKind.SGX | TeeKind.SIMULATED_SGX


@dataclass(frozen=True, slots=True)
class DcapNeed:
    """Collateral of an SGX or TDX platform family. `fmspc` is 12 upper-case hex digits, as Intel's service wants it."""

    tee: DcapTee
    fmspc: str
    ca: PckCa

    def __post_init__(self) -> None:
        if not _FMSPC.fullmatch(self.fmspc):
            raise AttestationError("an FMSPC is 12 upper-case hex digits", hint="such as 00A067110000")

    @property
    def name(self) -> str:
        """Return the name under which it is cached, such as `tdx/B0C06F000000/platform`."""
        return f"{self.tee}/{self.fmspc}/{self.ca}"


@dataclass(frozen=True, slots=True)
class SnpNeed:
    """Certificates and revocation list of one AMD chip at one TCB, or of a cloud's VLEK.

    `chip_id` are 64 bytes. `vlek_der` is the VLEK certificate that the host sent, since AMD hands those out to the
    cloud's operator only; it is empty for a VCEK, which is asked for by the chip's id.
    """

    product: SnpProduct
    chip_id: bytes
    tcb: SnpTcb
    vlek_der: bytes = b""

    @property
    def signer(self) -> Literal["vcek", "vlek"]:
        """Return which of the two endorsement keys signs the report."""
        return "vlek" if self.vlek_der else "vcek"

    @property
    def name(self) -> str:
        """Return the name under which it is cached."""
        subject = hashlib.sha256(self.vlek_der).hexdigest() if self.vlek_der else self.chip_id.hex()
        levels = "-".join(f"{version}" for version in self.tcb.versions().values())
        return f"sev-snp/{self.product}/{self.signer}/{subject}/{levels}"


CollateralNeed: TypeAlias = DcapNeed | SnpNeed


def need_of(evidence: Evidence, snp_product: SnpProduct | None = None) -> CollateralNeed:
    """Return what evidence needs. `snp_product` is for reports of version 2, which don't say which chip they are of.

    Raises:
        AttestationError: the quote or report can't be read, or doesn't say it.
    """
    kind = parse_tee_kind(evidence.tee_kind)
    quote = parse_quote_hex(evidence.quote_hex)
    if kind is TeeKind.SEV_SNP:
        return snp_need(quote, evidence.collateral, snp_product)
    return dcap_need(quote, "sgx" if kind & _SGX_KINDS else "tdx")


def dcap_need(quote: bytes, tee: DcapTee | None = None) -> DcapNeed:
    """Return what an SGX or TDX quote needs; `tee` is what the evidence claims to be, if it claims anything.

    Raises:
        AttestationError: it can't be read, is of another TEE, or carries no PCK certificate.
    """
    try:
        parsed = dcap_qvl.Quote.parse(quote)
        found: DcapTee = "tdx" if parsed.is_tdx() else "sgx"
        fmspc, ca = str(parsed.fmspc()).upper(), str(parsed.ca())
    except ValueError as exc:
        raise AttestationError("the quote does not say which collateral it needs") from exc
    if tee is not None and tee != found:
        raise AttestationError(f"the evidence claims to be of {tee}, its quote is of {found}")
    if ca == "processor":
        return DcapNeed(found, fmspc, "processor")
    if ca == "platform":
        return DcapNeed(found, fmspc, "platform")
    raise AttestationError("the quote's PCK certificate names neither the processor nor the platform CA")


def snp_need(report: bytes, host_collateral: str = "", product: SnpProduct | None = None) -> SnpNeed:
    """Return what an SEV-SNP report needs.

    Raises:
        AttestationError: it can't be read, its chip is unknown, or a VLEK's certificate isn't in the host's collateral.
    """
    parsed = parse_snp_report(report)
    found = _product_of(parsed, host_collateral, product)
    tcb = parse_tcb(parsed.reported_tcb, found)
    if parsed.signing_key == SIGNED_BY_VLEK:
        return SnpNeed(found, bytes(CHIP_ID_BYTES), tcb, _vlek_der(host_collateral))
    if not any(parsed.chip_id):
        raise AttestationError("the report hides its chip id, so its certificate can't be asked for")
    return SnpNeed(found, parsed.chip_id, tcb)


def _product_of(report: SnpReport, host_collateral: str, product: SnpProduct | None) -> SnpProduct:
    if report.processor is not None:
        return product_of_processor(*report.processor[:2])
    if product is not None:
        return product
    if not host_collateral:
        raise AttestationError(
            "a report of version 2 does not say which AMD product it is of",
            hint=f"set snp_product to one of {', '.join(SnpProduct)}",
        )
    # SEV-Milan, or SEV-VLEK-Milan: only a hint of whom to ask, as all of the evidence is here.
    _, issuer = _host_certificates(host_collateral)
    names = issuer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return parse_product(str(names[0].value).removeprefix("SEV-").removeprefix("VLEK-") if names else "")


def _vlek_der(host_collateral: str) -> bytes:
    if not host_collateral:
        raise AttestationError(
            "the report is signed by a VLEK, whose certificate the host did not send",
            hint="AMD gives VLEK certificates to the cloud's operator only: the pool must send it along",
        )
    leaf, _ = _host_certificates(host_collateral)
    return leaf.public_bytes(Encoding.DER)


def _host_certificates(host_collateral: str) -> tuple[x509.Certificate, x509.Certificate]:
    """Return leaf and issuer that a host sent: as collateral, or as the bare PEM of its machine's own table."""
    if not host_collateral.startswith("-----BEGIN"):
        parsed = parse_snp_collateral(host_collateral)
        return parsed.leaf, parsed.issuer
    check_pem_count("the host's certificates", host_collateral)
    try:
        leaf, issuer, *_ = x509.load_pem_x509_certificates(host_collateral.encode())
    except MALFORMED_X509 as exc:
        raise AttestationError("the host's certificates are not a leaf and its issuer as PEM") from exc
    return leaf, issuer
