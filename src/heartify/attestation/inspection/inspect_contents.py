"""The inspection of a file: what it is, and the facts of all its parts. It verifies nothing and decides nothing."""

from __future__ import annotations

import datetime as dt

from heartify.attestation.collateral_service.collateral_age import age_of_collateral
from heartify.attestation.collateral_service.offline_bundle import BundleDocument
from heartify.attestation.inspection.certificate_facts import certificate_sections, der_section, moment
from heartify.attestation.inspection.contents import (
    CertificateContents,
    CollateralContents,
    Contents,
    QuoteContents,
    says_simulated,
)
from heartify.attestation.inspection.facts import Inspection, Section, yes_or_no
from heartify.attestation.inspection.quote_facts import quote_sections
from heartify.attestation.inspection.snp_facts import snp_sections
from heartify.errors import AttestationError
from heartify.protocol.bundle import Receipt, ResultBundle
from heartify.protocol.evidence import Evidence, TeeKind, parse_tee_kind

_FAR_SECONDS = 1 << 40


def inspect_contents(contents: Contents) -> Inspection:
    """Return what a file is and says.

    Raises:
        AttestationError, InputError, DocumentError: a part can't be read.
    """
    if isinstance(contents, QuoteContents):
        return _inspect_quote(contents)
    if isinstance(contents, Evidence):
        return _inspect_evidence(contents)
    if isinstance(contents, Receipt):
        return _inspect_receipt(contents, "public receipt of a run")
    if isinstance(contents, ResultBundle):
        return _inspect_receipt(contents.receipt, "result bundle: a public receipt and a sealed result")
    if isinstance(contents, CertificateContents):
        return _inspect_certificates(contents)
    return _inspect_collateral(contents)


def _inspect_quote(contents: QuoteContents) -> Inspection:
    if contents.kind is TeeKind.SEV_SNP:
        return Inspection("SEV-SNP attestation report", False, snp_sections(contents.quote))
    simulated = says_simulated(contents.quote)
    name = "SGX" if contents.kind is TeeKind.SGX else "TDX"
    what = f"{name} quote of version {int.from_bytes(contents.quote[:2], 'little')}"
    return Inspection(what, simulated, quote_sections(contents.quote, simulated=simulated))


def _inspect_evidence(evidence: Evidence) -> Inspection:
    kind = parse_tee_kind(evidence.tee_kind)
    quote = _quote_bytes(evidence.quote_hex)
    sections = _quote_sections(kind, quote)
    collateral = _collateral_section("collateral", evidence.collateral)
    return Inspection(f"evidence of kind {evidence.tee_kind}", kind.is_simulated, (*sections, collateral))


def _inspect_receipt(receipt: Receipt, what: str) -> Inspection:
    kind = parse_tee_kind(receipt.tee_kind)
    run = Section(
        "run",
        (
            ("deal", receipt.deal_id),
            ("chain", str(receipt.chain_id)),
            ("market", receipt.market),
            ("app release", f"{receipt.app_release.name} {receipt.app_release.version}"),
            ("TEE kind", receipt.tee_kind),
            ("simulated", yes_or_no(receipt.simulated)),
            ("enclave's signing key", receipt.enclave),
            ("key releases", str(len(receipt.releases))),
        ),
    )
    sections = [run]
    for release in receipt.releases:
        said = _quote_sections(kind, _quote_bytes(release.quote.removeprefix("0x")))
        sections += [Section(f"key release {release.grant + 1}: {part.title}", part.facts) for part in said]
    sections.append(_collateral_section("collateral", receipt.collateral))
    return Inspection(what, receipt.simulated, tuple(sections))


def _inspect_collateral(contents: CollateralContents | BundleDocument) -> Inspection:
    if isinstance(contents, CollateralContents):
        return Inspection("collateral", None, (_collateral_section("collateral", contents.text),))
    sections = tuple(_collateral_section(entry.need, entry.collateral) for entry in contents.entries)
    return Inspection(f"collateral bundle for {len(sections)} platforms", None, sections)


def _inspect_certificates(contents: CertificateContents) -> Inspection:
    if contents.der:
        section = der_section(contents.data)
        return Inspection(section.title, _simulated_names((section,)), (section,))
    sections = certificate_sections(contents.data)
    return Inspection(f"chain of {len(sections)} certificates", _simulated_names(sections), sections)


def _quote_sections(kind: TeeKind, quote: bytes) -> tuple[Section, ...]:
    if kind is TeeKind.SEV_SNP:
        return snp_sections(quote)
    if len(quote) < 436:
        raise AttestationError(f"the quote is truncated: {len(quote)} bytes")
    return quote_sections(quote, simulated=kind.is_simulated)


def _quote_bytes(quote_hex: str) -> bytes:
    try:
        return bytes.fromhex(quote_hex)
    except ValueError as exc:
        raise AttestationError("the quote is not hexadecimal") from exc


def _collateral_section(title: str, text: str) -> Section:
    if not text:
        return Section(title, (("none", "the evidence brings none along"),))
    try:
        age = age_of_collateral(text)
    except AttestationError as exc:
        return Section(title, (("not readable", exc.message),))
    return Section(title, tuple((part.name, _part(part.number, part.issued, part.next_update)) for part in age.parts))


def _part(number: int, issued: int, next_update: int) -> str:
    end = "without end" if next_update > _FAR_SECONDS else f"next update {_moment(next_update)}"
    return f"number {number}, issued {_moment(issued)}, {end}"


def _moment(seconds: int) -> str:
    return moment(dt.datetime.fromtimestamp(seconds, tz=dt.UTC))


def _simulated_names(sections: tuple[Section, ...]) -> bool:
    return any("simulated" in value.lower() for section in sections for _, value in section.facts)
