"""What a relying party demands of a report whose signature was checked: policy bits, firmware levels, identity.

Each function is one obligation of `verify`, raises AttestationError, and returns nothing.
"""

from __future__ import annotations

import hmac
from typing import Final

from heartify.attestation.snp.demands import SnpDemands
from heartify.attestation.snp.leaf import SnpLeaf
from heartify.attestation.snp.report import (
    CHIP_ID_BYTES,
    PLATFORM_ALIAS_CHECK_COMPLETE,
    PLATFORM_CIPHERTEXT_HIDING,
    PLATFORM_SMT,
    POLICY_CXL,
    POLICY_DEBUG,
    POLICY_MIGRATE_MA,
    SIGNED_BY_VCEK,
    SIGNED_BY_VLEK,
    SnpReport,
)
from heartify.attestation.snp.tcb import SnpTcb, parse_tcb, product_of_processor
from heartify.errors import AttestationError

# A guest without a migration agent has all ones; zeros appear where firmware leaves the field alone.
_NO_MIGRATION_AGENT: Final = (b"\xff" * 32, bytes(32))
_FIRST_VERSION_WITH_PROCESSOR: Final = 3


def check_signing_key(report: SnpReport, leaf: SnpLeaf, demands: SnpDemands) -> None:
    """The report says which key signed it, and it is the certificate's: of this chip, at the level it reports."""
    if report.signing_key not in {SIGNED_BY_VCEK, SIGNED_BY_VLEK} or report.chip_key_masked:
        raise AttestationError("the SEV-SNP report is not signed by a key of AMD's")
    by_vlek = report.signing_key == SIGNED_BY_VLEK
    if by_vlek != (leaf.hardware_id is None):
        raise AttestationError("the SEV-SNP report names another kind of signing key than its certificate")
    if by_vlek and not demands.accept_vlek:
        raise AttestationError(
            "the SEV-SNP report is signed by a leased key (VLEK), which names no chip",
            hint="sev_snp.accept_vlek = true accepts whatever machine the cloud provider chose",
        )
    if leaf.hardware_id is not None and report.chip_id != leaf.hardware_id.ljust(CHIP_ID_BYTES, b"\0"):
        raise AttestationError("the SEV-SNP report is of another chip than its certificate")
    if parse_tcb(report.reported_tcb, leaf.product) != leaf.tcb:
        raise AttestationError("the SEV-SNP report reports another firmware level than its certificate")


def check_product(report: SnpReport, leaf: SnpLeaf) -> None:
    """The processor that the report names is of the product that the certificate names."""
    if report.processor is None:
        if leaf.product.hardware_id_bytes != CHIP_ID_BYTES:
            raise AttestationError(f"a report of version {report.version} can't be of {leaf.product}")
        return
    family, model, _ = report.processor
    if product_of_processor(family, model) is not leaf.product:
        raise AttestationError(f"the SEV-SNP report is of another product than {leaf.product}")


def check_firmware(report: SnpReport, leaf: SnpLeaf, demands: SnpDemands) -> None:
    """No firmware older than the policy's floor ran, runs, or can come back without a new commit.

    Reported is what the signing key stands for, launch is what started the guest; what is committed can't be undone,
    so a floor on the current level alone would let the host go back right after the report.
    """
    floor = demands.floor_for(leaf.product_name)
    if floor is None:
        raise AttestationError(
            f"the policy accepts no firmware of {leaf.product_name}",
            hint="name the oldest good firmware in sev_snp.minimum_tcb, from AMD's security bulletins",
        )
    levels = {
        "reported": parse_tcb(report.reported_tcb, leaf.product),
        "committed": parse_tcb(report.committed_tcb, leaf.product),
        "current": parse_tcb(report.current_tcb, leaf.product),
        "launch": parse_tcb(report.launch_tcb, leaf.product),
    }
    for name, level in levels.items():
        if below := level.components_below(floor):
            raise AttestationError(
                f"the {name} firmware level of {leaf.product_name} is below the policy's floor in {', '.join(below)}:"
                f" {level}, expected at least {floor}"
            )
    _check_order(levels["reported"], levels["committed"], "reported", "committed")
    _check_order(levels["committed"], levels["current"], "committed", "current")
    if report.committed_abi > report.current_abi:
        raise AttestationError("the SEV-SNP report's committed firmware version is newer than the current one")
    if report.committed_abi < demands.abi():
        raise AttestationError(
            f"the committed SEV-SNP firmware version {report.committed_abi[0]}.{report.committed_abi[1]}"
            f" is below {demands.minimum_abi}"
        )


def check_guest_and_platform(report: SnpReport, demands: SnpDemands) -> None:
    """No debugger, no migration, the innermost privilege level, and a platform configured as the policy asks."""
    if report.policy & POLICY_DEBUG:
        raise AttestationError("the guest's policy lets the host debug it")
    if report.policy & POLICY_MIGRATE_MA or report.migration_agent_report_id not in _NO_MIGRATION_AGENT:
        raise AttestationError("the guest's policy lets a migration agent move it")
    if report.policy & POLICY_CXL and not demands.allow_cxl:
        raise AttestationError("the guest's policy lets the host use CXL memory")
    if report.vmpl != 0:
        raise AttestationError(f"the SEV-SNP report is of privilege level {report.vmpl}, expected 0")
    if report.platform_info & PLATFORM_SMT and not demands.allow_smt:
        raise AttestationError("the platform runs two threads a core", hint="sev_snp.allow_smt = true accepts that")
    if demands.require_alias_check and not report.platform_info & PLATFORM_ALIAS_CHECK_COMPLETE:
        raise AttestationError("the platform's firmware doesn't say that it found no aliased memory")
    if demands.require_ciphertext_hiding and not report.platform_info & PLATFORM_CIPHERTEXT_HIDING:
        raise AttestationError("the platform doesn't hide the ciphertext of the guest's memory")


def check_identity(
    report: SnpReport, demands: SnpDemands, *, expected_report_data: bytes, reference_measurements: frozenset[bytes]
) -> None:
    """The launch digest is approved, host data and identity are the policy's, report data exactly the expected."""
    if report.measurement not in reference_measurements:
        raise AttestationError(
            f"measurement {report.measurement.hex()} is not approved", hint="approve its app release first"
        )
    for name, value, expected in (
        ("host data", report.host_data, demands.host_data_hex),
        ("family id", report.family_id, demands.family_id_hex),
        ("image id", report.image_id, demands.image_id_hex),
    ):
        if value.hex() != expected:
            raise AttestationError(f"the {name} of the SEV-SNP report are not those of the policy")
    _check_key_digest("id key", report.id_key_digest, demands.id_key_digests)
    _check_key_digest("author key", report.author_key_digest, demands.author_key_digests)
    if report.author_key_enabled != any(report.author_key_digest):
        raise AttestationError("the SEV-SNP report contradicts itself about an author key")
    if report.guest_svn < demands.min_guest_svn:
        raise AttestationError(f"guest SVN {report.guest_svn} is below the floor {demands.min_guest_svn}")
    if not hmac.compare_digest(report.report_data, expected_report_data):
        raise AttestationError("report data are not the expected ones: evidence of another question or enclave")


def _check_order(lower: SnpTcb, upper: SnpTcb, lower_name: str, upper_name: str) -> None:
    if upper.components_below(lower):
        raise AttestationError(f"the SEV-SNP report's {lower_name} firmware level is above its {upper_name} one")


def _check_key_digest(name: str, digest: bytes, accepted: frozenset[str]) -> None:
    if accepted and digest.hex() not in accepted:
        raise AttestationError(f"the {name} of the guest's identity is not one that the policy names")
    if not accepted and any(digest):
        raise AttestationError(f"the guest's identity is signed by an {name} that the policy doesn't name")
