"""Genuine collateral of Intel and certificates of AMD through the collateral services' clients."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote as encode_url
from urllib.parse import urlsplit

import dcap_qvl
import pytest
from cryptography import x509

from heartify.attestation.collateral_service.collateral_age import age_of_collateral
from heartify.attestation.collateral_service.collateral_cache import MemoryCollateralCache
from heartify.attestation.collateral_service.fetched_collateral import FetchedCollateral
from heartify.attestation.collateral_service.fetching import Answer
from heartify.attestation.collateral_service.kds_client import KdsClient
from heartify.attestation.collateral_service.needs import dcap_need, snp_need
from heartify.attestation.collateral_service.pccs_client import INTEL_CERTIFICATE_HOST, PccsClient
from heartify.attestation.collateral_service.signatures import (
    INTEL_ROOT_KEY_DIGEST,
    check_dcap_signatures,
    root_key_digest,
    root_keys_of,
)
from heartify.attestation.policy import PRODUCTION_POLICY
from heartify.attestation.snp.collateral import parse_snp_collateral
from heartify.attestation.snp.tcb import SnpProduct
from heartify.errors import ServiceError
from heartify.protocol.evidence import Evidence

VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "vectors" / "attestation"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="third-party vectors are absent: ../shared/vectors")

TIMES = {"sgx_quote": 1752919277, "tdx_quote": 1752919234}
NEEDS = {"sgx_quote": "sgx/00A067110000/processor", "tdx_quote": "tdx/B0C06F000000/platform"}
BASE = "https://pcs.example"


def genuine(name):
    folder = VECTORS / "phala"
    return (folder / name).read_bytes(), json.loads((folder / f"{name}_collateral.json").read_text())


class IntelsService:
    """Answers as Intel's own service does: no rootcacrl, since the root's list lies at its distribution point."""

    def __init__(self, members) -> None:
        self.members = members
        self.urls = []

    def __call__(self, url):
        self.urls.append(url)
        parts, members = urlsplit(url), self.members
        if parts.netloc == INTEL_CERTIFICATE_HOST:
            return Answer(200, {}, bytes.fromhex(members["root_ca_crl"]))
        if parts.path.endswith("/tcb"):
            body = f'{{"tcbInfo":{members["tcb_info"]},"signature":"{members["tcb_info_signature"]}"}}'
            return Answer(200, {"tcb-info-issuer-chain": encode_url(members["tcb_info_issuer_chain"])}, body.encode())
        if parts.path.endswith("/qe/identity"):
            body = f'{{"enclaveIdentity":{members["qe_identity"]},"signature":"{members["qe_identity_signature"]}"}}'
            chain = encode_url(members["qe_identity_issuer_chain"])
            return Answer(200, {"sgx-enclave-identity-issuer-chain": chain}, body.encode())
        if parts.path.endswith("/pckcrl"):
            chain = encode_url(members["pck_crl_issuer_chain"])
            return Answer(200, {"sgx-pck-crl-issuer-chain": chain}, bytes.fromhex(members["pck_crl"]))
        return Answer(404, {}, b"")


@pytest.mark.parametrize("name", TIMES)
def test_intels_collateral_is_fetched_byte_for_byte_and_verifies(name):
    quote, members = genuine(name)
    service = IntelsService(members)
    source = FetchedCollateral(
        MemoryCollateralCache(), pccs=PccsClient(BASE, service), root_keys=root_keys_of(PRODUCTION_POLICY)
    )

    text = source.collateral_for(Evidence(name[:3], quote.hex(), "chosen by the host"), TIMES[name])

    assert json.loads(text) == members
    assert dcap_need(quote).name == NEEDS[name]
    assert service.urls[-1] == f"https://{INTEL_CERTIFICATE_HOST}/IntelSGXRootCA.der"
    assert dcap_qvl.verify(quote, dcap_qvl.QuoteCollateralV3.from_json(text), TIMES[name]).status


def test_intels_root_is_pinned_by_its_key():
    root = x509.load_der_x509_certificate((VECTORS / "phala" / "TrustedRootCA.der").read_bytes())

    assert root_key_digest(root) == INTEL_ROOT_KEY_DIGEST


@pytest.mark.parametrize("name", ["sgx_quote", "tdx_quote", "tdx_quote_outdated"])
def test_intels_signatures_hold_without_the_quote_library(name):
    text = json.dumps(genuine(name)[1])

    assert check_dcap_signatures(text, root_keys_of(PRODUCTION_POLICY)) == INTEL_ROOT_KEY_DIGEST


def test_the_age_of_intels_collateral_is_that_of_its_parts():
    _, members = genuine("sgx_quote")

    parts = {part.name: part for part in age_of_collateral(json.dumps(members)).parts}

    tcb_info = json.loads(members["tcb_info"])
    assert parts["TCB info"].number == tcb_info["tcbEvaluationDataNumber"] == 17
    assert parts["root revocation list"].number == 1
    assert all(part.issued < TIMES["sgx_quote"] < part.next_update for part in parts.values())


class AmdsService:
    """Answers with the genuine certificates of a Milan chip; no list of AMD's is among the vectors."""

    def __init__(self, crl=b"") -> None:
        self.urls = []
        self._crl = crl

    def __call__(self, url):
        self.urls.append(url)
        path = urlsplit(url).path
        if path.endswith("/cert_chain"):
            name = "gosev_milanvlek.testcer" if "/vlek/" in path else "gosev_milan.testcer"
            return Answer(200, {}, (VECTORS / "sev-snp" / name).read_bytes())
        if path.endswith("/crl"):
            return Answer(200 if self._crl else 503, {}, self._crl)
        return Answer(200, {}, (VECTORS / "sev-snp" / "gosev_vcek.testcer").read_bytes())


def milan_need():
    return snp_need((VECTORS / "sev-snp" / "gosev_attestation.bin").read_bytes(), product=SnpProduct.MILAN)


def test_amds_service_is_asked_for_the_chip_and_tcb_of_a_genuine_report():
    need, service = milan_need(), AmdsService()
    with pytest.raises(ServiceError, match="status 503"):
        KdsClient("https://kds.example", service).collateral(need)

    chip = need.chip_id.hex()
    assert service.urls == [
        f"https://kds.example/vcek/v1/Milan/{chip}?blSPL=2&teeSPL=0&snpSPL=5&ucodeSPL=68",
        "https://kds.example/vcek/v1/Milan/cert_chain",
        "https://kds.example/vcek/v1/Milan/crl",
    ]
    assert chip.startswith("3ac3fe21e13fb099")


def test_genuine_certificates_of_amd_are_kept_in_their_order():
    # Any list will do for the form: whose it is, is the verifier's question.
    members = genuine("sgx_quote")[1]
    service = AmdsService(bytes.fromhex(members["root_ca_crl"]))

    text = KdsClient("https://kds.example", service).collateral(milan_need())

    names = ("SEV-VCEK", "SEV-Milan", "ARK-Milan")
    assert json.loads(text)["certificates"].count("BEGIN CERTIFICATE") == 3
    found = parse_snp_collateral(text)
    subjects = [item.subject.rfc4514_string() for item in (found.leaf, found.issuer, found.root)]
    assert [f"CN={name}" in subject for name, subject in zip(names, subjects, strict=True)] == [True] * 3
