"""AMD's service: what is asked by a report, and what of the answers is kept. The chain here is a home-made one."""

from __future__ import annotations

import datetime as dt
import json
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.collateral_service.collateral_cache import MemoryCollateralCache
from heartify.attestation.collateral_service.fetched_collateral import FetchedCollateral
from heartify.attestation.collateral_service.fetching import Answer
from heartify.attestation.collateral_service.kds_client import KdsClient
from heartify.attestation.collateral_service.needs import SnpNeed, snp_need
from heartify.attestation.collateral_service.signatures import check_snp_signatures, root_key_digest
from heartify.attestation.snp.collateral import parse_snp_collateral
from heartify.attestation.snp.tcb import SnpProduct, SnpTcb
from heartify.errors import AttestationError, ServiceError
from heartify.protocol.evidence import Evidence

BASE = "https://kds.example"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOW = int(START.timestamp()) + 86400
PSS = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
CHIP = bytes(range(1, 65))


class HomeMadeAmd:
    """An ARK, ASK and VCEK as AMD signs them, and the list of the ARK."""

    def __init__(self) -> None:
        self.ark_key, self.ask_key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        self.ark = self.issue("ARK-Milan", self.ark_key, "ARK-Milan", self.ark_key)
        self.ask = self.issue("SEV-Milan", self.ask_key, "ARK-Milan", self.ark_key)
        self.leaf = self.issue("SEV-VCEK", ec.generate_private_key(ec.SECP384R1()), "SEV-Milan", self.ask_key)

    def issue(self, subject, key, issuer, signer):
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
        builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
        builder = builder.serial_number(7).not_valid_before(START).not_valid_after(START + dt.timedelta(3000))
        return builder.sign(signer, hashes.SHA384(), rsa_padding=PSS)

    def crl(self, number=1, signer=None, issued=START, days=90):
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.ark.subject).last_update(issued)
        builder = builder.next_update(issued + dt.timedelta(days)).add_extension(x509.CRLNumber(number), critical=False)
        return builder.sign(signer or self.ark_key, hashes.SHA384(), rsa_padding=PSS).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def amd():
    return HomeMadeAmd()


class FakeKds:
    def __init__(self, amd) -> None:
        self.urls = []
        self.chain = amd.ask.public_bytes(Encoding.PEM) + amd.ark.public_bytes(Encoding.PEM)
        self.leaf = amd.leaf.public_bytes(Encoding.DER)
        self.crl = amd.crl()

    def __call__(self, url):
        self.urls.append(url)
        path = urlsplit(url).path
        if path.endswith("/cert_chain"):
            return Answer(200, {}, self.chain)
        return Answer(200, {}, self.crl if path.endswith("/crl") else self.leaf)


@pytest.fixture
def kds(amd):
    return FakeKds(amd)


def report(*, version=3, processor=(0x19, 0x01, 1), tcb=(4, 0, 0, 0, 0, 0, 24, 219), signer=0, chip=CHIP):
    """A report with just what is read here; its signature is nothing."""
    made = bytearray(1184)
    made[0:4] = version.to_bytes(4, "little")
    made[8:16] = (1 << 17).to_bytes(8, "little")
    made[0x48] = signer << 2
    made[0x180:0x188] = bytes(tcb)
    made[0x188:0x18B] = bytes(processor)
    made[0x1A0:0x1E0] = chip
    return bytes(made)


MILAN = SnpNeed(SnpProduct.MILAN, CHIP, SnpTcb(boot_loader=4, tee=0, snp=24, microcode=219))


def test_a_report_says_what_is_asked(kds):
    KdsClient(BASE + "/", kds).collateral(snp_need(report()))

    assert kds.urls == [
        f"{BASE}/vcek/v1/Milan/{CHIP.hex()}?blSPL=4&teeSPL=0&snpSPL=24&ucodeSPL=219",
        f"{BASE}/vcek/v1/Milan/cert_chain",
        f"{BASE}/vcek/v1/Milan/crl",
    ]


def test_turin_is_asked_with_eight_bytes_of_chip_and_five_levels(kds):
    chip = CHIP[:8].ljust(64, b"\0")

    KdsClient(BASE, kds).collateral(snp_need(report(processor=(0x1A, 2, 1), tcb=(1, 2, 3, 4, 0, 0, 0, 9), chip=chip)))

    expected = f"{BASE}/vcek/v1/Turin/0102030405060708?fmcSPL=1&blSPL=2&teeSPL=3&snpSPL=4&ucodeSPL=9"
    assert kds.urls[0] == expected


def test_collateral_is_leaf_issuer_root_and_list(kds, amd):
    found = parse_snp_collateral(KdsClient(BASE, kds).collateral(MILAN))

    assert (found.leaf, found.issuer, found.root) == (amd.leaf, amd.ask, amd.ark)
    assert found.crl.public_bytes(Encoding.DER) == kds.crl


def test_a_vlek_comes_from_the_host_and_only_its_chain_is_asked(kds, amd):
    host = KdsClient(BASE, kds).collateral(MILAN)
    kds.urls.clear()
    kds.leaf = b"not asked"

    need = snp_need(report(signer=1), host)
    found = parse_snp_collateral(KdsClient(BASE, kds).collateral(need))

    assert kds.urls == [f"{BASE}/vlek/v1/Milan/cert_chain", f"{BASE}/vlek/v1/Milan/crl"]
    assert found.leaf == amd.leaf
    assert need.name.startswith("sev-snp/Milan/vlek/")


def test_a_vlek_may_come_as_the_bare_pem_of_the_machines_own_table(kds, amd):
    host = KdsClient(BASE, kds).collateral(MILAN)
    pem = "".join(item.public_bytes(Encoding.PEM).decode() for item in (amd.leaf, amd.ask))

    assert snp_need(report(signer=1), pem) == snp_need(report(signer=1), host)


@pytest.mark.parametrize("number", [0, 1])
def test_bare_pem_that_is_no_leaf_with_issuer_is_refused(amd, number):
    pem = amd.leaf.public_bytes(Encoding.PEM).decode() * number or "-----BEGIN nothing"

    with pytest.raises(AttestationError, match="leaf and its issuer"):
        snp_need(report(signer=1), pem)


def test_a_vlek_that_the_host_did_not_send_is_refused():
    with pytest.raises(AttestationError, match="whose certificate the host did not send"):
        snp_need(report(signer=1))


def test_a_hidden_chip_id_is_refused():
    with pytest.raises(AttestationError, match="hides its chip id"):
        snp_need(report(chip=bytes(64)))


def test_a_report_of_version_2_needs_to_be_told_its_product(kds):
    old = report(version=2, processor=(0, 0, 0))

    with pytest.raises(AttestationError, match="does not say which AMD product"):
        snp_need(old)
    assert snp_need(old, product=SnpProduct.GENOA).product is SnpProduct.GENOA
    assert snp_need(old, KdsClient(BASE, kds).collateral(MILAN)) == MILAN


@pytest.mark.parametrize("member", ["leaf", "crl"])
@pytest.mark.parametrize("body", [b"", b"<html>", b"\x30\x82\x00\x01"])
def test_what_is_no_der_is_refused(kds, member, body):
    setattr(kds, member, body)

    with pytest.raises(ServiceError, match="must be DER"):
        KdsClient(BASE, kds).collateral(MILAN)


@pytest.mark.parametrize(("times", "said"), [(0, "not PEM|chain of 0"), (2, "chain of 4"), (3, "chain of 6")])
def test_a_chain_of_another_length_is_refused(kds, times, said):
    kds.chain = kds.chain * times

    with pytest.raises(ServiceError, match=said):
        KdsClient(BASE, kds).collateral(MILAN)


def test_signatures_hold_up_to_amds_root_by_its_pin(kds, amd):
    text = KdsClient(BASE, kds).collateral(MILAN)
    pin = root_key_digest(amd.ark)

    assert check_snp_signatures(text, frozenset({pin})) == pin
    with pytest.raises(AttestationError, match="a root that the policy doesn't list"):
        check_snp_signatures(text, frozenset({bytes(32)}))


def test_a_list_that_the_root_did_not_sign_is_refused(kds, amd):
    kds.crl = amd.crl(signer=amd.ask_key)

    with pytest.raises(AttestationError, match="revocation list is not signed"):
        check_snp_signatures(KdsClient(BASE, kds).collateral(MILAN), None)


def test_a_leaf_of_another_chain_is_refused(kds):
    kds.leaf = HomeMadeAmd().leaf.public_bytes(Encoding.DER)

    with pytest.raises(AttestationError, match="not signed by the one above it"):
        check_snp_signatures(KdsClient(BASE, kds).collateral(MILAN), None)


def test_collateral_without_a_root_is_not_kept(kds):
    members = json.loads(KdsClient(BASE, kds).collateral(MILAN))
    end = "-----END CERTIFICATE-----\n"
    members["certificates"] = end.join(members["certificates"].split(end)[:2]) + end

    with pytest.raises(AttestationError, match="holds no AMD root key"):
        check_snp_signatures(json.dumps(members), None)


@pytest.mark.parametrize("older", [{"number": 4}, {"number": 5, "issued": START - dt.timedelta(1)}])
def test_an_older_list_is_refused_and_the_newer_kept(kds, amd, older):
    kds.crl = amd.crl(number=5)
    source = FetchedCollateral(
        MemoryCollateralCache(), kds=KdsClient(BASE, kds), root_keys=frozenset({root_key_digest(amd.ark)})
    )
    first = source.collateral_for(Evidence("sev-snp", report().hex(), ""), NOW)
    kds.crl = amd.crl(**older)

    later = source.reading_for(MILAN, NOW + 86400)

    assert later.text == first
    assert "collateral went back: revocation list" in later.problem


def test_a_source_without_a_kds_refuses_sev_snp():
    source = FetchedCollateral(MemoryCollateralCache(), root_keys=None)

    with pytest.raises(ServiceError, match="no service for SEV-SNP is configured"):
        source.collateral_for(Evidence("sev-snp", report().hex(), ""), NOW)
