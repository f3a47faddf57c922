"""Group 6: rolled-back or other products, configurations that the policy doesn't name, machines nobody listed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from heartify.attestation.dcap.demands import SgxDemands, TdxDemands
from heartify.attestation.dcap.sgx_quote import parse_sgx_quote, parse_sgx_report_body
from heartify.attestation.dcap.sgx_report_check import check_sgx_configuration
from heartify.attestation.dcap.td_quote import parse_td_quote
from heartify.attestation.dcap.td_report_check import check_td_configuration
from heartify.attestation.platforms import AllowedPlatform
from heartify.errors import AttestationError

DAY = 86400
OTHER = b"\x07" * 64


def test_isv_svn_below_the_floor_is_refused(case):
    policy = replace(case.policy, sgx=SgxDemands(min_isv_svn=2))
    assert case.verify(case.evidence(report=case.report(isv_svn=2)), policy=policy).security_version == 2

    with pytest.raises(AttestationError, match="security version 1"):
        case.verify(policy=policy)


def test_other_product_id_is_refused(case):
    policy = replace(case.policy, sgx=SgxDemands(isv_prod_id=7))
    assert case.verify(case.evidence(report=case.report(isv_prod_id=7)), policy=policy).product_id == 7

    with pytest.raises(AttestationError, match="product id"):
        case.verify(policy=policy)


def test_approved_signer_counts_for_nothing_without_the_measurement(case):
    evidence = case.evidence(report=case.report(mr_enclave=bytes(32)))

    with pytest.raises(AttestationError, match="not among the 1 approved"):
        case.verify(evidence)


def hardware_like_sgx(case, config_id):
    return parse_sgx_quote(case.platform.quote_report(case.report(config_id=config_id)))


def test_config_id_of_hardware_is_zero_unless_the_policy_names_another(case):
    named = SgxDemands(config_id_hex=OTHER.hex())
    assert check_sgx_configuration(hardware_like_sgx(case, bytes(64)), SgxDemands(), simulated=False) is None
    assert check_sgx_configuration(hardware_like_sgx(case, OTHER), named, simulated=False) is None

    with pytest.raises(AttestationError, match="CONFIGID"):
        check_sgx_configuration(hardware_like_sgx(case, OTHER), SgxDemands(), simulated=False)
    with pytest.raises(AttestationError, match="CONFIGID"):
        check_sgx_configuration(hardware_like_sgx(case, bytes(64)), named, simulated=False)


@pytest.mark.parametrize(("start", "member"), [(32, "isv_ext_prod_id"), (260, "config_svn"), (304, "isv_family_id")])
def test_key_separation_members_that_no_policy_names_are_refused(case, start, member):
    encoded = bytearray(case.report(config_id=bytes(64)).encode())
    encoded[start] = 1
    body = parse_sgx_report_body(bytes(encoded))
    assert getattr(body, member) not in {0, bytes(16)}

    with pytest.raises(AttestationError, match="key separation"):
        check_sgx_configuration(body, SgxDemands(), simulated=False)


def hardware_like_tdx(case, **changes):
    changes = {"mr_config_id": bytes(48), **changes}
    return parse_td_quote(case.platform.quote_report(case.td_report(**changes)))[1]


@pytest.mark.parametrize("register", ["rtmr3", "mr_config_id", "mr_owner", "mr_owner_config"])
def test_register_of_a_trust_domain_is_zero_unless_the_policy_names_another(case, register):
    other = OTHER[:48]
    named = TdxDemands(**{f"{register}_hex": other.hex()})
    assert check_td_configuration(hardware_like_tdx(case), TdxDemands(), simulated=False) is None
    assert check_td_configuration(hardware_like_tdx(case, **{register: other}), named, simulated=False) is None

    reason = register.replace("_", "").upper()
    with pytest.raises(AttestationError, match=f"^{reason} of the trust domain"):
        check_td_configuration(hardware_like_tdx(case, **{register: other}), TdxDemands(), simulated=False)
    with pytest.raises(AttestationError, match=f"^{reason} of the trust domain"):
        check_td_configuration(hardware_like_tdx(case), named, simulated=False)


@pytest.mark.parametrize("register", ["rtmr3", "mr_owner", "mr_owner_config"])
def test_register_that_the_policy_does_not_name_refuses_the_whole_evidence(case, register):
    other = OTHER[:48]
    evidence = case.evidence(kind="tdx", report=case.td_report(**{register: other}))
    assert case.verify(evidence, policy=replace(case.policy, tdx=TdxDemands(**{f"{register}_hex": other.hex()})))

    with pytest.raises(AttestationError, match="of the trust domain is not the expected one"):
        case.verify(evidence)


@pytest.mark.parametrize("register", ["mr_td", "rtmr0", "rtmr1", "rtmr2"])
def test_trust_domain_that_booted_anything_else_is_refused(case, register):
    changed = case.registers[register][:-1] + b"\xff"

    with pytest.raises(AttestationError, match="not among the 1 approved"):
        case.verify(case.evidence(kind="tdx", report=case.td_report(**{register: changed})))


# ---- machines


def listed(case, **changes):
    platform = {"id": case.platform.identity.ppid, "operator": "an operator", "site": "a site", **changes}
    return replace(case.policy, platforms=(AllowedPlatform(**platform),))


@pytest.mark.parametrize("name", ["ppid", "platform_instance_id"])
def test_listed_machine_is_accepted_by_either_of_its_ids(case, kind, name):
    policy = listed(case, id=getattr(case.platform.identity, name))

    assert case.verify(kind=kind, policy=policy).simulated


def test_machine_that_is_not_listed_is_refused_and_named(case, kind):
    with pytest.raises(AttestationError, match=case.platform.identity.ppid.hex()):
        case.verify(kind=kind, policy=listed(case, id=b"\x33" * 16))


def test_machine_is_refused_after_its_last_day(case, kind):
    today = dt.datetime.fromtimestamp(case.now, tz=dt.UTC).date()
    assert case.verify(kind=kind, policy=listed(case, until=today)).simulated

    with pytest.raises(AttestationError, match="was allowed until"):
        case.verify(kind=kind, policy=listed(case, until=today - dt.timedelta(days=1)))
