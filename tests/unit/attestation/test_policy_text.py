"""Policies in sentences: nothing of a policy is hidden, the dangerous is said first, the documentation's are valid."""

from __future__ import annotations

import datetime as dt
from dataclasses import fields, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.dcap.demands import IntelDemands, SgxDemands, TdxDemands
from heartify.attestation.isolation import Isolation
from heartify.attestation.platforms import AllowedPlatform
from heartify.attestation.policy import PRODUCTION_POLICY, PinnedMeasurement, VerifierPolicy
from heartify.attestation.policy_file import parse_policy_toml
from heartify.attestation.policy_text import describe_policy
from heartify.attestation.roots import AMD_ROOTS, INTEL_SGX_ROOT
from heartify.attestation.snp.demands import SnpDemands
from heartify.protocol.evidence import TeeKind

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "trust-policy.md"
BASE = VerifierPolicy(name="base", roots=(INTEL_SGX_ROOT,))
MACHINE = AllowedPlatform(id=b"\xab" * 16, operator="an operator", site="a site", until=dt.date(2027, 12, 31))
CHANGES = {
    "name": "another",
    "roots": (INTEL_SGX_ROOT, AMD_ROOTS[0]),
    "accepted_tee_kinds": TeeKind.SGX,
    "allow_simulated": True,
    "required_isolation": Isolation.SANDBOX,
    "maximum_collateral_age_days": 3,
    "platforms": (MACHINE,),
    "pinned_measurements": frozenset({PinnedMeasurement(TeeKind.SGX, b"\x01" * 32)}),
}
TABLES = {
    "intel": (
        IntelDemands,
        {
            "accepted_tcb_statuses": frozenset({"OutOfDate"}),
            "accepted_advisories": frozenset({"INTEL-SA-00615"}),
            "rejected_advisories": frozenset({"INTEL-SA-00219"}),
            "platform_grace_days": 4711,
            "qe_grace_days": 4712,
            "min_tcb_evaluation_data_number": 4713,
            "accepted_sgx_types": frozenset({1}),
            "allow_dynamic_platform": True,
            "allow_cached_keys": True,
            "allow_smt": True,
        },
    ),
    "sgx": (SgxDemands, {"min_isv_svn": 9, "isv_prod_id": 8, "config_id_hex": "ab" * 64, "xfrm_allowed": 3}),
    "tdx": (
        TdxDemands,
        {
            "allowed_attributes": frozenset({"pks"}),
            "xfam_allowed": 7,
            "rtmr3_hex": "03" * 48,
            "mr_config_id_hex": "04" * 48,
            "mr_owner_hex": "05" * 48,
            "mr_owner_config_hex": "06" * 48,
        },
    ),
}


def test_list_of_changes_here_is_complete():
    assert CHANGES.keys() | TABLES.keys() | {"sev_snp"} == {field.name for field in fields(VerifierPolicy)}
    for demands, changes in TABLES.values():
        assert changes.keys() == {field.name for field in fields(demands)}


@pytest.mark.parametrize("member", CHANGES)
def test_every_member_of_a_policy_shows_in_its_text(member):
    assert describe_policy(replace(BASE, **{member: CHANGES[member]})) != describe_policy(BASE)


@pytest.mark.parametrize(
    ("table", "member"), [(table, member) for table, (_, changes) in TABLES.items() for member in changes]
)
def test_every_member_of_a_table_shows_in_the_text(table, member):
    demands, changes = TABLES[table]

    changed = replace(BASE, **{table: demands(**{member: changes[member]})})

    assert describe_policy(changed) != describe_policy(BASE)


@pytest.mark.parametrize("member", [field.name for field in fields(SnpDemands)])
def test_every_member_of_sev_snp_is_named_in_the_text(member):
    assert any(line.startswith(f"SEV-SNP: {member} is ") for line in describe_policy(BASE))


def test_simulation_is_said_to_be_unsafe_before_anything_else(case):
    lines = describe_policy(replace(case.policy, required_isolation=Isolation.SANDBOX | Isolation.OWN_USER))

    assert lines[1].startswith("UNSAFE: simulated TEEs are accepted")
    assert lines[2] == "A simulated process must be isolated by: sandbox, own-user."


def test_production_policy_says_nothing_unsafe_and_what_it_cannot_verify():
    lines = describe_policy(PRODUCTION_POLICY)

    assert not any("UNSAFE" in line for line in lines)
    assert not any("refused all the same" in line for line in lines)
    assert "Machines of any operator at any site are accepted." in lines
    assert any("sev-snp will be refused all the same" in line for line in describe_policy(BASE))


def test_machines_are_listed_with_operator_site_and_last_day():
    lines = describe_policy(replace(BASE, platforms=(MACHINE,)))

    assert f"  {'ab' * 16} of an operator at a site, until 2027-12-31." in lines


def examples() -> list[str]:
    return [part.partition("```")[0] for part in PAGE.read_text().split("```toml\n")[1:]]


def test_full_example_of_the_reference_is_a_strict_policy():
    policy = parse_policy_toml(examples()[0])

    assert policy.name == "university hospital, production"
    assert not policy.allow_simulated
    assert [root.name for root in policy.roots] == ["Intel SGX Root CA", "AMD ARK Genoa"]
    assert policy.platforms[0].until == dt.date(2027, 12, 31)
    assert policy.tdx.xfam_allowed == TdxDemands().xfam_allowed
    assert policy.sev_snp.products() == ("Genoa",)


def test_simulated_example_of_the_reference_accepts_simulated_evidence_of_enough_isolation(case):
    pem = x509.load_der_x509_certificate(case.platform.root_der).public_bytes(Encoding.PEM).decode()

    policy = parse_policy_toml(examples()[1].replace("SIMULATED_ROOT_PEM", pem))

    assert policy.required_isolation == Isolation.SANDBOX | Isolation.SYSTEM_CALL_FILTER
    assert case.verify(policy=replace(policy, required_isolation=Isolation.NONE)).simulated


def test_reference_names_every_member_of_every_table():
    text = PAGE.read_text()
    tables = (VerifierPolicy, IntelDemands, SgxDemands, TdxDemands)

    assert [member.name for table in tables for member in fields(table) if member.name not in text] == []
