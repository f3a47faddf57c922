"""Groups 4 and 5: collateral that is old, of something else, signed by somebody else; revocation."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from heartify.attestation.simulated.collateral import SimulatedIssue
from heartify.attestation.simulated.pki import build_crl_der, encode_chain_pem, utc_datetime
from heartify.errors import AttestationError

DAY = 86400


@pytest.mark.parametrize("shift_days", [31, -3, 3651])
def test_collateral_out_of_its_time_is_refused(case, kind, shift_days):
    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(kind=kind, now=case.now + shift_days * DAY)


def test_unexpired_collateral_older_than_the_policy_allows_is_refused(case, kind):
    policy = replace(case.policy, maximum_collateral_age_days=7)
    assert case.verify(kind=kind, policy=policy, now=case.now + 6 * DAY).simulated
    assert case.verify(kind=kind, now=case.now + 8 * DAY).simulated

    with pytest.raises(AttestationError, match="was issued 8 days ago, the policy allows 7"):
        case.verify(kind=kind, policy=policy, now=case.now + 8 * DAY)


@pytest.mark.parametrize(
    ("members", "name"),
    [
        (("tcb_info", "tcb_info_signature"), "TCB info"),
        (("qe_identity", "qe_identity_signature"), "QE identity"),
        (("pck_crl",), "PCK revocation list"),
    ],
)
def test_age_is_that_of_each_statement(case, kind, members, name):
    old = json.loads(case.platform.collateral(case.now - 8 * DAY, tdx=kind == "tdx"))
    collateral = case.collateral(kind, **{member: old[member] for member in members})
    evidence = case.evidence(kind=kind, collateral=collateral)
    assert case.verify(evidence).simulated

    with pytest.raises(AttestationError, match=f"{name} was issued 8 days ago"):
        case.verify(evidence, policy=replace(case.policy, maximum_collateral_age_days=7))


def test_tcb_info_of_another_pce_is_refused(case, kind):
    collateral = case.signed_again(kind, "tcb_info", lambda text: text.replace('"pceId":"0000"', '"pceId":"0001"'))

    with pytest.raises(AttestationError, match="another platform"):
        case.verify(case.evidence(kind=kind, collateral=collateral))


def test_tcb_info_of_another_processor_family_is_refused(case, kind):
    collateral = case.signed_again(kind, "tcb_info", lambda text: text.replace("50494d000000", "00906ed50000"))

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, collateral=collateral))


def test_collateral_of_the_other_kind_is_refused(case, kind):
    other = {"sgx": "tdx", "tdx": "sgx"}[kind]

    with pytest.raises(AttestationError, match=r"expected '(SGX|TDX)' and '(QE|TD_QE)'"):
        case.verify(case.evidence(kind=kind, collateral=case.collateral(other)))


@pytest.mark.parametrize("member", ["tcb_info", "qe_identity"])
def test_either_half_of_the_other_kinds_collateral_is_refused(case, kind, member):
    other = json.loads(case.collateral({"sgx": "tdx", "tdx": "sgx"}[kind]))
    collateral = case.collateral(kind, **{name: other[name] for name in (member, f"{member}_signature")})

    with pytest.raises(AttestationError, match="collateral is of TCB info"):
        case.verify(case.evidence(kind=kind, collateral=collateral))


@pytest.mark.parametrize("member", ["tcb_info", "qe_identity"])
def test_collateral_signed_by_a_pck_leaf_is_refused(case, kind, member):
    certificates = case.platform.certificates
    chain = encode_chain_pem(certificates.pck, certificates.pck_ca, certificates.root)
    collateral = case.signed_again(kind, member, lambda text: text, key=case.platform.keys.pck, chain=chain)

    with pytest.raises(AttestationError, match="not by a TCB signing certificate"):
        case.verify(case.evidence(kind=kind, collateral=collateral))


@pytest.mark.parametrize("names", [(), ("Simulated SGX TCB Signing", "Simulated SGX TCB Signing")])
def test_signer_without_exactly_one_name_is_refused(case, kind, names):
    key = case.platform.keys.tcb_signer
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(case.platform.certificates.root.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(utc_datetime(case.now - DAY))
        .not_valid_after(utc_datetime(case.now + DAY))
        .sign(case.platform.keys.root, hashes.SHA256())
    )
    chain = encode_chain_pem(certificate, case.platform.certificates.root)

    with pytest.raises(AttestationError, match="not exactly one common name"):
        case.verify(case.evidence(kind=kind, collateral=case.collateral(kind, tcb_info_issuer_chain=chain)))


@pytest.mark.parametrize("member", ["tcb_info", "qe_identity"])
def test_tcb_signing_certificate_in_front_does_not_hide_another_signer(case, kind, member):
    certificates = case.platform.certificates
    chain = encode_chain_pem(certificates.tcb_signer, certificates.pck, certificates.pck_ca, certificates.root)
    collateral = case.signed_again(kind, member, lambda text: text, key=case.platform.keys.pck, chain=chain)

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, collateral=collateral))


@pytest.mark.parametrize(
    ("member", "old", "new"), [("tcb_info", "Revoked", "UpToDate"), ("qe_identity", "OutOfDate", "UpToDate")]
)
def test_collateral_altered_after_signing_is_refused(case, kind, member, old, new):
    text = json.loads(case.collateral(kind))[member]
    assert old in text

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, collateral=case.collateral(kind, **{member: text.replace(old, new)})))


# ---- group 5: revocation


@pytest.mark.parametrize(
    ("revoked", "member"),
    [
        ("pck", "revoked_by_pck_ca"),
        ("pck_ca", "revoked_by_root"),
        ("tcb_signer", "revoked_by_root"),
        ("root", "revoked_by_root"),
    ],
)
def test_revoked_certificate_is_refused(case, kind, revoked, member):
    serial = getattr(case.platform.certificates, revoked).serial_number
    issue = SimulatedIssue(now_utc_seconds=case.now, **{member: (serial,)})
    collateral = case.platform.collateral_of_issue(issue, tdx=kind == "tdx")

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, collateral=collateral))


def test_revocation_of_somebody_else_changes_nothing(case, kind):
    issue = SimulatedIssue(now_utc_seconds=case.now, revoked_by_pck_ca=(4711,), revoked_by_root=(4712,))
    collateral = case.platform.collateral_of_issue(issue, tdx=kind == "tdx")

    assert case.verify(case.evidence(kind=kind, collateral=collateral)).simulated


@pytest.mark.parametrize(("missing", "instead"), [("pck_crl", "root_ca_crl"), ("root_ca_crl", "pck_crl")])
def test_missing_revocation_list_is_refused(case, kind, missing, instead):
    collateral = case.collateral(kind, **{missing: json.loads(case.collateral(kind))[instead]})

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, collateral=collateral))


@pytest.mark.parametrize(("member", "issuer"), [("pck_crl", "pck_ca"), ("root_ca_crl", "root")])
def test_forged_revocation_list_is_refused(case, kind, member, issuer):
    def crl(key):
        return build_crl_der(
            getattr(case.platform.certificates, issuer),
            key,
            number=1,
            issued_utc_seconds=case.now - 10,
            next_update_utc_seconds=case.now + DAY,
        ).hex()

    def evidence(key):
        return case.evidence(kind=kind, collateral=case.collateral(kind, **{member: crl(key)}))

    assert case.verify(evidence(getattr(case.platform.keys, issuer))).simulated

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(evidence(case.platform.keys.attestation))


def test_expired_revocation_list_is_refused(case, kind):
    old = json.loads(case.platform.collateral(case.now - 31 * DAY))

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(kind=kind, collateral=case.collateral(kind, pck_crl=old["pck_crl"])))
