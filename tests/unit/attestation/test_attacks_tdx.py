"""Group 11: trust domains that can be opened, moved or disturbed, and modules that aren't Intel's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.attestation.dcap.demands import TdxDemands
from heartify.attestation.dcap.td_quote import parse_td_quote
from heartify.attestation.dcap.td_report_check import check_td_attributes, check_tdx_module
from heartify.errors import AttestationError

SEPT_VE_DISABLE = 1 << 28
STRICT = TdxDemands()


def body_of(case, **changes):
    return parse_td_quote(case.platform.quote_report(case.td_report(**changes)))[1]


def test_production_domain_passes_every_check_on_its_own(case):
    body = body_of(case)

    check_tdx_module(body)
    check_td_attributes(body, STRICT)
    assert body.attributes == SEPT_VE_DISABLE


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (SEPT_VE_DISABLE | 1, "debug mode"),
        (SEPT_VE_DISABLE | 1 << 29, "migratable"),
        (0, "lacks SEPT_VE_DISABLE"),
        (SEPT_VE_DISABLE | 1 << 5, "perfmon-profiling"),
        (SEPT_VE_DISABLE | 1 << 17, "service-td-extension"),
        (SEPT_VE_DISABLE | 1 << 12, "bit 12"),
        (SEPT_VE_DISABLE | 1 << 40, "bit 40"),
        (SEPT_VE_DISABLE | 1 << 62, "provisioning-agent"),
        (SEPT_VE_DISABLE | 1 << 30, "pks"),
        (SEPT_VE_DISABLE | 1 << 63, "perfmon"),
        (SEPT_VE_DISABLE | 1 << 31, "kl"),
    ],
)
def test_attributes_that_open_or_are_not_named_are_refused(case, attributes, reason):
    with pytest.raises(AttestationError, match=reason):
        check_td_attributes(body_of(case, td_attributes=attributes), STRICT)
    with pytest.raises(AttestationError):
        case.verify(case.evidence(kind="tdx", report=case.td_report(td_attributes=attributes)))


@pytest.mark.parametrize(("name", "bit"), [("pks", 30), ("perfmon", 63), ("kl", 31)])
def test_attribute_that_the_policy_names_is_accepted(case, name, bit):
    evidence = case.evidence(kind="tdx", report=case.td_report(td_attributes=SEPT_VE_DISABLE | 1 << bit))
    policy = replace(case.policy, tdx=TdxDemands(allowed_attributes=frozenset({name})))

    assert case.verify(evidence, policy=policy).status == "UpToDate"


@pytest.mark.parametrize(
    ("bit", "name"), [(8, "processor-trace"), (14, "user-interrupts"), (16, "hwp"), (40, "bit 40")]
)
def test_processor_state_beyond_the_mask_is_refused_by_name(case, bit, name):
    report = case.td_report(xfam=case.td_report().xfam | 1 << bit)

    with pytest.raises(AttestationError, match=f"XFAM .* exceeds the allowed state: {name}"):
        case.verify(case.evidence(kind="tdx", report=report))


@pytest.mark.parametrize("xfam", [0x602E7, 0x618E7])
def test_processor_state_of_domains_in_the_field_is_accepted(case, xfam):
    assert case.verify(case.evidence(kind="tdx", report=case.td_report(xfam=xfam))).status == "UpToDate"


def test_domain_without_the_state_that_every_domain_has_is_refused(case):
    with pytest.raises(AttestationError, match="lacks x87 or SSE"):
        case.verify(case.evidence(kind="tdx", report=case.td_report(xfam=0x602E4)))


@pytest.mark.parametrize("changes", [{"mr_signer_seam": bytes(47) + b"\x01"}, {"seam_attributes": 1}])
def test_module_that_is_not_intels_production_module_is_refused(case, changes):
    with pytest.raises(AttestationError, match="Intel's production module"):
        check_tdx_module(body_of(case, **changes))
    with pytest.raises(AttestationError):
        case.verify(case.evidence(kind="tdx", report=case.td_report(**changes)))
