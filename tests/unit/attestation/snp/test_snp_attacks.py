"""Group 10 of the attacks, and what else a lying host could send: each case differs from a good one by one thing."""

from __future__ import annotations

import json
import ssl
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from simulated_amd import (
    CHIP_ID,
    FLOOR,
    MEASUREMENT,
    NOW,
    REPORT_DATA,
    TCB,
    TURIN_TCB,
    Chain,
    der_integer,
    evidence,
    policy_for,
    report,
    turin_chain,
    turin_report,
    verify_simulated,
    vlek_chain,
)

from heartify.attestation.high_water import CollateralHighWater
from heartify.attestation.policy import PRODUCTION_POLICY
from heartify.attestation.snp.collateral import encode_snp_collateral
from heartify.attestation.snp.verify import verify_snp
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence, TeeKind

DAY = 86400
DIGEST = bytes(range(48))


def test_good_report_is_accepted_with_everything_that_it_says():
    result = verify_simulated(report(guest_svn=3))

    assert result.tee_kind is TeeKind.SEV_SNP
    assert (result.measurement, result.report_data) == (MEASUREMENT, REPORT_DATA)
    assert result.platform_ids == (CHIP_ID,)
    assert (result.status, result.advisories, result.product_id, result.security_version) == ("UpToDate", (), None, 3)
    assert result.isolation is None
    assert result.valid_until_utc_seconds == NOW + 25 * DAY
    numbers = {mark.scope.partition("/")[0] + "/" + mark.scope.rpartition("/")[2]: mark.number for mark in result.marks}
    assert numbers == {"snp-crl/vcek": 7, **{f"snp-committed-tcb/{name}": number for name, number in TCB.items()}}


@pytest.mark.parametrize(("version", "platform_info"), [(2, 0), (3, 1 << 5), (5, 1 << 5)])
def test_all_known_versions_are_accepted(version, platform_info):
    found = verify_simulated(report(version=version, platform_info=platform_info), require_alias_check=version > 2)

    assert found.measurement == MEASUREMENT


def test_turin_has_another_order_of_its_firmware_versions_and_a_short_chip_id():
    result = verify_simulated(turin_report(), turin_chain())

    numbers = {mark.scope.rpartition("/")[2]: mark.number for mark in result.marks}
    assert numbers == {"vcek": 7, **TURIN_TCB}
    assert result.platform_ids[0][:9] == bytes([1, 2, 3, 4, 5, 6, 7, 8, 0])


def test_leased_key_is_accepted_only_when_the_policy_says_so_and_names_no_chip():
    leased = report(key_info=1 << 2, chip_id=bytes(64))

    result = verify_simulated(leased, vlek_chain(), accept_vlek=True)

    assert result.platform_ids == ()
    assert [mark.scope.rpartition("/")[2] for mark in result.marks] == ["vlek"]
    with pytest.raises(AttestationError, match="leased key"):
        verify_simulated(leased, vlek_chain())


def test_evidence_under_a_simulated_root_is_no_evidence_of_hardware():
    assert verify_simulated().simulated
    with pytest.raises(AttestationError, match="but its root is 'Simulated ARK, not AMD'"):
        verify(
            evidence(report(), Chain()),
            policy_for(Chain()),
            NOW,
            expected_report_data=REPORT_DATA,
            reference_measurements=frozenset({MEASUREMENT}),
        )


# ---- the report: (what it says, why it is refused, what else the policy allows)

REPORTS = {
    "debug": ({"policy": 1 << 17 | 1 << 19}, "debug it"),
    "migration agent allowed": ({"policy": 1 << 17 | 1 << 18}, "migration agent"),
    "migration agent present": ({"patch": {0x160: b"\x01" * 32}}, "migration agent"),
    "CXL memory": ({"policy": 1 << 17 | 1 << 21}, "CXL"),
    "VMPL 1": ({"vmpl": 1}, "privilege level 1"),
    "VMPL 3": ({"vmpl": 3}, "privilege level 3"),
    "threads share cores": ({"platform_info": 1 << 5 | 1}, "two threads"),
    "no alias check": ({"platform_info": 0}, "aliased memory"),
    "reported firmware other than the key's": ({"reported": {"snp": 23}}, "another firmware level"),
    "committed firmware below the floor": ({"committed": {"snp": 23}}, "committed firmware level"),
    "committed microcode below the floor": ({"committed": {"microcode": 218}}, "in microcode"),
    "launched by firmware below the floor": ({"launch": {"boot_loader": 3}}, "launch firmware level"),
    "current firmware below the floor": ({"current": {"tee": 0}}, "current firmware level"),
    "committed above current": ({"committed": {"snp": 25}}, "above its current"),
    "committed version above current": ({"committed_abi": (1, 56)}, "newer than the current"),
    "committed version too old": ({"committed_abi": (1, 54)}, "below 1.55"),
    "chip of another": ({"chip_id": CHIP_ID[::-1]}, "another chip"),
    "chip id withheld": ({"chip_id": bytes(64)}, "another chip"),
    "chip key masked": ({"key_info": 2}, "not signed by a key"),
    "signed by nobody": ({"key_info": 7 << 2}, "not signed by a key"),
    "says leased key": ({"key_info": 1 << 2}, "another kind of signing key"),
    "other processor": ({"processor": (0x19, 0x11, 0)}, "another product"),
    "unknown processor": ({"processor": (0x1B, 0x11, 0)}, "no known product"),
    "other measurement": ({"measurement": MEASUREMENT[::-1]}, "not approved"),
    "other report data": ({"report_data": REPORT_DATA[::-1]}, "report data"),
    "host data": ({"patch": {0xC0: b"\x01"}}, "host data"),
    "family id": ({"patch": {0x10: b"\x01"}}, "family id"),
    "image id": ({"patch": {0x20: b"\x01"}}, "image id"),
    "id key": ({"patch": {0xE0: DIGEST}}, "id key"),
    "author key": ({"patch": {0x110: DIGEST}, "key_info": 1}, "author key"),
    "author key flag alone": ({"key_info": 1}, "contradicts itself about an author key"),
    "other signature algorithm": ({"algorithm": 2}, "not signed by ECDSA"),
    "signed by another key": ({"key": "other"}, "signature of the SEV-SNP report"),
    "reserved policy bit": ({"policy": 1 << 17 | 1 << 26}, "guest policy"),
    "policy bit 17 missing": ({"policy": 0}, "guest policy"),
    "reserved platform bit": ({"platform_info": 1 << 5 | 1 << 6}, "platform info"),
    "trusted I/O in version 3": ({"platform_info": 1 << 5 | 1 << 7}, "platform info"),
    "reserved key bit": ({"key_info": 1 << 5}, "key info"),
    "reserved bytes": ({"patch": {0x18B: b"\x01"}}, "reserved bytes"),
    "reserved bytes of the TCB": ({"patch": {0x182: b"\x01"}}, "reserved bytes"),
    "mitigations in version 3": ({"patch": {0x1F8: b"\x01"}}, "reserved bytes"),
    "bytes after mitigations": ({"version": 5, "patch": {0x208: b"\x01"}}, "reserved bytes"),
    "processor in version 2": ({"version": 2, "patch": {0x188: b"\x19"}}, "reserved bytes"),
    "alias check in version 2": ({"version": 2}, "platform info"),
    "version 1": ({"version": 1}, "version 1"),
    "version 4": ({"version": 4}, "version 4"),
}


@pytest.mark.parametrize("case", REPORTS)
def test_report_is_refused(case):
    changes, reason = REPORTS[case]

    with pytest.raises(AttestationError, match=reason):
        verify_simulated(report(**changes))


def test_turin_report_of_version_2_is_refused():
    with pytest.raises(AttestationError, match="can't be of Turin"):
        verify_simulated(turin_report(version=2, platform_info=0), turin_chain(), require_alias_check=False)


@pytest.mark.parametrize("change", ["short", "long", "empty", "after the signature"])
def test_report_of_another_length_or_with_bytes_after_its_signature_is_refused(change):
    good = report()
    bad = {"short": good[:-1], "long": good + b"\0", "empty": b"", "after the signature": good[:-1] + b"\x01"}[change]

    with pytest.raises(AttestationError, match=r"bytes"):
        verify_simulated(bad)


def test_no_flipped_bit_of_the_signed_part_is_accepted():
    good, chain = report(), Chain()
    policy, collateral = policy_for(chain), chain.collateral()

    for offset in range(0, 0x330, 7):
        flipped = bytearray(good)
        flipped[offset] ^= 1 << offset % 8
        with pytest.raises(AttestationError):
            verify_snp(
                Evidence("sev-snp", bytes(flipped).hex(), collateral),
                policy,
                NOW,
                expected_report_data=REPORT_DATA,
                reference_measurements=frozenset({MEASUREMENT}),
            )


# ---- the policy: what a demand refuses, and the same evidence without that demand

DEMANDS = {
    "firmware floor": ({}, {"minimum_tcb": frozenset({FLOOR.replace("snp=24", "snp=25")})}, "below the policy's floor"),
    "product without a floor": ({}, {"minimum_tcb": frozenset()}, "accepts no firmware"),
    "floor of the stepping": (
        {},
        {"minimum_tcb": frozenset({FLOOR, FLOOR.replace("Milan", "Milan-B1").replace("219", "220")})},
        "in microcode",
    ),
    "guest svn": ({"guest_svn": 1}, {"min_guest_svn": 2}, "guest SVN 1 is below"),
    "firmware version": ({}, {"minimum_abi": "1.56"}, "below 1.56"),
    "host data": ({}, {"host_data_hex": "01" * 32}, "host data"),
    "family id": ({}, {"family_id_hex": "01" * 16}, "family id"),
    "image id": ({}, {"image_id_hex": "01" * 16}, "image id"),
    "id key": ({}, {"id_key_digests": frozenset({"01" * 48})}, "id key"),
    "author key": ({}, {"author_key_digests": frozenset({"01" * 48})}, "author key"),
    "ciphertext hiding": ({}, {"require_ciphertext_hiding": True}, "ciphertext"),
}


@pytest.mark.parametrize("case", DEMANDS)
def test_demand_refuses_what_is_accepted_without_it(case):
    changes, demands, reason = DEMANDS[case]

    assert verify_simulated(report(**changes))
    with pytest.raises(AttestationError, match=reason):
        verify_simulated(report(**changes), **demands)


ALLOWANCES = {
    "threads": ({"platform_info": 1 << 5 | 1}, {"allow_smt": True}),
    "CXL": ({"policy": 1 << 17 | 1 << 21}, {"allow_cxl": True}),
    "no alias check": ({"platform_info": 0}, {"require_alias_check": False}),
    "ciphertext hiding": ({"platform_info": 1 << 5 | 1 << 4}, {"require_ciphertext_hiding": True}),
    "older firmware version": ({"committed_abi": (1, 54)}, {"minimum_abi": "1.54"}),
    "host data": ({"patch": {0xC0: bytes(range(32))}}, {"host_data_hex": bytes(range(32)).hex()}),
    "id key": ({"patch": {0xE0: DIGEST}}, {"id_key_digests": frozenset({DIGEST.hex(), "01" * 48})}),
    "author key": ({"patch": {0x110: DIGEST}, "key_info": 1}, {"author_key_digests": frozenset({DIGEST.hex()})}),
    "older stepping": (
        {},
        {"minimum_tcb": frozenset({FLOOR.replace("219", "220"), FLOOR.replace("Milan", "Milan-B1")})},
    ),
}


@pytest.mark.parametrize("case", ALLOWANCES)
def test_policy_can_allow_what_the_default_refuses(case):
    changes, demands = ALLOWANCES[case]

    assert verify_simulated(report(**changes), **demands).measurement == MEASUREMENT


# ---- the chain


def test_root_that_the_policy_does_not_pin_is_refused():
    with pytest.raises(AttestationError, match="trusts no root"):
        verify_simulated(chain=Chain(), policy=policy_for(Chain(root_key="other root")))


def test_production_policy_refuses_the_simulated_root():
    with pytest.raises(AttestationError, match="trusts no root"):
        verify_simulated(policy=PRODUCTION_POLICY)


CHAINS = {
    "issuer signed by another root": ({"issuer_signer": "other root"}, "signature of SEV-Milan"),
    "leaf signed by another issuer": ({"leaf_signer": "other root"}, "signature of SEV-VCEK"),
    "leaf names another issuer": ({"leaf_issuer_name": "SEV-Genoa"}, "names another issuer"),
    "leaf expired": ({"leaf_days": (-10, -1)}, "SEV-VCEK is not valid"),
    "leaf from the future": ({"leaf_days": (1, 10)}, "SEV-VCEK is not valid"),
    "issuer expired": ({"issuer_days": (-10, -1)}, "SEV-Milan is not valid"),
    "root expired": ({"root_days": (-10, -1)}, "ARK-Milan is not valid"),
    "issuer of leased keys": ({"issuer_name": "SEV-VLEK-Milan"}, "where SEV-Milan is expected"),
    "issuer of another product": ({"issuer_name": "SEV-Genoa"}, "where SEV-Milan is expected"),
    "root of another product": ({"root_name": "ARK-Genoa"}, "where ARK-Milan is expected"),
    "leaf of another name": ({"leaf_name": "SEV-VXEK"}, "expected SEV-VCEK or SEV-VLEK"),
    "authority that isn't one": ({"issuer_is_ca": False}, "may not sign"),
    "authority that may not sign": ({"issuer_may_sign": False}, "may not sign"),
    "authority without constraints": ({"issuer_constraints": False}, "doesn't say that it is an authority"),
    "unknown critical extension": ({"critical_in_leaf": True}, "critical extension"),
    "short issuer key": ({"issuer_key": "short", "issuer_bits": 2048}, "no RSA key of 4096 bits"),
    "signing key of another curve": ({"leaf_curve": ec.SECP256R1}, "no P-384 key"),
    "list expired": ({"crl_days": (-30, -1)}, "revocation list is not valid"),
    "list from the future": ({"crl_days": (1, 30)}, "revocation list is not valid"),
    "list signed by another": ({"crl_signer": "other root"}, "signature of the revocation list"),
    "list of another": ({"crl_issuer": "ARK-Genoa"}, "not of AMD's root"),
    "list without a number": ({"crl_number": None}, "no number"),
    "part of a list": ({"crl_extension": x509.DeltaCRLIndicator(1)}, "critical extension"),
    "issuer revoked": ({"revoked": (2,)}, "revoked the issuer"),
    "leaf revoked": ({"revoked": (4711,)}, "revoked the signing key"),
    "no product": ({"extensions": {"2": None}}, r"lacks extension .*\.1\.2"),
    "unknown product": ({"product_name": "Naples-B1"}, "no known product"),
    "malformed product": ({"extensions": {"2": b"\x16\x06Milan"}}, "malformed"),
    "product that is no text": ({"extensions": {"2": b"\x16\x05Mila\x07"}}, "malformed text"),
    "no firmware version": ({"extensions": {"3.3": None}}, r"lacks extension .*\.3\.3"),
    "firmware version that is no number": ({"extensions": {"3.3": b"\x16\x0124"}}, "malformed"),
    "firmware version not in DER": ({"extensions": {"3.3": b"\x02\x02\x00\x18"}}, "malformed number"),
    "negative firmware version": ({"extensions": {"3.3": b"\x02\x01\x98"}}, "malformed number"),
    "firmware of an unknown component": ({"extensions": {"3.4": der_integer(1)}}, "doesn't know"),
    "component of Turin": ({"extensions": {"3.9": der_integer(1)}}, "components of Milan"),
    "other firmware than reported": ({"tcb": {**TCB, "snp": 25}}, "another firmware level"),
    "other chip": ({"chip_id": CHIP_ID[::-1]}, "another chip"),
    "short chip id": ({"extensions": {"4": CHIP_ID[:8]}}, "by 8 bytes"),
    "zero chip id": ({"extensions": {"4": bytes(64)}}, "by 64 bytes"),
    "neither chip nor provider": ({"extensions": {"4": None}}, "either a chip or a cloud provider"),
    "chip and provider": ({"extensions": {"5": b"\x16\x05cloud"}}, "either a chip or a cloud provider"),
}


@pytest.mark.parametrize("case", CHAINS)
def test_chain_is_refused(case):
    changes, reason = CHAINS[case]
    chain = Chain(**changes)

    with pytest.raises(AttestationError, match=reason):
        verify_simulated(report(curve=chain.leaf_curve), chain, policy=policy_for(Chain()))


def test_turin_certificate_without_its_fourth_component_is_refused():
    with pytest.raises(AttestationError, match="components of Turin"):
        verify_simulated(turin_report(), turin_chain(extensions={"3.9": None}))


def test_leased_key_below_the_issuer_of_chip_keys_is_refused():
    chain = vlek_chain(issuer_name="SEV-Milan")

    with pytest.raises(AttestationError, match="where SEV-VLEK-Milan is expected"):
        verify_simulated(report(key_info=1 << 2, chip_id=bytes(64)), chain, accept_vlek=True)


def test_revocation_list_older_than_the_policy_allows_is_refused():
    policy = policy_for(Chain())

    assert verify_simulated(policy=replace(policy, maximum_collateral_age_days=6))
    with pytest.raises(AttestationError, match="older than the 4 days"):
        verify_simulated(policy=replace(policy, maximum_collateral_age_days=4))


def test_unexpired_but_superseded_list_is_a_rollback():
    marks = CollateralHighWater({}).advance(verify_simulated(chain=Chain(crl_number=8)).marks)

    with pytest.raises(AttestationError, match="rolled back: snp-crl number 7 after 8"):
        marks.advance(verify_simulated(chain=Chain(crl_number=7)).marks)


def test_chip_whose_committed_firmware_went_back_is_a_rollback():
    newer = {"current": {"snp": 26}, "committed": {"snp": 25}}
    marks = CollateralHighWater({}).advance(verify_simulated(report(**newer)).marks)

    with pytest.raises(AttestationError, match="rolled back: snp-committed-tcb number 24 after 25"):
        marks.advance(verify_simulated().marks)


# ---- the form of the collateral


def verify_text(text: str, policy=None):
    return verify_snp(
        Evidence("sev-snp", report().hex(), text),
        policy or policy_for(Chain()),
        NOW,
        expected_report_data=REPORT_DATA,
        reference_measurements=frozenset({MEASUREMENT}),
    )


def collateral_with(**changes) -> str:
    return json.dumps({**json.loads(Chain().collateral()), **changes})


def certificates(*order: int) -> str:
    mark = "-----END CERTIFICATE-----\n"
    parts = [part + mark for part in json.loads(Chain().collateral())["certificates"].split(mark)[:-1]]
    return "".join(parts[index] for index in order)


FORMS = {
    "not JSON": "certificates",
    "unknown member": collateral_with(more=1),
    "no certificates": collateral_with(certificates=""),
    "leaf alone": collateral_with(certificates=certificates(0)),
    "other order": collateral_with(certificates=certificates(1, 0, 2)),
    "two leaves": collateral_with(certificates=certificates(0, 0, 1, 2)),
    "too many": collateral_with(certificates=certificates(0, 1, 2, 2, 2)),
    "no PEM": collateral_with(certificates="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    "not ASCII": collateral_with(certificates="ä"),
    "no list": collateral_with(crl=""),
    "list not hexadecimal": collateral_with(crl="zz"),
    "list too long": collateral_with(crl="00" * 70_000),
    "root left out": collateral_with(certificates=certificates(0, 1)),
}


@pytest.mark.parametrize("case", FORMS)
def test_collateral_of_another_form_is_refused(case):
    with pytest.raises(AttestationError):
        verify_text(FORMS[case])


def test_root_may_be_left_out_when_the_policy_holds_its_certificate():
    policy = policy_for(Chain())
    holding = replace(policy.roots[0], der=Chain().root().public_bytes(Encoding.DER))
    other = replace(Chain(root_key="other root", root_name="ARK-Genoa"))
    elsewhere = replace(policy.roots[0], der=other.root().public_bytes(Encoding.DER), spki_sha256=other.root_pin())

    assert verify_text(FORMS["root left out"], replace(policy, roots=(holding,))).measurement == MEASUREMENT
    with pytest.raises(AttestationError, match="trusts no root"):
        verify_text(FORMS["root left out"], replace(policy, roots=(elsewhere,)))


def test_only_der_can_be_encoded_as_collateral():
    with pytest.raises(AttestationError, match="must be DER"):
        encode_snp_collateral(b"", b"", b"", b"")


def flipped_certificate(number: int, bit: int) -> str:
    mark = "-----END CERTIFICATE-----\n"
    parts = [part + mark for part in json.loads(Chain().collateral())["certificates"].split(mark)[:-1]]
    der = bytearray(ssl.PEM_cert_to_DER_cert(parts[number]))
    der[bit // 8] ^= 1 << bit % 8
    parts[number] = ssl.DER_cert_to_PEM_cert(bytes(der))
    return collateral_with(certificates="".join(parts))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_no_bit_at_the_head_of_a_certificate_is_a_failure_inside(number):
    """Lengths, version and serial number stand there: what the library raises for them isn't always a ValueError."""
    for bit in range(8 * 24):
        with pytest.raises(AttestationError):
            verify_text(flipped_certificate(number, bit))


def test_no_bit_at_the_head_of_the_revocation_list_is_a_failure_inside():
    original = bytes.fromhex(json.loads(Chain().collateral())["crl"])
    for bit in range(8 * 32):
        der = bytearray(original)
        der[bit // 8] ^= 1 << bit % 8
        with pytest.raises(AttestationError):
            verify_text(collateral_with(crl=bytes(der).hex()))
