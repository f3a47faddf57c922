"""Collateral of the simulated platform: TCB info, QE identity and revocation lists in the forms of Intel PCS API v4.

Reissued for any time with thirty days until the next update, as Intel does.
The TCB levels go through every status, so that tests can put a platform at each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from heartify.attestation.simulated.pck_extension import SimulatedPlatformIdentity
from heartify.attestation.simulated.pki import (
    SimulatedCertificates,
    SimulatedKeys,
    build_crl_der,
    encode_chain_pem,
    utc_datetime,
)
from heartify.attestation.simulated.quote import QE_ISV_PROD_ID, QE_MR_SIGNER, TD_QE_ISV_PROD_ID, sign_raw

COLLATERAL_SECONDS = 30 * 86400
_CLOCK_SKEW_SECONDS = 600
_SECONDS_A_DAY = 86400
_TCB_DATE = "2025-08-13T00:00:00Z"

# svn of all 16 components, pcesvn, status, advisories, TCB date; highest first as Intel orders them.
_TCB_LEVELS: tuple[tuple[int, int, str, tuple[str, ...], str], ...] = (
    (5, 13, "UpToDate", (), _TCB_DATE),
    (4, 13, "SWHardeningNeeded", ("INTEL-SA-00615",), _TCB_DATE),
    (3, 11, "ConfigurationAndSWHardeningNeeded", ("INTEL-SA-00289", "INTEL-SA-00615"), _TCB_DATE),
    (2, 10, "OutOfDate", ("INTEL-SA-00657", "INTEL-SA-00767"), "2023-02-15T00:00:00Z"),
    (1, 5, "Revoked", ("INTEL-SA-00219",), "2018-01-04T00:00:00Z"),
)
# TDX components of the same levels: the first two are the module's, which has identities of its own, and its loader.
_TDX_LEVEL_SVNS: tuple[tuple[int, ...], ...] = ((5, 0, 5, *(0,) * 13), *((0,) * 16,) * 4)
_TDX_MODULE = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "ff" * 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedIssue:
    """One issue of collateral: when, with which evaluation data number, and which serial numbers are revoked."""

    now_utc_seconds: int
    evaluation_data_number: int = 18
    revoked_by_pck_ca: tuple[int, ...] = ()
    revoked_by_root: tuple[int, ...] = ()

    @property
    def issued_utc_seconds(self) -> int:
        """Return the issue date, a little before now so that clocks may differ."""
        return self.now_utc_seconds - _CLOCK_SKEW_SECONDS

    @property
    def next_update_utc_seconds(self) -> int:
        """Return the end of validity."""
        return self.now_utc_seconds + COLLATERAL_SECONDS

    @property
    def crl_number(self) -> int:
        """Return a number that rises from day to day, so that rollback is visible."""
        return self.now_utc_seconds // _SECONDS_A_DAY


def build_tcb_info(identity: SimulatedPlatformIdentity, issue: SimulatedIssue) -> dict[str, Any]:
    """Build TCB info of version 3 for SGX on the platform's family."""
    return {
        "id": "SGX",
        "version": 3,
        **_dates(issue),
        "fmspc": identity.fmspc.hex(),
        "pceId": identity.pce_id.hex(),
        "tcbType": 0,
        "tcbEvaluationDataNumber": issue.evaluation_data_number,
        "tcbLevels": [
            {
                "tcb": {"sgxtcbcomponents": [{"svn": svn}] * 16, "pcesvn": pce_svn},
                "tcbDate": tcb_date,
                "tcbStatus": status,
                **({"advisoryIDs": list(advisories)} if advisories else {}),
            }
            for svn, pce_svn, status, advisories, tcb_date in _TCB_LEVELS
        ],
    }


def build_qe_identity(issue: SimulatedIssue) -> dict[str, Any]:
    """Build the identity of the simulated quoting enclave for SGX, version 2."""
    return _qe_identity("QE", QE_ISV_PROD_ID, issue)


def build_td_tcb_info(identity: SimulatedPlatformIdentity, issue: SimulatedIssue) -> dict[str, Any]:
    """Build TCB info of version 3 for TDX on the platform's family, with the identities of the simulated module."""
    tcb_info = build_tcb_info(identity, issue)
    levels = tcb_info.pop("tcbLevels")
    for level, tdx_svns in zip(levels, _TDX_LEVEL_SVNS, strict=True):
        level["tcb"]["tdxtcbcomponents"] = [{"svn": svn} for svn in tdx_svns]
    return {
        **tcb_info,
        "id": "TDX",
        "tdxModule": dict(_TDX_MODULE),
        "tdxModuleIdentities": [{"id": "TDX_01", **_TDX_MODULE, "tcbLevels": _tdx_module_levels()}],
        "tcbLevels": levels,
    }


def build_td_qe_identity(issue: SimulatedIssue) -> dict[str, Any]:
    """Build the identity of the simulated quoting enclave for TDX, version 2."""
    return _qe_identity("TD_QE", TD_QE_ISV_PROD_ID, issue)


def _tdx_module_levels() -> list[dict[str, Any]]:
    return [
        {"tcb": {"isvsvn": 5}, "tcbDate": _TCB_DATE, "tcbStatus": "UpToDate"},
        {
            "tcb": {"isvsvn": 2},
            "tcbDate": "2023-08-09T00:00:00Z",
            "tcbStatus": "OutOfDate",
            "advisoryIDs": ["INTEL-SA-01036"],
        },
    ]


def _qe_identity(name: str, product_id: int, issue: SimulatedIssue) -> dict[str, Any]:
    return {
        "id": name,
        "version": 2,
        **_dates(issue),
        "tcbEvaluationDataNumber": issue.evaluation_data_number,
        "miscselect": "00000000",
        "miscselectMask": "ffffffff",
        # INIT and PROVISION_KEY are set; the mask leaves MODE64BIT and XFRM free, as Intel's does.
        "attributes": "11" + "00" * 15,
        "attributesMask": "fb" + "ff" * 7 + "00" * 8,
        "mrsigner": QE_MR_SIGNER.hex(),
        "isvprodid": product_id,
        "tcbLevels": [
            {"tcb": {"isvsvn": 8}, "tcbDate": _TCB_DATE, "tcbStatus": "UpToDate"},
            {
                "tcb": {"isvsvn": 6},
                "tcbDate": "2021-11-10T00:00:00Z",
                "tcbStatus": "OutOfDate",
                "advisoryIDs": ["INTEL-SA-00615"],
            },
        ],
    }


def build_collateral(
    keys: SimulatedKeys,
    certificates: SimulatedCertificates,
    identity: SimulatedPlatformIdentity,
    issue: SimulatedIssue,
    *,
    tdx: bool = False,
) -> dict[str, str]:
    """Build the members of QuoteCollateralV3: PEM chains, lists and signatures as hex, signed JSON as exact text.

    It is for SGX quotes, or with `tdx` for TDX quotes; what is for one is refused for the other.
    """
    tcb_info = encode_signed_text(build_td_tcb_info(identity, issue) if tdx else build_tcb_info(identity, issue))
    qe_identity = encode_signed_text(build_td_qe_identity(issue) if tdx else build_qe_identity(issue))
    signer_chain = encode_chain_pem(certificates.tcb_signer, certificates.root)
    return {
        "pck_crl_issuer_chain": encode_chain_pem(certificates.pck_ca, certificates.root),
        "root_ca_crl": _crl_hex(certificates.root, keys.root, issue.revoked_by_root, issue),
        "pck_crl": _crl_hex(certificates.pck_ca, keys.pck_ca, issue.revoked_by_pck_ca, issue),
        "tcb_info_issuer_chain": signer_chain,
        "tcb_info": tcb_info,
        "tcb_info_signature": sign_raw(keys.tcb_signer, tcb_info.encode()).hex(),
        "qe_identity_issuer_chain": signer_chain,
        "qe_identity": qe_identity,
        "qe_identity_signature": sign_raw(keys.tcb_signer, qe_identity.encode()).hex(),
    }


def encode_signed_text(document: dict[str, Any]) -> str:
    """Encode TCB info or QE identity as the compact text that is signed."""
    return json.dumps(document, separators=(",", ":"))


def _crl_hex(
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    revoked_serials: Iterable[int],
    issue: SimulatedIssue,
) -> str:
    return build_crl_der(
        issuer,
        issuer_key,
        revoked_serials=revoked_serials,
        number=issue.crl_number,
        issued_utc_seconds=issue.issued_utc_seconds,
        next_update_utc_seconds=issue.next_update_utc_seconds,
    ).hex()


def _dates(issue: SimulatedIssue) -> dict[str, str]:
    form = "%Y-%m-%dT%H:%M:%SZ"
    return {
        "issueDate": utc_datetime(issue.issued_utc_seconds).strftime(form),
        "nextUpdate": utc_datetime(issue.next_update_utc_seconds).strftime(form),
    }
