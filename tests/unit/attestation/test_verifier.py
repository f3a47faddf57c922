"""Every obligation of the verifier, with the attacks that it refuses (groups 1 to 9 of the attack list)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from heartify.attestation.isolation import Isolation, encode_isolation
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.simulated.collateral import SimulatedIssue
from heartify.attestation.simulated.pck_extension import SimulatedPlatformIdentity
from heartify.attestation.simulated.pki import build_crl_der, encode_chain_pem
from heartify.attestation.simulated.quote import sign_raw
from heartify.errors import AttestationError, DocumentError
from heartify.protocol.evidence import Evidence, TeeKind

DAY = 86400


def platform_at(svn: int, pce_svn: int, now: int, **changes) -> SimulatedPlatform:
    identity = SimulatedPlatformIdentity(
        ppid=bytes(16), platform_instance_id=bytes(16), cpu_svn=bytes([svn]) * 16, pce_svn=pce_svn, **changes
    )
    return SimulatedPlatform.create(now, identity=identity)


def under_own_root(policy, platform, **changes):
    (root,) = policy.roots
    return replace(policy, roots=(replace(root, der=platform.root_der),), **changes)


def test_good_evidence_gives_a_result_that_says_simulated(case):
    result = case.verify()

    assert result.tee_kind is TeeKind.SIMULATED_SGX
    assert result.simulated
    assert result.measurement == case.measurement
    assert (result.status, result.advisories) == ("UpToDate", ())
    assert result.platform_ids == (case.platform.identity.ppid, case.platform.identity.platform_instance_id)
    assert case.now < result.valid_until_utc_seconds <= case.now + 30 * DAY


def test_collateral_reissued_months_later_is_good(case):
    later = case.now + 200 * DAY

    result = case.verify(case.evidence(collateral=case.platform.collateral(later)), now=later)

    assert result.status == "UpToDate"


# ---- group 1: attributes of the enclave


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (0x07, "(?i)debug"),
        (0x15, "provisioning"),
        (0x25, "launch key"),
        (0x04, "lack INIT"),
        (0x01, "lack INIT or MODE64BIT"),
        (0x05 | 1 << 40, "unknown bits"),
    ],
)
def test_wrong_enclave_attributes_are_refused(case, flags, reason):
    with pytest.raises(AttestationError, match=reason):
        case.verify(case.evidence(report=case.report(flags=flags)))


def test_processor_state_beyond_the_mask_is_refused(case):
    with pytest.raises(AttestationError, match="XFRM"):
        case.verify(case.evidence(report=case.report(xfrm=0xE7 | 1 << 17)))


# ---- groups 2 and 3: status, advisories, evaluation data number


@pytest.mark.parametrize(
    ("svn", "pce_svn", "status"),
    [
        (4, 13, "SWHardeningNeeded"),
        (3, 11, "ConfigurationAndSWHardeningNeeded"),
        (2, 10, "OutOfDate"),
        (1, 5, "Revoked"),
    ],
)
def test_platform_that_is_not_up_to_date_is_refused(case, svn, pce_svn, status):
    platform = platform_at(svn, pce_svn, case.now)

    with pytest.raises(AttestationError, match=status):
        case.verify(case.evidence(platform=platform), policy=under_own_root(case.policy, platform))


def test_platform_below_every_tcb_level_is_refused(case):
    platform = platform_at(0, 0, case.now)

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(platform=platform), policy=under_own_root(case.policy, platform))


def test_accepted_status_needs_its_advisories_accepted_by_name(case):
    platform = platform_at(4, 13, case.now)
    policy = under_own_root(case.policy, platform, accepted_tcb_statuses=frozenset({"UpToDate", "SWHardeningNeeded"}))
    evidence = case.evidence(platform=platform)

    with pytest.raises(AttestationError, match="INTEL-SA-00615"):
        case.verify(evidence, policy=policy)
    result = case.verify(evidence, policy=replace(policy, accepted_advisories=frozenset({"INTEL-SA-00615"})))

    assert (result.status, result.advisories) == ("SWHardeningNeeded", ("INTEL-SA-00615",))


def test_rejected_advisory_wins_over_accepted(case):
    platform = platform_at(4, 13, case.now)
    policy = under_own_root(
        case.policy,
        platform,
        accepted_tcb_statuses=frozenset({"UpToDate", "SWHardeningNeeded"}),
        accepted_advisories=frozenset({"INTEL-SA-00615"}),
        rejected_advisories=frozenset({"INTEL-SA-00615"}),
    )

    with pytest.raises(AttestationError, match="INTEL-SA-00615"):
        case.verify(case.evidence(platform=platform), policy=policy)


def test_out_of_date_is_accepted_only_within_the_grace_period(case):
    platform = platform_at(2, 10, case.now)
    policy = under_own_root(
        case.policy,
        platform,
        accepted_tcb_statuses=frozenset({"UpToDate", "OutOfDate"}),
        accepted_advisories=frozenset({"INTEL-SA-00657", "INTEL-SA-00767"}),
    )
    evidence = case.evidence(platform=platform)

    with pytest.raises(AttestationError, match="grace"):
        case.verify(evidence, policy=replace(policy, platform_grace_seconds=30 * DAY))
    result = case.verify(evidence, policy=replace(policy, platform_grace_seconds=5 * 365 * DAY))

    assert result.status == "OutOfDate"


def test_old_evaluation_data_number_is_refused(case):
    collateral = case.platform.collateral_of_issue(SimulatedIssue(now_utc_seconds=case.now, evaluation_data_number=16))

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(collateral=collateral))


def test_sgx_type_that_the_policy_does_not_list_is_refused(case):
    platform = platform_at(5, 13, case.now, sgx_type=1)
    policy = under_own_root(case.policy, platform)
    evidence = case.evidence(platform=platform)
    assert case.verify(evidence, policy=policy).status == "UpToDate"

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(evidence, policy=replace(policy, accepted_sgx_types=frozenset({0, 2})))


# ---- group 4: collateral


@pytest.mark.parametrize("shift_days", [31, -3, 3651])
def test_collateral_out_of_its_time_is_refused(case, shift_days):
    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(now=case.now + shift_days * DAY)


def signed_again(case, member, change, key=None, chain=None):
    """Change TCB info or QE identity and sign it with a key of the platform."""
    collateral = json.loads(case.platform.collateral(case.now))
    text = change(collateral[member])
    collateral[member] = text
    collateral[f"{member}_signature"] = sign_raw(key or case.platform.keys.tcb_signer, text.encode()).hex()
    if chain:
        collateral[f"{member}_issuer_chain"] = chain
    return json.dumps(collateral)


def test_tcb_info_of_another_pce_is_refused(case):
    collateral = signed_again(case, "tcb_info", lambda text: text.replace('"pceId":"0000"', '"pceId":"0001"'))

    with pytest.raises(AttestationError, match="another platform"):
        case.verify(case.evidence(collateral=collateral))


def test_tcb_info_of_another_processor_family_is_refused(case):
    collateral = signed_again(case, "tcb_info", lambda text: text.replace("50494d000000", "00906ed50000"))

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(collateral=collateral))


@pytest.mark.parametrize("member", ["tcb_info", "qe_identity"])
def test_collateral_signed_by_a_pck_leaf_is_refused(case, member):
    certificates = case.platform.certificates
    chain = encode_chain_pem(certificates.pck, certificates.pck_ca, certificates.root)
    collateral = signed_again(case, member, lambda text: text, key=case.platform.keys.pck, chain=chain)

    with pytest.raises(AttestationError, match="not by a TCB signing certificate"):
        case.verify(case.evidence(collateral=collateral))


@pytest.mark.parametrize(
    ("member", "old", "new"), [("tcb_info", "Revoked", "UpToDate"), ("qe_identity", "OutOfDate", "UpToDate")]
)
def test_collateral_altered_after_signing_is_refused(case, member, old, new):
    collateral = json.loads(case.platform.collateral(case.now))
    assert old in collateral[member]
    collateral[member] = collateral[member].replace(old, new)

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(collateral=json.dumps(collateral)))


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
def test_revoked_certificate_is_refused(case, revoked, member):
    serial = getattr(case.platform.certificates, revoked).serial_number
    issue = SimulatedIssue(now_utc_seconds=case.now, **{member: (serial,)})

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(collateral=case.platform.collateral_of_issue(issue)))


def test_missing_revocation_list_is_refused(case):
    collateral = json.loads(case.platform.collateral(case.now))
    collateral["pck_crl"] = collateral["root_ca_crl"]

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(collateral=json.dumps(collateral)))


def test_forged_revocation_list_is_refused(case):
    collateral = json.loads(case.platform.collateral(case.now))
    collateral["pck_crl"] = build_crl_der(
        case.platform.certificates.pck_ca,
        case.platform.keys.attestation,
        number=1,
        issued_utc_seconds=case.now - 10,
        next_update_utc_seconds=case.now + DAY,
    ).hex()

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(collateral=json.dumps(collateral)))


# ---- groups 6 and 7: identity and report data


def test_measurement_that_is_not_approved_is_refused_and_named(case):
    with pytest.raises(AttestationError, match=case.measurement.hex()):
        case.verify(measurements=frozenset({bytes(32)}))


def test_isv_svn_below_the_floor_is_refused(case):
    policy = replace(case.policy, min_isv_svn=2)
    assert case.verify(case.evidence(report=case.report(isv_svn=2)), policy=policy).security_version == 2

    with pytest.raises(AttestationError, match="security version 1"):
        case.verify(policy=policy)


def test_other_product_id_is_refused(case):
    with pytest.raises(AttestationError, match="product id"):
        case.verify(policy=replace(case.policy, isv_prod_id=7))


def test_simulated_evidence_says_what_isolated_its_process(case):
    measures = Isolation.SANDBOX | Isolation.OWN_USER
    config_id = encode_isolation(measures, 64)

    assert case.verify().isolation == Isolation.NONE
    assert case.verify(case.evidence(report=case.report(config_id=config_id, flags=0x85))).isolation == measures


@pytest.mark.parametrize("config_id", [bytes(64), b"\x07" * 64])
def test_simulated_evidence_that_does_not_say_what_isolated_it_is_refused(case, config_id):
    with pytest.raises(AttestationError, match="does not state what isolated"):
        case.verify(case.evidence(report=case.report(config_id=config_id)))


def test_report_data_of_another_question_are_refused_as_replay(case):
    with pytest.raises(AttestationError, match="report data"):
        case.verify(report_data=b"\x01" * 64)


@pytest.mark.parametrize("report_data", [b"", bytes(64), b"\x01" * 63])
def test_report_data_that_bind_nothing_are_refused(case, report_data):
    with pytest.raises(AttestationError, match="bind something"):
        case.verify(report_data=report_data)


@pytest.mark.parametrize("measurements", [frozenset(), frozenset({b""}), frozenset({bytes(31)})])
def test_empty_or_malformed_reference_values_are_refused(case, measurements):
    with pytest.raises(AttestationError, match="measurement"):
        case.verify(measurements=measurements)


def test_verification_without_a_clock_is_refused(case):
    with pytest.raises(AttestationError, match="present time"):
        case.verify(now=0)


# ---- group 8: malformed quotes and limits


@pytest.mark.parametrize("tail", [b"junk", b"\0"])
def test_trailing_bytes_are_refused(case, tail):
    with pytest.raises(AttestationError, match="trailing"):
        case.verify(case.evidence(quote=case.platform.quote_report(case.report()) + tail))


@pytest.mark.parametrize("length", [0, 47, 435, 436, 1000])
def test_truncated_quote_is_refused(case, length):
    with pytest.raises(AttestationError, match="truncated"):
        case.verify(case.evidence(quote=case.platform.quote_report(case.report())[:length]))


@pytest.mark.parametrize("version", [4, 5])
def test_other_quote_version_is_refused(case, version):
    quote = case.platform.quote_report(case.report())

    with pytest.raises(AttestationError, match="version 3"):
        case.verify(case.evidence(quote=bytes([version]) + quote[1:]))


def test_oversized_quote_is_refused_before_it_is_parsed(case):
    with pytest.raises(AttestationError, match="longer than 65536"):
        case.verify(Evidence("simulated-sgx", "00" * 65537, "{}"))


@pytest.mark.parametrize("quote_hex", ["0", "zz", "AB", "0x00", "00 00"])
def test_quote_that_is_not_canonical_hex_is_refused(case, quote_hex):
    with pytest.raises(AttestationError, match="hexadecimal"):
        case.verify(Evidence("simulated-sgx", quote_hex, "{}"))


@pytest.mark.parametrize(
    ("collateral", "reason"),
    [
        ("{" + " " * 300_000 + "}", "longer than"),
        ("[" * 40 + "]" * 40, "nested deeper"),
        ("{}", "expected JSON"),
        ("[]", "expected JSON"),
        ("\x00", "expected JSON"),
    ],
)
def test_collateral_of_wrong_size_or_form_is_refused(case, collateral, reason):
    with pytest.raises(AttestationError, match=reason):
        case.verify(case.evidence(collateral=collateral))


def changed_collateral(case, **members):
    return json.dumps({**json.loads(case.platform.collateral(case.now)), **members})


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"pck_certificate_chain": "x"}, "expected JSON"),
        ({"tcb_info": "[" * 40 + "]" * 40}, "nested deeper"),
        ({"tcb_info": "{}"}, "can't be decoded"),
        ({"pck_crl": "zz"}, "can't be decoded"),
        ({"tcb_info_issuer_chain": "-----BEGIN CERTIFICATE-----" * 5}, "more than 4 certificates"),
        ({"tcb_info_issuer_chain": "no certificate"}, "not PEM"),
    ],
)
def test_collateral_member_that_is_malformed_is_refused(case, members, reason):
    with pytest.raises(AttestationError, match=reason):
        case.verify(case.evidence(collateral=changed_collateral(case, **members)))


def test_brackets_inside_strings_are_not_nesting(case):
    collateral = changed_collateral(case, pck_crl="[" * 40 + '\\"' + "{" * 40)

    with pytest.raises(AttestationError, match="can't be decoded"):
        case.verify(case.evidence(collateral=collateral))


def test_high_s_twin_of_a_signature_verifies_so_quote_bytes_are_no_identity(case):
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    quote = case.platform.quote_report(case.report())
    s = int.from_bytes(quote[468:500], "big")
    twin = quote[:468] + (order - s).to_bytes(32, "big") + quote[500:]

    assert case.verify(case.evidence(quote=twin)) == case.verify(case.evidence(quote=quote))


@pytest.mark.parametrize("offset", [20, 48 + 64, 48 + 320, 436, 436 + 64, 436 + 128 + 64, 436 + 128 + 384])
def test_flipped_bit_is_refused(case, offset):
    quote = bytearray(case.platform.quote_report(case.report()))
    quote[offset] ^= 1

    with pytest.raises(AttestationError):
        case.verify(case.evidence(quote=bytes(quote)))


# ---- group 9: roots


def test_evidence_of_another_simulated_root_is_refused(case):
    other = SimulatedPlatform.create(case.now)

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(platform=other))


def test_quote_and_collateral_of_two_simulated_roots_are_refused(case):
    other = SimulatedPlatform.create(case.now)
    both = replace(case.policy, roots=(*case.policy.roots, *under_own_root(case.policy, other).roots))

    with pytest.raises(AttestationError, match="no trust root"):
        case.verify(case.evidence(collateral=other.collateral(case.now)), policy=both)


@pytest.mark.parametrize("tee_kind", ["tdx", "simulated-tdx", "sev-snp"])
def test_kind_without_a_verifier_is_refused(case, tee_kind):
    with pytest.raises(AttestationError, match="can't be verified"):
        case.verify(case.evidence(tee_kind=tee_kind))


def test_unknown_kind_is_refused(case):
    with pytest.raises(DocumentError, match="unknown TEE kind"):
        case.verify(case.evidence(tee_kind="SGX"))
