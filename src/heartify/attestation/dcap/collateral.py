"""Collateral of a DCAP quote: certificate chains, revocation lists, TCB info and QE identity.

Trusts nothing: dcap-qvl checks the signatures and dates, and this module what that library leaves open: who signed, and
for which PCE. It must never repair or re-encode the signed JSON texts, whose bytes are what the signatures cover.
Format: Intel PCS API v4; the JSON member names are those of QuoteCollateralV3.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import dcap_qvl
import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from heartify.attestation.evidence_limits import check_json_text, check_pem_count
from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.errors import AttestationError

TCB_SIGNER_COMMON_NAME_END = "SGX TCB Signing"
_SECONDS_A_DAY = 86400
_Instant = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class _CollateralDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pck_crl_issuer_chain: str
    root_ca_crl: str
    pck_crl: str
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: str
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: str


class _TcbInfoHead(msgspec.Struct, frozen=True):
    id: str
    fmspc: str
    pceId: str  # noqa: N815  the name in Intel's JSON
    issueDate: _Instant  # noqa: N815


class _QeIdentityHead(msgspec.Struct, frozen=True):
    id: str
    issueDate: _Instant  # noqa: N815


@dataclass(frozen=True, slots=True)
class Collateral:
    """Parsed collateral. `library_value` goes to dcap-qvl; the rest is for the checks that it leaves to us.

    `tcb_info_id` is SGX or TDX, `qe_identity_id` QE or TD_QE. `issued_utc_seconds`: when each of the statements was
    issued that Intel renews about every thirty days, by name.
    """

    library_value: dcap_qvl.QuoteCollateralV3
    tcb_info_issuer_chain_pem: str
    qe_identity_issuer_chain_pem: str
    tcb_info_id: str
    qe_identity_id: str
    fmspc: bytes
    pce_id: bytes
    issued_utc_seconds: Mapping[str, int]


def parse_collateral(text: str) -> Collateral:
    """Parse the collateral of an evidence document.

    Raises AttestationError for anything too large, unknown, missing or undecodable.
    """
    check_json_text("collateral", text)
    try:
        document = msgspec.json.decode(text, type=_CollateralDocument)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise AttestationError("collateral is not the expected JSON document") from exc
    for name in ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"):
        check_pem_count(f"collateral {name}", getattr(document, name))
    for name in ("tcb_info", "qe_identity"):
        check_json_text(f"collateral {name}", getattr(document, name))
    try:
        head = msgspec.json.decode(document.tcb_info, type=_TcbInfoHead)
        qe_head = msgspec.json.decode(document.qe_identity, type=_QeIdentityHead)
        pck_crl = x509.load_der_x509_crl(bytes.fromhex(document.pck_crl))
        fmspc, pce_id = bytes.fromhex(head.fmspc), bytes.fromhex(head.pceId)
        library_value = _build_library_value(document)
    except (msgspec.MsgspecError, RecursionError, *MALFORMED_X509) as exc:
        raise AttestationError("collateral has a member that can't be decoded") from exc
    return Collateral(
        library_value=library_value,
        tcb_info_issuer_chain_pem=document.tcb_info_issuer_chain,
        qe_identity_issuer_chain_pem=document.qe_identity_issuer_chain,
        tcb_info_id=head.id,
        qe_identity_id=qe_head.id,
        fmspc=fmspc,
        pce_id=pce_id,
        # The root's own revocation list isn't here: Intel renews it about once a year.
        issued_utc_seconds={
            "TCB info": int(head.issueDate.timestamp()),
            "QE identity": int(qe_head.issueDate.timestamp()),
            "PCK revocation list": int(pck_crl.last_update_utc.timestamp()),
        },
    )


def check_collateral_kind(collateral: Collateral, *, tdx: bool) -> None:
    """Refuse collateral of the other kind of TEE. Raises AttestationError."""
    expected = ("TDX", "TD_QE") if tdx else ("SGX", "QE")
    found = (collateral.tcb_info_id, collateral.qe_identity_id)
    if found != expected:
        raise AttestationError(
            f"collateral is of TCB info {found[0][:16]!r} and QE identity {found[1][:16]!r}, "
            f"expected {expected[0]!r} and {expected[1]!r}"
        )


def check_collateral_age(collateral: Collateral, maximum_days: int | None, now_utc_seconds: int) -> None:
    """Refuse statements that were issued too long ago, although they haven't expired. Raises AttestationError."""
    if maximum_days is None:
        return
    for name, issued in collateral.issued_utc_seconds.items():
        if now_utc_seconds - issued > maximum_days * _SECONDS_A_DAY:
            raise AttestationError(
                f"{name} was issued {(now_utc_seconds - issued) // _SECONDS_A_DAY} days ago, "
                f"the policy allows {maximum_days}",
                hint="fetch current collateral",
            )


def check_collateral_signers(collateral: Collateral) -> None:
    """Refuse TCB info or QE identity that any certificate but a TCB signing certificate signed.

    dcap-qvl 0.7.0 accepts any leaf below the root, for instance the PCK key of somebody's own platform.
    Raises AttestationError.
    """
    chains = (
        ("TCB info", collateral.tcb_info_issuer_chain_pem),
        ("QE identity", collateral.qe_identity_issuer_chain_pem),
    )
    for name, chain_pem in chains:
        common_name = _leaf_common_name(name, chain_pem)
        if not common_name.endswith(TCB_SIGNER_COMMON_NAME_END):
            raise AttestationError(f"{name} is signed by {common_name[:80]!r}, not by a TCB signing certificate")


def _leaf_common_name(name: str, chain_pem: str) -> str:
    try:
        leaf = x509.load_pem_x509_certificates(chain_pem.encode())[0]
        values = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except MALFORMED_X509 as exc:
        raise AttestationError(f"{name} issuer chain is not PEM certificates") from exc
    if len(values) != 1 or not isinstance(values[0].value, str):
        raise AttestationError(f"{name} issuer has not exactly one common name")
    return values[0].value


def _build_library_value(document: _CollateralDocument) -> dcap_qvl.QuoteCollateralV3:
    return dcap_qvl.QuoteCollateralV3(
        pck_crl_issuer_chain=document.pck_crl_issuer_chain,
        root_ca_crl=bytes.fromhex(document.root_ca_crl),
        pck_crl=bytes.fromhex(document.pck_crl),
        tcb_info_issuer_chain=document.tcb_info_issuer_chain,
        tcb_info=document.tcb_info,
        tcb_info_signature=bytes.fromhex(document.tcb_info_signature),
        qe_identity_issuer_chain=document.qe_identity_issuer_chain,
        qe_identity=document.qe_identity,
        qe_identity_signature=bytes.fromhex(document.qe_identity_signature),
    )
