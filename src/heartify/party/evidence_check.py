"""Verifying evidence from a file, for people: the same `verify` as a key broker calls, on what they have at hand.

What a broker knows by itself has to be given here: which measurements are approved, and which report data answer the
question that was asked. Without expected report data a quote shows that such an enclave ran once, somewhere, not that
it is the one at the other end now; whoever wants just that must say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from heartify.attestation.collateral_source import CollateralSource
from heartify.attestation.inspection.contents import Contents, QuoteContents, kind_with_simulation, report_data_of
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.result import AttestationResult
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError, DocumentError, UsageError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.bundle import Receipt, ReleaseRecord, ResultBundle
from heartify.protocol.deal import Deal
from heartify.protocol.eip712 import from_json
from heartify.protocol.evidence import Evidence, parse_tee_kind
from heartify.protocol.key_release import release_report_data


class Freshness(Enum):
    """What is known about when and for what the evidence was made."""

    EXPECTED = "the report data are those expected"
    RECEIPT = "the report data bind nonce, broker, deal, plan and keys of the receipt"
    UNCHECKED = "NOT CHECKED: any report data were accepted, so the evidence may be old or another's"


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One piece of evidence to verify. `bound_report_data` is what a receipt says that it must carry."""

    name: str
    evidence: Evidence
    bound_report_data: bytes | None


@dataclass(frozen=True, slots=True)
class Verified:
    """Accepted evidence, and how fresh it is."""

    name: str
    result: AttestationResult
    freshness: Freshness


def exhibits_in(contents: Contents, collateral: str | None = None) -> tuple[Exhibit, ...]:
    """Return the evidence in a file; `collateral` replaces what it brings along, and a bare quote needs it later.

    Raises:
        UsageError: the file holds no evidence.
        DocumentError: a receipt's deal is malformed or has no such grant.
    """
    if isinstance(contents, QuoteContents):
        kind = kind_with_simulation(contents).wire_name
        return (Exhibit("quote", Evidence(kind, contents.quote.hex(), collateral or ""), None),)
    if isinstance(contents, Evidence):
        brought = contents.collateral if collateral is None else collateral
        return (Exhibit("evidence", Evidence(contents.tee_kind, contents.quote_hex, brought), None),)
    if isinstance(contents, (Receipt, ResultBundle)):
        receipt = contents if isinstance(contents, Receipt) else contents.receipt
        brought = receipt.collateral if collateral is None else collateral
        return tuple(_exhibit_of_release(receipt, record, brought) for record in receipt.releases)
    raise UsageError(
        "the file holds no evidence to verify", hint="give a quote, a report, evidence, a receipt or a result bundle"
    )


def reference_measurements(
    kind_name: str, measurements: Iterable[bytes], releases: Iterable[AppRelease]
) -> frozenset[bytes]:
    """Return the measurements to accept: those given, and those that app releases name for the kind.

    Raises UsageError when there are none.
    """
    found = {*measurements, *(value for release in releases for value in release.reference_measurements(kind_name))}
    if not found:
        raise UsageError(
            f"no measurement of {kind_name} is given",
            hint="give --measurement or --app-release; `heartify attest inspect` shows what the evidence claims",
        )
    return frozenset(found)


def verify_exhibit(
    exhibit: Exhibit,
    policy: VerifierPolicy,
    now_utc_seconds: int,
    *,
    measurements: frozenset[bytes],
    source: CollateralSource | None,
    report_data: bytes | None,
    unsafe_any_report_data: bool = False,
) -> Verified:
    """Verify one piece of evidence with the collateral of `source`, or with what it brings along when None.

    Raises:
        UsageError: nothing says which report data to expect.
        AttestationError: it is refused. ServiceError: its collateral can't be had.
    """
    evidence = exhibit.evidence
    if source is not None:
        text = source.collateral_for(evidence, now_utc_seconds)
        evidence = Evidence(evidence.tee_kind, evidence.quote_hex, text)
    if not evidence.collateral:
        raise UsageError(
            "the evidence brings no collateral along", hint="give --collateral, --bundle, --pccs-url or --kds-url"
        )
    expected, freshness = _expected(exhibit, report_data, unsafe_any_report_data=unsafe_any_report_data)
    result = verify(
        evidence, policy, now_utc_seconds, expected_report_data=expected, reference_measurements=measurements
    )
    return Verified(exhibit.name, result, freshness)


def _expected(exhibit: Exhibit, given: bytes | None, *, unsafe_any_report_data: bool) -> tuple[bytes, Freshness]:
    if given is not None:
        return given, Freshness.EXPECTED
    if exhibit.bound_report_data is not None:
        return exhibit.bound_report_data, Freshness.RECEIPT
    if not unsafe_any_report_data:
        raise UsageError(
            "nothing says which report data to expect, so old evidence could be shown again",
            hint="give --report-data, or --unsafe-any-report-data to leave freshness unchecked",
        )
    try:
        quote = bytes.fromhex(exhibit.evidence.quote_hex)
    except ValueError as exc:
        raise AttestationError("the quote is not hexadecimal") from exc
    return report_data_of(parse_tee_kind(exhibit.evidence.tee_kind), quote), Freshness.UNCHECKED


def _exhibit_of_release(receipt: Receipt, record: ReleaseRecord, collateral: str) -> Exhibit:
    deal = from_json(Deal, receipt.deal)
    if not 0 <= record.grant < len(deal.grants):
        raise DocumentError("the receipt records a key release of a grant that its deal doesn't have")
    bound = release_report_data(
        receipt.domain(),
        deal=receipt.deal_id,
        plan_digest=receipt.plan.digest(),
        broker=deal.grants[record.grant].broker,
        nonce=record.nonce,
        encryption_public_key=receipt.encryption_public_key,
        enclave=receipt.enclave,
    )
    evidence = Evidence(receipt.tee_kind, record.quote.removeprefix("0x"), collateral)
    return Exhibit(f"key release {record.grant + 1}", evidence, bound)
