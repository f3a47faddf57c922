"""Genuine reports and certificates of AMD at a frozen time: what is accepted of them, and what is refused and why."""

from __future__ import annotations

import base64
import datetime as dt
import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.policy import VerifierPolicy
from heartify.attestation.roots import AMD_ROOTS
from heartify.attestation.snp.amd_roots import AMD_ROOT_PINS
from heartify.attestation.snp.chain import check_chain, spki_sha256
from heartify.attestation.snp.collateral import parse_snp_collateral
from heartify.attestation.snp.demands import SnpDemands
from heartify.attestation.snp.leaf import parse_leaf
from heartify.attestation.snp.report import POLICY_DEBUG, parse_snp_report
from heartify.attestation.snp.report_check import (
    check_firmware,
    check_guest_and_platform,
    check_identity,
    check_product,
    check_signing_key,
)
from heartify.attestation.snp.tcb import SnpTcb
from heartify.attestation.snp.verify import check_report_signature, verify_snp
from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence

VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "vectors" / "attestation" / "sev-snp"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="third-party vectors are absent: ../shared/vectors")

WHEN = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
# What the genuine report says; its guest was started with a policy that allows debugging (README of the vectors).
REPORT_DATA = bytes([1, 2, 3, 4, 5]).ljust(64, b"\0")
FLOOR = frozenset({"Milan boot_loader=2 tee=0 snp=5 microcode=68"})
# It is of 2022: version 2, so no alias check, firmware 1.49, on a machine with threads.
DEMANDS = SnpDemands(minimum_tcb=FLOOR, minimum_abi="1.49", require_alias_check=False, allow_smt=True)


def chain_file(name: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((VECTORS / name).read_bytes())


def genuine_report() -> bytes:
    return (VECTORS / "gosev_attestation.bin").read_bytes()


def pem_of(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"


def genuine_collateral(crl: bytes = b"") -> str:
    leaf = pem_of((VECTORS / "gosev_vcek.testcer").read_bytes())
    return json.dumps({"certificates": leaf + (VECTORS / "gosev_ask_ark_milan.pem").read_text(), "crl": crl.hex()})


def list_of_another() -> bytes:
    """A revocation list that isn't AMD's: no genuine one is among the vectors."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(chain_file("gosev_ask_ark_milan.pem")[1].subject)
    builder = builder.last_update(WHEN - dt.timedelta(1)).next_update(WHEN + dt.timedelta(30))
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    key = rsa.generate_private_key(65537, 4096)
    return (
        builder.add_extension(x509.CRLNumber(1), critical=False)
        .sign(key, hashes.SHA384(), rsa_padding=pss)
        .public_bytes(Encoding.DER)
    )


@pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
def test_pins_are_the_digests_of_amd_s_own_root_keys_for_both_kinds_of_chain(product):
    files = sorted(VECTORS.glob(f"gosev_ask_ark_{product.lower()}*.pem"))

    pins = {spki_sha256(chain_file(file.name)[1]) for file in files}

    assert len(files) == 2
    assert pins == {AMD_ROOT_PINS[f"AMD ARK {product}"]}
    assert [root.spki_sha256 for root in AMD_ROOTS if root.name == f"AMD ARK {product}"] == list(pins)


@pytest.mark.parametrize("name", ["gosev_milan.testcer", "gosev_milanvlek.testcer"])
def test_certificates_of_the_key_service_end_at_the_same_root(name):
    assert spki_sha256(chain_file(name)[1]) == AMD_ROOT_PINS["AMD ARK Milan"]


def test_genuine_report_and_certificate_say_the_same():
    report, collateral = parse_snp_report(genuine_report()), parse_snp_collateral(genuine_collateral(list_of_another()))
    leaf = parse_leaf(collateral.leaf)

    assert (report.version, report.policy, report.vmpl, report.processor) == (2, 0xB0000, 0, None)
    assert report.report_data == REPORT_DATA
    assert (report.current_abi, report.committed_abi) == ((1, 49), (1, 49))
    assert leaf.product_name == "Milan-B0"
    assert leaf.tcb == SnpTcb(boot_loader=2, tee=0, snp=5, microcode=68)
    assert leaf.hardware_id == report.chip_id
    check_signing_key(report, leaf, DEMANDS)
    check_product(report, leaf)
    check_firmware(report, leaf, DEMANDS)
    check_identity(
        report, DEMANDS, expected_report_data=REPORT_DATA, reference_measurements=frozenset({report.measurement})
    )


def test_genuine_chain_is_accepted_and_another_product_s_root_is_not():
    parsed = parse_snp_collateral(genuine_collateral(list_of_another()))
    product = parse_leaf(parsed.leaf).product
    other = chain_file("gosev_ask_ark_genoa.pem")

    check_chain(parsed, parsed.root, product, WHEN)
    with pytest.raises(AttestationError, match="where ARK-Milan is expected"):
        check_chain(parsed, other[1], product, WHEN)
    with pytest.raises(AttestationError, match="where SEV-Milan is expected"):
        check_chain(replace(parsed, issuer=other[0]), parsed.root, product, WHEN)
    with pytest.raises(AttestationError, match="SEV-VCEK is not valid"):
        check_chain(parsed, parsed.root, product, dt.datetime(2029, 10, 1, tzinfo=dt.UTC))


def test_genuine_debug_policy_is_refused():
    report = parse_snp_report(genuine_report())

    assert report.policy & POLICY_DEBUG
    with pytest.raises(AttestationError, match="lets the host debug it"):
        check_guest_and_platform(report, DEMANDS)


@pytest.mark.parametrize("report", ["genuine", "one bit flipped"])
def test_genuine_evidence_with_a_list_that_is_not_amd_s_is_refused(report):
    quote = bytearray(genuine_report())
    if report != "genuine":
        quote[0x90] ^= 1
    policy = VerifierPolicy(name="amd", roots=AMD_ROOTS, sev_snp=DEMANDS)

    with pytest.raises(AttestationError, match="signature of the revocation list"):
        verify_snp(
            Evidence("sev-snp", quote.hex(), genuine_collateral(list_of_another())),
            policy,
            int(WHEN.timestamp()),
            expected_report_data=REPORT_DATA,
            reference_measurements=frozenset({bytes(quote[0x90:0xC0])}),
        )


def test_genuine_signature_holds_and_one_flipped_bit_breaks_it():
    leaf = parse_snp_collateral(genuine_collateral(list_of_another())).leaf
    quote = bytearray(genuine_report())

    check_report_signature(parse_snp_report(bytes(quote)), leaf)
    for offset in (0x04, 0x50, 0x90, 0x1A0, 0x2A0, 0x2E8):
        quote[offset] ^= 1
        with pytest.raises(AttestationError, match="signature of the SEV-SNP report"):
            check_report_signature(parse_snp_report(bytes(quote)), leaf)
        quote[offset] ^= 1


def test_strict_demands_refuse_the_old_report_for_each_of_its_weaknesses():
    report, leaf = (
        parse_snp_report(genuine_report()),
        parse_leaf(parse_snp_collateral(genuine_collateral(list_of_another())).leaf),
    )

    with pytest.raises(AttestationError, match="accepts no firmware of Milan-B0"):
        check_firmware(report, leaf, SnpDemands())
    with pytest.raises(AttestationError, match=r"version 1\.49 is below 1\.55"):
        check_firmware(report, leaf, SnpDemands(minimum_tcb=FLOOR))
    with pytest.raises(AttestationError, match="below the policy's floor in snp, microcode"):
        check_firmware(
            report, leaf, SnpDemands(minimum_tcb=frozenset({"Milan boot_loader=2 tee=0 snp=24 microcode=219"}))
        )


def test_vcek_has_the_serial_number_zero_and_no_warning_gets_out():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parsed = parse_snp_collateral(genuine_collateral(list_of_another()))

    assert parsed.serial_numbers == (0, 65537)
    assert caught == []
