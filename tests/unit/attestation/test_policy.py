"""Policies: what can't be built, and what the documents of a security officer may say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.policy import PRODUCTION_POLICY, VerifierPolicy
from heartify.attestation.policy_file import load_policy, parse_policy_json, parse_policy_toml
from heartify.attestation.roots import INTEL_SGX_ROOT, TrustRoot
from heartify.errors import InputError, PolicyError

INTEL = '[[roots]]\nname = "Intel SGX Root CA"\nsimulated = false\n'


def simulated_root_toml(case) -> str:
    pem = x509.load_der_x509_certificate(case.platform.root_der).public_bytes(Encoding.PEM).decode()
    return f"[[roots]]\nname = 'Simulated root of a test'\nsimulated = true\ncertificate_pem = '''{pem}'''\n"


def test_policy_document_has_the_strict_defaults_of_the_policy():
    policy = parse_policy_toml(f'name = "hospital"\n{INTEL}')

    assert policy == VerifierPolicy(name="hospital", roots=(INTEL_SGX_ROOT,))
    assert policy.accepted_tcb_statuses == {"UpToDate"}


def test_policy_document_with_simulated_root_is_refused_without_allow_simulated(case):
    with pytest.raises(PolicyError, match="without allow_simulated"):
        parse_policy_toml(f'name = "x"\n{simulated_root_toml(case)}')


def test_policy_document_with_simulated_root_verifies_when_it_says_so(case):
    policy = parse_policy_toml(f'name = "x"\nallow_simulated = true\n{simulated_root_toml(case)}')

    assert case.verify(policy=policy).root_name == "Simulated root of a test"


def test_every_member_of_the_policy_can_be_written(tmp_path):
    document = {
        "name": "all",
        "roots": [{"name": "Intel SGX Root CA", "simulated": False}],
        "accepted_tcb_statuses": ["UpToDate", "OutOfDate"],
        "accepted_advisories": ["INTEL-SA-00615"],
        "rejected_advisories": ["INTEL-SA-00219"],
        "platform_grace_seconds": 1,
        "qe_grace_seconds": 2,
        "min_tcb_evaluation_data_number": 3,
        "min_isv_svn": 4,
        "isv_prod_id": 5,
        "config_id_hex": "ab" * 64,
        "accepted_sgx_types": [2],
        "allow_dynamic_platform": True,
        "allow_cached_keys": True,
        "allow_smt": True,
        "xfrm_allowed": 3,
        "allow_simulated": False,
    }
    assert document.keys() == set(VerifierPolicy.__dataclass_fields__)
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(document))

    policy = load_policy(path)

    assert (policy.platform_grace_seconds, policy.qe_grace_seconds, policy.min_isv_svn) == (1, 2, 4)
    assert policy.config_id_hex == "ab" * 64
    assert policy.rejected_advisories == {"INTEL-SA-00219"}


@pytest.mark.parametrize(
    "text",
    ['name = "x"\n', f'name = "x"\nmin_isv_snv = 2\n{INTEL}', "name = ", f'name = "x"\nmin_isv_svn = "2"\n{INTEL}'],
)
def test_misspelt_or_incomplete_policy_is_refused(text):
    with pytest.raises(InputError, match="verifier policy"):
        parse_policy_toml(text)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name":1,"roots":[]}'])
def test_malformed_json_policy_is_refused(text):
    with pytest.raises(InputError, match="verifier policy"):
        parse_policy_json(text)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"roots": ()}, "no trust root"),
        ({"accepted_tcb_statuses": frozenset({"Revoked"})}, "can't be accepted"),
        ({"accepted_tcb_statuses": frozenset()}, "empty list"),
        ({"rejected_advisories": frozenset({"SA-1"})}, "not an advisory"),
        ({"min_isv_svn": -1}, "negative"),
        ({"config_id_hex": "00"}, "config_id_hex"),
        ({"accepted_sgx_types": frozenset({3})}, "accepted_sgx_types"),
        ({"accepted_sgx_types": frozenset()}, "accepted_sgx_types"),
    ],
)
def test_contradictory_policy_cannot_be_built(change, reason):
    with pytest.raises(PolicyError, match=reason):
        replace(PRODUCTION_POLICY, **change)


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
        parse_policy_toml(f'name = "x"\nallow_simulated = true\n{root}')


def test_policy_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "big.toml").write_text("#" * 70000)

    for name, reason in (("none.toml", "can't be read"), ("policy.yaml", "expected a .toml"), ("big.toml", "larger")):
        with pytest.raises(InputError, match=reason):
            load_policy(tmp_path / name)


def test_policy_in_the_documentation_is_valid():
    page = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "attestation.md"
    example = page.read_text().partition("```toml\n")[2].partition("```")[0]

    policy = parse_policy_toml(example)

    assert policy.accepted_advisories == {"INTEL-SA-00615"}
    assert not policy.allow_simulated
