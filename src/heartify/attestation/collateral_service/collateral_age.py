"""How new collateral is: numbers and dates of each of its parts, and the rule that nothing goes back.

Collateral has parts that are issued on their own: revocation lists with a CRL number, TCB info and QE identity with an
evaluation data number, each with an issue date. One of them being older than one seen before means that somebody, or
a stale cache between, offers the time before a revocation. Reading proves nothing: `signatures` does.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography import x509

from heartify.attestation.evidence_limits import check_json_text
from heartify.attestation.malformed_x509 import MALFORMED_X509
from heartify.attestation.snp.collateral import parse_snp_collateral
from heartify.errors import AttestationError

_NO_END: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class CollateralPart:
    """One issued part. Times are UTC seconds; a list without an end date has one far away."""

    name: str
    number: int
    issued: int
    next_update: int


@dataclass(frozen=True, slots=True)
class CollateralAge:
    """All parts of one collateral."""

    parts: tuple[CollateralPart, ...]

    @property
    def next_update(self) -> int:
        """Return when the first part runs out; after that no verifier accepts the collateral."""
        return min(part.next_update for part in self.parts)

    def check_not_older_than(self, kept: CollateralAge) -> None:
        """Refuse to go back from `kept`. Raises AttestationError naming the part."""
        known = {part.name: part for part in kept.parts}
        for part in self.parts:
            before = known.get(part.name)
            if before is not None and (part.number, part.issued) < (before.number, before.issued):
                raise AttestationError(
                    f"collateral went back: {part.name} number {part.number} issued {_day(part.issued)}, "
                    f"after number {before.number} issued {_day(before.issued)}",
                    hint="the service, or a cache before it, offers collateral of the past",
                )


class _Signed(msgspec.Struct, frozen=True):
    tcbEvaluationDataNumber: int  # noqa: N815  the names in Intel's JSON
    issueDate: dt.datetime  # noqa: N815
    nextUpdate: dt.datetime  # noqa: N815


class _Texts(msgspec.Struct, frozen=True):
    root_ca_crl: str
    pck_crl: str
    tcb_info: str
    qe_identity: str


def age_of_collateral(text: str) -> CollateralAge:
    """Read numbers and dates of collateral for SGX, TDX or SEV-SNP. Raises AttestationError for another form."""
    check_json_text("collateral", text)
    try:
        texts = msgspec.json.decode(text, type=_Texts)
    except msgspec.ValidationError:
        return CollateralAge((_crl_part("revocation list", parse_snp_collateral(text).crl),))
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise AttestationError("collateral is not the expected JSON document") from exc
    return CollateralAge(
        (
            _crl("root revocation list", texts.root_ca_crl),
            _crl("PCK revocation list", texts.pck_crl),
            _signed("TCB info", texts.tcb_info),
            _signed("QE identity", texts.qe_identity),
        )
    )


def _signed(name: str, text: str) -> CollateralPart:
    check_json_text(f"collateral {name}", text)
    try:
        head = msgspec.json.decode(text, type=_Signed)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise AttestationError(f"collateral: {name} has no number and dates") from exc
    return CollateralPart(name, head.tcbEvaluationDataNumber, _seconds(head.issueDate), _seconds(head.nextUpdate))


def _crl(name: str, crl_hex: str) -> CollateralPart:
    try:
        return _crl_part(name, x509.load_der_x509_crl(bytes.fromhex(crl_hex)))
    except MALFORMED_X509 as exc:
        raise AttestationError(f"collateral: the {name} can't be decoded") from exc


def _crl_part(name: str, crl: x509.CertificateRevocationList) -> CollateralPart:
    end = crl.next_update_utc
    next_update = _NO_END if end is None else _seconds(end)
    return CollateralPart(name, _crl_number(crl), _seconds(crl.last_update_utc), next_update)


def _crl_number(crl: x509.CertificateRevocationList) -> int:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (x509.ExtensionNotFound, *MALFORMED_X509):
        return 0  # without a number the issue date alone decides


def _seconds(time: dt.datetime) -> int:
    return int(time.timestamp() if time.tzinfo else time.replace(tzinfo=dt.UTC).timestamp())


def _day(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
