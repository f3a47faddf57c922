"""Group 1 of the attack list: enclaves that can be looked into, and those with rights or state nobody reviewed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heartify.attestation.dcap.demands import SgxDemands
from heartify.attestation.dcap.sgx_quote import parse_sgx_quote
from heartify.attestation.dcap.sgx_report_check import check_sgx_attributes
from heartify.errors import AttestationError

INIT, DEBUG, MODE64, PROVISION_KEY, LAUNCH_KEY, KSS, AEX_NOTIFY = 0x1, 0x2, 0x4, 0x10, 0x20, 0x80, 0x400
GOOD = INIT | MODE64


@pytest.mark.parametrize("flags", [GOOD, GOOD | KSS, GOOD | AEX_NOTIFY])
def test_production_enclaves_are_accepted(case, flags):
    assert case.verify(case.evidence(report=case.report(flags=flags))).status == "UpToDate"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (GOOD | DEBUG, "(?i)debug"),
        (GOOD | PROVISION_KEY, "provisioning"),
        (GOOD | LAUNCH_KEY, "launch key"),
        (MODE64, "lack INIT"),
        (INIT, "lack INIT or MODE64BIT"),
        (GOOD | 1 << 40, "unknown bits"),
        (GOOD | 1 << 3, "unknown bits"),
    ],
)
def test_wrong_enclave_attributes_are_refused(case, flags, reason):
    with pytest.raises(AttestationError, match=reason):
        case.verify(case.evidence(report=case.report(flags=flags)))


def test_debug_enclave_is_refused_by_our_own_check_too(case):
    body = parse_sgx_quote(case.platform.quote_report(case.report(flags=GOOD | DEBUG)))

    with pytest.raises(AttestationError, match="debug mode"):
        check_sgx_attributes(body, SgxDemands())


@pytest.mark.parametrize("bit", [8, 17, 18, 40, 63])
def test_processor_state_beyond_the_mask_is_refused(case, bit):
    with pytest.raises(AttestationError, match="XFRM"):
        case.verify(case.evidence(report=case.report(xfrm=0xE7 | 1 << bit)))


def test_processor_state_that_the_policy_names_is_accepted(case):
    policy = replace(case.policy, sgx=SgxDemands(xfrm_allowed=0xE7 | 1 << 17 | 1 << 18))
    evidence = case.evidence(report=case.report(xfrm=0xE7 | 1 << 17 | 1 << 18))

    assert case.verify(evidence, policy=policy).status == "UpToDate"


@pytest.mark.parametrize("xfrm", [0, 1, 2])
def test_enclave_without_the_state_that_every_enclave_has_is_refused(case, xfrm):
    with pytest.raises(AttestationError, match="lacks x87 or SSE"):
        case.verify(case.evidence(report=case.report(xfrm=xfrm)))


FLAGS, SIGNER, PRODUCT, VERSION = 48, 128, 256, 258


def test_quoting_enclave_signed_again_without_change_is_good(case, kind):
    quote = case.quote_of_quoting_enclave(kind, FLAGS, INIT | MODE64 | PROVISION_KEY)

    assert case.verify(case.evidence(kind=kind, quote=quote)).simulated


def test_debug_quoting_enclave_is_refused(case, kind):
    quote = case.quote_of_quoting_enclave(kind, FLAGS, INIT | MODE64 | PROVISION_KEY | DEBUG)

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, quote=quote))


@pytest.mark.parametrize(("offset", "value"), [(SIGNER, 0), (PRODUCT, 9), (VERSION, 1)])
def test_quoting_enclave_of_another_identity_is_refused(case, kind, offset, value):
    quote = case.quote_of_quoting_enclave(kind, offset, value)

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, quote=quote))
