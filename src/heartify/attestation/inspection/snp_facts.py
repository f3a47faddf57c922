"""Facts of SEV-SNP attestation reports."""

from __future__ import annotations

from typing import Final

from heartify.attestation.inspection.facts import Section, words, yes_or_no
from heartify.attestation.snp.report import (
    PLATFORM_ALIAS_CHECK_COMPLETE,
    PLATFORM_CIPHERTEXT_HIDING,
    PLATFORM_SMT,
    POLICY_CIPHERTEXT_HIDING,
    POLICY_CXL,
    POLICY_DEBUG,
    POLICY_MEMORY_AES_256_XTS,
    POLICY_MIGRATE_MA,
    POLICY_NO_PAGE_SWAP,
    POLICY_NO_POWER_METER,
    POLICY_SINGLE_SOCKET,
    POLICY_SMT,
    SIGNED_BY_VCEK,
    SIGNED_BY_VLEK,
    SnpReport,
    parse_snp_report,
)
from heartify.attestation.snp.tcb import SnpProduct, parse_tcb, product_of_processor
from heartify.errors import AttestationError

_POLICY: Final = {
    "SMT": POLICY_SMT,
    "MIGRATE_MA": POLICY_MIGRATE_MA,
    "DEBUG": POLICY_DEBUG,
    "SINGLE_SOCKET": POLICY_SINGLE_SOCKET,
    "CXL_ALLOW": POLICY_CXL,
    "MEM_AES_256_XTS": POLICY_MEMORY_AES_256_XTS,
    "RAPL_DIS": POLICY_NO_POWER_METER,
    "CIPHERTEXT_HIDING": POLICY_CIPHERTEXT_HIDING,
    "PAGE_SWAP_DISABLE": POLICY_NO_PAGE_SWAP,
}
_PLATFORM: Final = {
    "SMT": PLATFORM_SMT,
    "CIPHERTEXT_HIDING": PLATFORM_CIPHERTEXT_HIDING,
    "ALIAS_CHECK_COMPLETE": PLATFORM_ALIAS_CHECK_COMPLETE,
}
_SIGNERS: Final = {SIGNED_BY_VCEK: "VCEK, of this chip", SIGNED_BY_VLEK: "VLEK, of a cloud provider"}


def snp_sections(report: bytes) -> tuple[Section, ...]:
    """Return the facts of a report. Raises AttestationError when it isn't one that this release knows."""
    parsed = parse_snp_report(report)
    return (_guest_section(parsed), _platform_section(parsed))


def _guest_section(report: SnpReport) -> Section:
    facts = (
        ("version of the report", str(report.version)),
        ("measurement (launch digest)", report.measurement.hex()),
        ("report data", report.report_data.hex()),
        ("host data", report.host_data.hex()),
        ("guest security version", str(report.guest_svn)),
        ("guest policy", f"{words(_names(report.policy, _POLICY))} ({report.policy:#x})"),
        ("debug", "YES: the host can read its memory" if report.policy & POLICY_DEBUG else "no"),
        ("firmware ABI at least", f"{report.policy >> 8 & 0xFF}.{report.policy & 0xFF}"),
        ("privilege level (VMPL)", str(report.vmpl)),
        ("family id", report.family_id.hex()),
        ("image id", report.image_id.hex()),
        ("id key digest", report.id_key_digest.hex()),
        ("author key digest", report.author_key_digest.hex() if report.author_key_enabled else "none"),
        ("report id", report.report_id.hex()),
        ("migration agent's report id", report.migration_agent_report_id.hex()),
    )
    return Section("guest", facts)


def _platform_section(report: SnpReport) -> Section:
    product = _product(report)
    facts = (
        ("product", "not said by reports of version 2" if product is None else str(product)),
        ("chip id", report.chip_id.hex() if any(report.chip_id) else "hidden"),
        ("signed by", _SIGNERS.get(report.signing_key, f"key {report.signing_key}")),
        ("platform", f"{words(_names(report.platform_info, _PLATFORM))} ({report.platform_info:#x})"),
        ("chip key masked", yes_or_no(report.chip_key_masked)),
        ("TCB, reported", _tcb(report.reported_tcb, product)),
        ("TCB, committed", _tcb(report.committed_tcb, product)),
        ("TCB, current", _tcb(report.current_tcb, product)),
        ("TCB, at launch", _tcb(report.launch_tcb, product)),
        ("firmware, current", ".".join(map(str, report.current_abi))),
        ("firmware, committed", ".".join(map(str, report.committed_abi))),
    )
    return Section("platform", facts)


def _product(report: SnpReport) -> SnpProduct | None:
    if report.processor is None:
        return None
    try:
        return product_of_processor(*report.processor[:2])
    except AttestationError:
        return None


def _tcb(field: bytes, product: SnpProduct | None) -> str:
    """Return a TCB in words. Reports of version 2 are of Milan or Genoa, which have the components at one place."""
    try:
        return f"{parse_tcb(field, product or SnpProduct.MILAN)} ({field.hex()})"
    except AttestationError:
        return field.hex()


def _names(bits: int, names: dict[str, int]) -> list[str]:
    return [name for name, bit in names.items() if bits & bit]
