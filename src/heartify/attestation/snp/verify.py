"""Verifying SEV-SNP evidence: report and AMD's certificates in, attestation result out, or AttestationError.

It trusts the AMD keys that the policy pins, the clock that is passed, and `cryptography`'s primitives. Obligations:

  1. Sizes, nesting and certificate counts are bounded before anything is parsed.
  2. The report has 1184 bytes of a known version, and uses no byte or bit that is reserved.
  3. The chain ends at a root whose public key the policy pins.
  4. Every link is signed by the next, within its dates, under the names that AMD gives to its authorities.
  5. The root's revocation list is its own, current, and names neither the signing key nor its issuer.
  6. The report is signed by the certificate's key: ECDSA P-384 with SHA-384 over its first 0x2A0 bytes.
  7. The key is of the chip, product and firmware level that the report names; a VLEK only if the policy says so.
  8. Reported, committed, current and launch firmware reach the policy's floor, and contradict neither each other.
  9. No debugging, no migration agent, privilege level 0, and the platform is configured as the policy asks.
 10. The launch digest is approved; host data, identity, guest SVN are the policy's; report data are the expected.

Kinds, pinned measurements and the list of platforms are the same for every vendor and stay with `verifier`, as does
rollback between two questions: `marks` are for `high_water`. There is no simulated kind of this format.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from heartify.attestation.evidence_limits import parse_quote_hex
from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.result import AttestationResult, CollateralMark
from heartify.attestation.roots import TrustRoot, Vendor
from heartify.attestation.snp.chain import check_chain, check_revocation, spki_sha256
from heartify.attestation.snp.collateral import SnpCollateral, parse_snp_collateral
from heartify.attestation.snp.leaf import SnpLeaf, parse_leaf
from heartify.attestation.snp.report import ECDSA_P384_SHA384, SnpReport, parse_snp_report
from heartify.attestation.snp.report_check import (
    check_firmware,
    check_guest_and_platform,
    check_identity,
    check_product,
    check_signing_key,
)
from heartify.attestation.snp.tcb import parse_tcb
from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence, TeeKind


def verify_snp(
    evidence: Evidence,
    policy: VerifierPolicy,
    now_utc_seconds: int,
    *,
    expected_report_data: bytes,
    reference_measurements: frozenset[bytes],
) -> AttestationResult:
    """Verify evidence of kind sev-snp against a policy at a time.

    `expected_report_data` are 64 bytes that bind this question; `reference_measurements` are approved launch digests
    of 48 bytes. Raises AttestationError for any failed obligation.
    """
    now = datetime.fromtimestamp(now_utc_seconds, UTC)
    demands = policy.sev_snp
    # (1) bounds, (2) format
    report = parse_snp_report(parse_quote_hex(evidence.quote_hex))
    collateral = parse_snp_collateral(evidence.collateral)
    leaf = parse_leaf(collateral.leaf)
    # (3) the root is pinned
    root, root_certificate = _find_root(collateral, policy)
    # (4) chain, (5) revocation
    check_chain(collateral, root_certificate, leaf.product, now)
    crl_number = check_revocation(collateral, root_certificate, now, policy.maximum_collateral_age_days)
    # (6) the report's signature
    check_report_signature(report, collateral.leaf)
    # (7) the key is of this chip and level, (8) firmware, (9) guest and platform, (10) identity
    check_signing_key(report, leaf, demands)
    check_product(report, leaf)
    check_firmware(report, leaf, demands)
    check_guest_and_platform(report, demands)
    check_identity(
        report,
        demands,
        expected_report_data=expected_report_data,
        reference_measurements=reference_measurements,
    )
    return _build_result(root, report, leaf, crl_number, _end_of(collateral, root_certificate))


def _find_root(collateral: SnpCollateral, policy: VerifierPolicy) -> tuple[TrustRoot, x509.Certificate]:
    for root in policy.roots_of(Vendor.AMD):
        if collateral.root is not None and spki_sha256(collateral.root) == root.spki_sha256:
            return root, collateral.root
        if collateral.root is None and root.der is not None:
            certificate = x509.load_der_x509_certificate(root.der)
            # The name says which of the policy's roots is meant; `check_chain` checks that it signed the issuer.
            if certificate.subject == collateral.issuer.issuer:
                return root, certificate
    raise AttestationError(
        f"policy {policy.name!r} trusts no root of this AMD chain",
        hint="the collateral must bring AMD's root certificate (ARK), and the policy must pin its key in [[roots]]",
    )


def check_report_signature(report: SnpReport, leaf: x509.Certificate) -> None:
    """Check that the certificate's key signed the report. Raises AttestationError when it didn't."""
    key = leaf.public_key()
    if report.signature_algorithm != ECDSA_P384_SHA384 or not isinstance(key, ec.EllipticCurvePublicKey):
        raise AttestationError("the SEV-SNP report is not signed by ECDSA P-384 with SHA-384")
    try:
        key.verify(
            encode_dss_signature(report.signature_r, report.signature_s), report.signed, ec.ECDSA(hashes.SHA384())
        )
    except InvalidSignature as exc:
        raise AttestationError("the signature of the SEV-SNP report is wrong") from exc


def _build_result(
    root: TrustRoot,
    report: SnpReport,
    leaf: SnpLeaf,
    crl_number: int,
    valid_until_utc_seconds: int,
) -> AttestationResult:
    return AttestationResult(
        tee_kind=TeeKind.SEV_SNP,
        root_name=root.name,
        simulated=root.simulated,
        measurement=report.measurement,
        report_data=report.report_data,
        status="UpToDate",
        advisories=(),
        platform_ids=() if leaf.hardware_id is None else (report.chip_id,),
        product_id=None,
        security_version=report.guest_svn,
        isolation=None,
        marks=_marks(root, report, leaf, crl_number),
        valid_until_utc_seconds=valid_until_utc_seconds,
    )


def _end_of(collateral: SnpCollateral, root: x509.Certificate) -> int:
    ends = [item.not_valid_after_utc for item in (collateral.leaf, collateral.issuer, root)]
    if collateral.crl.next_update_utc is not None:
        ends.append(collateral.crl.next_update_utc)
    return int(min(ends).timestamp())


def _marks(root: TrustRoot, report: SnpReport, leaf: SnpLeaf, crl_number: int) -> tuple[CollateralMark, ...]:
    pin = (root.spki_sha256 or b"").hex()
    # AMD serves a list for each kind of key, and may number them apart.
    kind = "vlek" if leaf.hardware_id is None else "vcek"
    crl = CollateralMark(f"snp-crl/{pin}/{kind}", crl_number)
    if leaf.hardware_id is None:
        return (crl,)
    # What a chip committed can't be undone, so each component may only rise; one number for all could hide a fall.
    committed = parse_tcb(report.committed_tcb, leaf.product).versions()
    chip = leaf.hardware_id.hex()
    return (
        crl,
        *(CollateralMark(f"snp-committed-tcb/{chip}/{name}", version) for name, version in committed.items()),
    )
