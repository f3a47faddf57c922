"""What is asked of a PCCS, and what of its answers is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.collateral_service.fetching import Answer
from heartify.attestation.collateral_service.needs import DcapNeed, dcap_need, need_of
from heartify.attestation.collateral_service.pccs_client import PccsClient
from heartify.errors import AttestationError, ServiceError
from heartify.protocol.evidence import Evidence

from .conftest import BASE, NOW

CRL = "/sgx/certification/v4/rootcacrl"
TCB = "/sgx/certification/v4/tcb"
IDENTITY = "/sgx/certification/v4/qe/identity"
PCK_CRL = "/sgx/certification/v4/pckcrl"


def collateral(service, quote, base=BASE):
    return json.loads(PccsClient(base, service).collateral(dcap_need(quote)))


def parts_that_dont_change(members: dict) -> dict:
    """ECDSA signatures are random, so that two issues of one moment differ in them."""
    return {name: value for name, value in members.items() if not name.endswith(("crl", "signature"))}


def test_the_quote_says_what_is_asked(service, quote):
    collateral(service, quote)

    assert service.urls == [
        f"{BASE}{PCK_CRL}?ca=platform&encoding=der",
        f"{BASE}{TCB}?fmspc=50494D000000&update=standard",
        f"{BASE}{IDENTITY}?update=standard",
        f"{BASE}{CRL}",
    ]


def test_a_tdx_need_asks_the_tdx_paths(service):
    PccsClient(BASE, service).collateral(DcapNeed("tdx", "50494D000000", "platform"))

    assert [url.split("?")[0] for url in service.urls[1:3]] == [
        f"{BASE}/tdx/certification/v4/tcb",
        f"{BASE}/tdx/certification/v4/qe/identity",
    ]


def test_collateral_has_the_parts_that_the_platform_issued_byte_for_byte(service, quote):
    found = collateral(service, quote)

    assert parts_that_dont_change(found) == parts_that_dont_change(json.loads(service.issued("sgx")))


@pytest.mark.parametrize("base", [BASE + "/", BASE + "/sgx/certification/v4", BASE + "/sgx/certification/v4/"])
def test_the_base_may_be_written_with_its_api_path(service, quote, base):
    assert collateral(service, quote, base)["tcb_info"] == collateral(service, quote)["tcb_info"]


@pytest.mark.parametrize("form", ["der", "pem", "hex", "hex with line end"])
def test_the_root_list_may_come_as_der_pem_or_hex(service, quote, form):
    der = bytes.fromhex(json.loads(service.issued("sgx"))["root_ca_crl"])
    body = {
        "der": der,
        "pem": x509.load_der_x509_crl(der).public_bytes(Encoding.PEM),
        "hex": der.hex().encode(),
        "hex with line end": der.hex().upper().encode() + b"\n",
    }[form]
    service.instead[CRL] = Answer(200, {}, body)

    assert collateral(service, quote)["root_ca_crl"] == der.hex()


def service_answer(service, path):
    """What the service would answer for a path of the SGX API."""
    query = {TCB: "?fmspc=50494D000000", PCK_CRL: "?ca=platform"}.get(path, "")
    return service(f"{BASE}{path}{query}")


@pytest.mark.parametrize("path", [TCB, IDENTITY, PCK_CRL])
def test_an_answer_without_its_issuer_chain_is_refused(service, quote, path):
    service.instead[path] = replace(service_answer(service, path), headers={})

    with pytest.raises(ServiceError, match="no issuer chain"):
        collateral(service, quote)


@pytest.mark.parametrize("path", [TCB, IDENTITY, PCK_CRL])
@pytest.mark.parametrize(
    ("chain", "said"),
    [("nonsense", "is not PEM"), ("-----BEGIN%20CERTIFICATE-----", "is not PEM"), ("x" * 40000, "no issuer chain")],
)
def test_a_chain_that_is_no_chain_is_refused(service, quote, path, chain, said):
    answer = service_answer(service, path)
    service.instead[path] = replace(answer, headers=dict.fromkeys(answer.headers, chain))

    with pytest.raises(ServiceError, match=said):
        collateral(service, quote)


def test_a_chain_of_too_many_certificates_is_refused(service, quote):
    answer = service_answer(service, TCB)
    headers = {name: value * 3 for name, value in answer.headers.items()}
    service.instead[TCB] = replace(answer, headers=headers)

    with pytest.raises(ServiceError, match="too long"):
        collateral(service, quote)


@pytest.mark.parametrize("path", [TCB, IDENTITY])
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"signature": "00"}', b"[" * 100_000, b"\xff\xfe"])
def test_an_answer_that_is_not_the_apis_json_is_refused(service, quote, path, body):
    service.instead[path] = replace(service_answer(service, path), body=body)

    with pytest.raises(ServiceError, match="not the JSON of API version 4"):
        collateral(service, quote)


@pytest.mark.parametrize("path", [CRL, PCK_CRL])
@pytest.mark.parametrize("body", [b"", b"zz", b"<html>", b"0000", b"\x30\x82\x00"])
def test_a_list_that_is_no_list_is_refused(service, quote, path, body):
    service.instead[path] = replace(service_answer(service, path), body=body)

    with pytest.raises(ServiceError, match="is no revocation list"):
        collateral(service, quote)


@pytest.mark.parametrize("path", [TCB, IDENTITY, PCK_CRL])
@pytest.mark.parametrize(("status", "said"), [(404, "status 404"), (500, "status 500"), (301, "status 301")])
def test_any_status_but_success_is_refused(service, quote, path, status, said):
    service.instead[path] = Answer(status, {}, b"")

    with pytest.raises(ServiceError, match=said):
        collateral(service, quote)


def test_without_a_root_list_a_root_that_names_no_place_is_refused(service, quote):
    service.instead[CRL] = Answer(404, {}, b"")

    with pytest.raises(ServiceError, match="names no known place"):
        collateral(service, quote)


def test_a_failing_root_list_is_not_fetched_from_elsewhere(service, quote):
    service.instead[CRL] = Answer(500, {}, b"")

    with pytest.raises(ServiceError, match="status 500"):
        collateral(service, quote)


@pytest.mark.parametrize("fmspc", ["", "50494d000000", "50494D0000", "../../etc/pw", "50494D000000 "])
def test_an_fmspc_that_is_none_never_gets_into_a_url(fmspc):
    with pytest.raises(AttestationError, match="12 upper-case hex digits"):
        DcapNeed("sgx", fmspc, "platform")


def test_what_is_no_quote_needs_nothing():
    with pytest.raises(AttestationError, match="does not say which collateral"):
        dcap_need(bytes(1000))


def test_evidence_that_claims_another_tee_than_its_quote_is_refused(quote):
    with pytest.raises(AttestationError, match="claims to be of tdx, its quote is of sgx"):
        need_of(Evidence("simulated-tdx", quote.hex(), ""))


def test_simulated_evidence_needs_what_its_quote_names(platform):
    evidence = platform.evidence(bytes(range(32)), bytes(64), NOW)

    assert need_of(evidence).name == "sgx/50494D000000/platform"
