"""Policies: what can't be built, and what the documents of a security officer may say."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.dcap.demands import IntelDemands, SgxDemands, TdxDemands
from heartify.attestation.isolation import Isolation
from heartify.attestation.platforms import AllowedPlatform
from heartify.attestation.policy import (
    PRODUCTION_POLICY,
    PinnedMeasurement,
    VerifierPolicy,
    unsafe_simulation_policy,
)
from heartify.attestation.policy_file import load_policy, parse_policy_json, parse_policy_toml
from heartify.attestation.roots import AMD_ROOTS, INTEL_SGX_ROOT, TrustRoot, Vendor
from heartify.attestation.snp.demands import SnpDemands
from heartify.errors import InputError, PolicyError
from heartify.protocol.evidence import TeeKind

DOCS = Path(__file__).resolve().parents[3] / "docs"
INTEL = '[[roots]]\nname = "Intel SGX Root CA"\n'
SIMULATED = 'name = "x"\nallow_simulated = true\naccepted_tee_kinds = ["simulated-sgx"]\n'


def simulated_root_toml(case) -> str:
    pem = x509.load_der_x509_certificate(case.platform.root_der).public_bytes(Encoding.PEM).decode()
    return f"[[roots]]\nname = 'Simulated root of a test'\nsimulated = true\ncertificate_pem = '''{pem}'''\n"


def test_policy_document_has_the_strict_defaults_of_the_policy():
    policy = parse_policy_toml(f'name = "hospital"\n{INTEL}')

    assert policy == VerifierPolicy(name="hospital", roots=(INTEL_SGX_ROOT,))
    assert policy.intel.accepted_tcb_statuses == {"UpToDate"}
    assert not policy.accepted_tee_kinds.is_simulated


def test_policy_document_with_simulated_root_is_refused_without_allow_simulated(case):
    with pytest.raises(PolicyError, match="without allow_simulated"):
        parse_policy_toml(f'name = "x"\n{simulated_root_toml(case)}')


def test_policy_document_with_simulated_root_is_refused_without_a_simulated_kind(case):
    with pytest.raises(PolicyError, match="accepts no simulated TEE kind"):
        parse_policy_toml(f'name = "x"\nallow_simulated = true\n{simulated_root_toml(case)}')


def test_policy_document_with_simulated_root_verifies_when_it_says_so(case):
    policy = parse_policy_toml(SIMULATED + simulated_root_toml(case))

    assert case.verify(policy=policy).root_name == "Simulated root of a test"


def every_member() -> dict:
    return {
        "name": "all",
        "roots": [{"name": "Intel SGX Root CA", "simulated": False}, {"name": "AMD ARK Genoa"}],
        "accepted_tee_kinds": ["sgx", "sev-snp"],
        "allow_simulated": False,
        "required_isolation": ["sandbox", "own-user"],
        "maximum_collateral_age_days": 9,
        "platforms": [
            {"id": "ab" * 16, "operator": "an operator", "site": "a site", "until": "2027-12-31"},
            {"id": "cd" * 64, "operator": "another", "site": "its site"},
        ],
        "pinned_measurements": {"sgx": ["ef" * 32], "tdx": ["01" * 48]},
        "intel": {
            "accepted_tcb_statuses": ["UpToDate", "OutOfDate"],
            "accepted_advisories": ["INTEL-SA-00615"],
            "rejected_advisories": ["INTEL-SA-00219"],
            "platform_grace_days": 1,
            "qe_grace_days": 2,
            "min_tcb_evaluation_data_number": 3,
            "accepted_sgx_types": [2],
            "allow_dynamic_platform": True,
            "allow_cached_keys": True,
            "allow_smt": True,
        },
        "sgx": {"min_isv_svn": 4, "isv_prod_id": 5, "config_id_hex": "ab" * 64, "xfrm_allowed": 3},
        "tdx": {
            "allowed_attributes": ["pks"],
            "xfam_allowed": 7,
            "rtmr3_hex": "03" * 48,
            "mr_config_id_hex": "04" * 48,
            "mr_owner_hex": "05" * 48,
            "mr_owner_config_hex": "06" * 48,
        },
        "sev_snp": {"min_guest_svn": 6, "allow_smt": True},
    }


def test_every_member_of_the_policy_can_be_written(tmp_path):
    document = every_member()
    assert document.keys() == {field.name for field in fields(VerifierPolicy)}
    for table, demands in (("intel", IntelDemands), ("sgx", SgxDemands), ("tdx", TdxDemands)):
        assert document[table].keys() == {field.name for field in fields(demands)}
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(document))

    policy = load_policy(path)

    assert policy == parse_policy_json(path.read_bytes())
    assert policy == VerifierPolicy(
        name="all",
        roots=(INTEL_SGX_ROOT, AMD_ROOTS[1]),
        accepted_tee_kinds=TeeKind.SGX | TeeKind.SEV_SNP,
        required_isolation=Isolation.SANDBOX | Isolation.OWN_USER,
        maximum_collateral_age_days=9,
        platforms=(
            AllowedPlatform(id=b"\xab" * 16, operator="an operator", site="a site", until=dt.date(2027, 12, 31)),
            AllowedPlatform(id=b"\xcd" * 64, operator="another", site="its site"),
        ),
        pinned_measurements=frozenset(
            {PinnedMeasurement(TeeKind.SGX, b"\xef" * 32), PinnedMeasurement(TeeKind.TDX, b"\x01" * 48)}
        ),
        intel=IntelDemands(
            accepted_tcb_statuses=frozenset({"UpToDate", "OutOfDate"}),
            accepted_advisories=frozenset({"INTEL-SA-00615"}),
            rejected_advisories=frozenset({"INTEL-SA-00219"}),
            platform_grace_days=1,
            qe_grace_days=2,
            min_tcb_evaluation_data_number=3,
            accepted_sgx_types=frozenset({2}),
            allow_dynamic_platform=True,
            allow_cached_keys=True,
            allow_smt=True,
        ),
        sgx=SgxDemands(min_isv_svn=4, isv_prod_id=5, config_id_hex="ab" * 64, xfrm_allowed=3),
        tdx=TdxDemands(
            allowed_attributes=frozenset({"pks"}),
            xfam_allowed=7,
            rtmr3_hex="03" * 48,
            mr_config_id_hex="04" * 48,
            mr_owner_hex="05" * 48,
            mr_owner_config_hex="06" * 48,
        ),
        sev_snp=SnpDemands(min_guest_svn=6, allow_smt=True),
    )


@pytest.mark.parametrize(
    "text",
    [
        'name = "x"\n',
        "name = ",
        f'name = "x"\nmin_isv_svn = 2\n{INTEL}',
        f'name = "x"\n{INTEL}[sgx]\nmin_isv_snv = 2\n',
        f'name = "x"\n{INTEL}[sgx]\nmin_isv_svn = "2"\n',
        f'name = "x"\n{INTEL}[intel]\naccepted_tcb_status = ["UpToDate"]\n',
        f'name = "x"\n{INTEL}[tdx]\nmr_owner = "00"\n',
        f'name = "x"\n{INTEL}[sev_snp]\nallow_debug = true\n',
        f'name = "x"\n{INTEL}[arm_cca]\n',
        f'name = "x"\nintel = 3\n{INTEL}',
        f'name = "x"\n{INTEL}trusted = true\n',
        f'name = "x"\n{INTEL}[[platforms]]\nid = "00"\noperator = "x"\n',
        f'name = "x"\nmaximum_collateral_age_days = 1.5\n{INTEL}',
    ],
)
def test_misspelt_or_incomplete_policy_is_refused(text):
    with pytest.raises(InputError, match="verifier policy"):
        parse_policy_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"name":1,"roots":[]}',
        "[" * 100_000,
        '{"name":"x","name":"y","roots":[{"name":"Intel SGX Root CA"}]}',
        '{"name":"x","roots":[{"name":"Intel SGX Root CA"}],"sgx":{"min_isv_svn":2,"min_isv_svn":0}}',
    ],
    ids=["empty", "nothing", "list", "types", "deep", "name twice", "floor twice"],
)
def test_malformed_json_policy_is_refused(text):
    with pytest.raises(InputError, match="verifier policy"):
        parse_policy_json(text)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"accepted_tee_kinds": []}, "accepts no TEE kind"),
        ({"accepted_tee_kinds": ["SGX"]}, "unknown TEE kind"),
        ({"accepted_tee_kinds": ["sgx", "simulated-sgx"]}, "without allow_simulated"),
        ({"required_isolation": ["sandpit"]}, "unknown isolation"),
        ({"maximum_collateral_age_days": 0}, "at least 1"),
        ({"platforms": [{"id": "00" * 16, "operator": "x", "site": "y"}]}, "or is zero"),
        ({"platforms": [{"id": "ab" * 15, "operator": "x", "site": "y"}]}, "has 15 bytes"),
        ({"platforms": [{"id": "AB" * 16, "operator": "x", "site": "y"}]}, "lower-case hex"),
        ({"platforms": [{"id": "ab" * 16, "operator": " ", "site": "y"}]}, "must be named"),
        ({"platforms": [{"id": "ab" * 16, "operator": "x", "site": "y"}] * 2}, "listed twice"),
        ({"pinned_measurements": {"sgx": ["ab" * 48]}}, "of sgx has 48 bytes"),
        ({"pinned_measurements": {"sgx": ["xy"]}}, "lower-case hex"),
        ({"pinned_measurements": {"sgx2": ["ab" * 32]}}, "unknown TEE kind"),
        ({"roots": []}, "no trust root"),
        ({"roots": [{"name": "Intel SGX Root CA"}] * 2}, "two roots of one name"),
    ],
)
def test_contradictory_policy_document_is_refused(changes, reason):
    with pytest.raises(PolicyError, match=reason):
        parse_policy_json(json.dumps({**every_member(), **changes}))


@pytest.mark.parametrize(
    ("demands", "change", "reason"),
    [
        (IntelDemands, {"accepted_tcb_statuses": frozenset({"Revoked"})}, "can't be accepted"),
        (IntelDemands, {"accepted_tcb_statuses": frozenset()}, "empty list"),
        (IntelDemands, {"rejected_advisories": frozenset({"SA-1"})}, "not an advisory"),
        (IntelDemands, {"accepted_advisories": frozenset({"INTEL-SA-1"})}, "not an advisory"),
        (IntelDemands, {"qe_grace_days": -1}, "negative"),
        (IntelDemands, {"accepted_sgx_types": frozenset({3})}, "accepted_sgx_types"),
        (IntelDemands, {"accepted_sgx_types": frozenset()}, "accepted_sgx_types"),
        (SgxDemands, {"min_isv_svn": -1}, "16 bits"),
        (SgxDemands, {"isv_prod_id": 1 << 16}, "16 bits"),
        (SgxDemands, {"xfrm_allowed": -1}, "64 bits"),
        (SgxDemands, {"config_id_hex": "00"}, "config_id_hex"),
        (TdxDemands, {"allowed_attributes": frozenset({"debug"})}, "can't be allowed: debug"),
        (TdxDemands, {"allowed_attributes": frozenset({"migratable"})}, "can't be allowed: migratable"),
        (TdxDemands, {"xfam_allowed": 1 << 64}, "64 bits"),
        (TdxDemands, {"rtmr3_hex": "00" * 47}, "rtmr3_hex"),
        (TdxDemands, {"mr_owner_hex": "FF" * 48}, "mr_owner_hex"),
    ],
)
def test_demand_out_of_its_range_cannot_be_built(demands, change, reason):
    with pytest.raises(PolicyError, match=reason):
        demands(**change)


def test_simulation_policy_takes_the_words_of_isolation(case):
    policy = unsafe_simulation_policy(case.platform.root_der, required_isolation=("sandbox",))

    assert policy.required_isolation == Isolation.SANDBOX
    with pytest.raises(PolicyError, match="unknown isolation"):
        unsafe_simulation_policy(case.platform.root_der, required_isolation=("sandpit",))


# ---- roots


def test_root_cannot_hide_that_it_is_simulated(case):
    with pytest.raises(PolicyError, match="certificate says that it is simulated"):
        TrustRoot("Acme Root", case.platform.root_der, simulated=False)
    with pytest.raises(PolicyError, match="must contain 'simulated'"):
        TrustRoot("Acme Root", case.platform.root_der, simulated=True)
    with pytest.raises(PolicyError, match="needs its own certificate"):
        TrustRoot("Simulated", None, simulated=True)


@pytest.mark.parametrize(
    "root",
    [
        '[[roots]]\nname = "Simulated"\nsimulated = true\n',
        '[[roots]]\nname = "Acme"\nsimulated = false\n',
        '[[roots]]\nname = "Acme"\nsimulated = false\ncertificate_pem = "x"\n',
    ],
)
def test_root_without_usable_certificate_is_refused(root):
    with pytest.raises(PolicyError, match="certificate_pem"):
        parse_policy_toml(SIMULATED + root)


def test_roots_of_amd_are_known_by_name_and_pinned_by_key():
    policy = parse_policy_toml('name = "x"\n' + "".join(f'[[roots]]\nname = "{root.name}"\n' for root in AMD_ROOTS))

    assert policy.roots == AMD_ROOTS
    assert {root.vendor for root in policy.roots} == {Vendor.AMD}


def test_certificate_under_the_name_of_an_amd_root_must_have_its_key(case):
    certificate = x509.load_der_x509_certificate(case.platform.root_der).public_bytes(Encoding.PEM).decode()
    root = TrustRoot("Simulated ARK", case.platform.root_der, simulated=True)
    assert root.vendor is Vendor.INTEL

    with pytest.raises(PolicyError, match=r"says that it is simulated|another key"):
        parse_policy_toml(f"name = 'x'\n[[roots]]\nname = 'AMD ARK Milan'\ncertificate_pem = '''{certificate}'''\n")
    with pytest.raises(PolicyError, match="another key than the pinned one"):
        TrustRoot("Simulated ARK", case.platform.root_der, simulated=True, spki_sha256=bytes(32))
    with pytest.raises(PolicyError, match="32 bytes"):
        TrustRoot("ARK", None, simulated=False, spki_sha256=bytes(31))
    with pytest.raises(PolicyError, match="not DER"):
        TrustRoot("ARK", b"x", simulated=False, spki_sha256=bytes(32))


# ---- files


def test_policy_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "big.toml").write_text("#" * 70000)

    for name, reason in (("none.toml", "can't be read"), ("policy.yaml", "expected a .toml"), ("big.toml", "larger")):
        with pytest.raises(InputError, match=reason):
            load_policy(tmp_path / name)


def test_policy_in_the_explanation_is_valid():
    example = (DOCS / "explanation" / "attestation.md").read_text().partition("```toml\n")[2].partition("```")[0]

    policy = parse_policy_toml(example)

    assert policy.intel.accepted_advisories == {"INTEL-SA-00615"}
    assert not policy.allow_simulated


def test_production_policy_is_strict_about_status_and_advisories():
    assert PRODUCTION_POLICY.intel.accepted_tcb_statuses == {"UpToDate"}
    assert not PRODUCTION_POLICY.intel.accepted_advisories
    assert replace(PRODUCTION_POLICY, intel=IntelDemands()).sgx == SgxDemands()
