"""The library's claims: a form that changed is refused, and so is a report that isn't the one we parsed."""

from __future__ import annotations

import json
from dataclasses import replace

import dcap_qvl
import msgspec
import pytest

from heartify.attestation.dcap.claims import parse_claims
from heartify.attestation.dcap.collateral import parse_collateral
from heartify.attestation.dcap.demands import IntelDemands
from heartify.attestation.dcap.platform_check import check_status
from heartify.attestation.dcap.same_report import check_same_domain, check_same_enclave
from heartify.attestation.dcap.sgx_quote import parse_sgx_quote
from heartify.attestation.dcap.td_quote import parse_td_quote
from heartify.errors import AttestationError


@pytest.fixture
def claims_json(case, kind) -> str:
    verifier = dcap_qvl.QuoteVerifier(case.platform.root_der)
    collateral = parse_collateral(case.collateral(kind)).library_value
    policy = dcap_qvl.QuotePolicy.strict(case.now)
    return verifier.verify_with_policy(case.quote(kind), collateral, case.now, policy).to_json()


def test_claims_of_the_library_are_understood(case, kind, claims_json):
    claims = parse_claims(claims_json)

    assert claims.tcb.status == "UpToDate"
    assert (claims.report.SgxEnclave is None, claims.report.TD10 is None) == (kind == "tdx", kind == "sgx")
    assert bytes(claims.platform.pck.ppid) == case.platform.identity.ppid


@pytest.mark.parametrize("member", ["tcb", "platform", "qe", "report", "earliest_expiration_date"])
def test_claims_that_lack_a_member_are_refused(claims_json, member):
    document = json.loads(claims_json)
    del document[member]

    with pytest.raises(AttestationError, match="unknown form"):
        parse_claims(json.dumps(document))


def test_claims_of_another_version_are_refused(claims_json):
    document = {**json.loads(claims_json), "claims_version": 2}

    with pytest.raises(AttestationError, match="version 2, expected 1"):
        parse_claims(json.dumps(document))


@pytest.mark.parametrize("kind", ["sgx"])
@pytest.mark.parametrize("member", ["mr_enclave", "report_data"])
def test_enclave_report_other_than_the_verified_one_is_refused(case, claims_json, member):
    body, claims = parse_sgx_quote(case.quote("sgx")), parse_claims(claims_json)
    check_same_enclave(body, claims)

    with pytest.raises(AttestationError, match="another report"):
        check_same_enclave(replace(body, **{member: bytes(len(getattr(body, member)))}), claims)


@pytest.mark.parametrize("kind", ["tdx"])
@pytest.mark.parametrize(
    "member", ["attributes", "xfam", "mr_td", "mr_config_id", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "report_data"]
)
def test_td_report_other_than_the_verified_one_is_refused(case, claims_json, member):
    body, claims = parse_td_quote(case.quote("tdx"))[1], parse_claims(claims_json)
    check_same_domain(body, claims)
    value = getattr(body, member)
    other = value ^ 1 if isinstance(value, int) else value[:-1] + b"\xff"

    with pytest.raises(AttestationError, match="another report"):
        check_same_domain(replace(body, **{member: other}), claims)


def test_report_of_the_other_kind_is_refused(case, claims_json, kind):
    claims = parse_claims(claims_json)
    swapped = msgspec.structs.replace(claims, report=type(claims.report)())
    enclave, (_, domain) = parse_sgx_quote(case.quote("sgx")), parse_td_quote(case.quote("tdx"))

    with pytest.raises(AttestationError, match="another report"):
        check_same_enclave(enclave, swapped)
    with pytest.raises(AttestationError, match="another report"):
        check_same_domain(domain, swapped)


# ---- what the library was told to check is checked once more


def test_status_advisory_and_number_are_judged_by_us_too(claims_json):
    claims = parse_claims(claims_json)
    outdated = msgspec.structs.replace(claims, tcb=msgspec.structs.replace(claims.tcb, status="OutOfDate"))
    advised = msgspec.structs.replace(claims, tcb=msgspec.structs.replace(claims.tcb, advisory_ids=("INTEL-SA-00615",)))
    read = IntelDemands(accepted_advisories=frozenset({"INTEL-SA-00615"}))
    check_status(claims, IntelDemands(min_tcb_evaluation_data_number=18))
    check_status(advised, read)

    with pytest.raises(AttestationError, match="status OutOfDate is not accepted"):
        check_status(outdated, IntelDemands())
    with pytest.raises(AttestationError, match="not accepted by the policy: INTEL-SA-00615"):
        check_status(advised, IntelDemands())
    with pytest.raises(AttestationError, match="not accepted by the policy: INTEL-SA-00615"):
        check_status(advised, replace(read, rejected_advisories=read.accepted_advisories))
    with pytest.raises(AttestationError, match="18 is below the floor 19"):
        check_status(claims, IntelDemands(min_tcb_evaluation_data_number=19))


def test_status_of_the_quoting_enclave_is_judged_by_us_too(claims_json):
    claims = parse_claims(claims_json)
    level = msgspec.structs.replace(claims.qe.tcb_level, tcbStatus="OutOfDate")
    outdated = msgspec.structs.replace(claims, qe=msgspec.structs.replace(claims.qe, tcb_level=level))

    with pytest.raises(AttestationError, match="status OutOfDate is not accepted"):
        check_status(outdated, IntelDemands())
