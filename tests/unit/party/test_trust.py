"""Which evidence a party believes: production unless it says otherwise, in its own home, by an unsafe name."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.isolation import Isolation
from heartify.attestation.policy import PRODUCTION_POLICY, unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.errors import InputError, PolicyError
from heartify.party.trust import load_trust, trust_simulated_root

NOW = 1_795_000_000
POLICY_TOML = """
name = "our own"
[intel]
min_tcb_evaluation_data_number = 20
[[roots]]
name = "Intel SGX Root CA"
simulated = false
"""


@pytest.fixture(scope="module")
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(NOW)


@pytest.fixture
def root_file(platform, tmp_path):
    path = tmp_path / "root.pem"
    path.write_bytes(platform.certificates.root.public_bytes(Encoding.PEM))
    return path


def test_home_without_a_choice_trusts_production_only(tmp_path):
    assert load_trust(tmp_path) is PRODUCTION_POLICY
    assert not any(root.simulated for root in load_trust(tmp_path).roots)


def test_simulated_root_is_trusted_only_when_asked_and_alone(tmp_path, root_file, platform):
    trust_simulated_root(tmp_path / "home", root_file)

    policy = load_trust(tmp_path / "home")

    assert policy.name == "unsafe-simulation"
    assert [(root.der, root.simulated) for root in policy.roots] == [(platform.root_der, True)]


def test_policy_file_wins_over_a_simulated_root(tmp_path, root_file):
    home = tmp_path / "home"
    trust_simulated_root(home, root_file)
    (home / "trust-policy.toml").write_text(POLICY_TOML)

    policy = load_trust(home)

    assert (policy.name, policy.intel.min_tcb_evaluation_data_number) == ("our own", 20)
    assert not any(root.simulated for root in policy.roots)


def test_wrong_policy_file_is_refused_and_not_passed_over(tmp_path, root_file):
    home = tmp_path / "home"
    trust_simulated_root(home, root_file)
    (home / "trust-policy.toml").write_text(POLICY_TOML.replace("min_tcb", "minimum_tcb"))

    with pytest.raises(InputError, match="unknown field"):
        load_trust(home)


def test_policy_file_without_roots_is_refused(tmp_path):
    (tmp_path / "trust-policy.toml").write_text('name = "nobody"\nroots = []\n')

    with pytest.raises(PolicyError, match="no trust root"):
        load_trust(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_file_without_a_certificate_is_refused_and_nothing_is_kept(tmp_path, content):
    source, home = tmp_path / "root.pem", tmp_path / "home"
    source.write_bytes(content)

    with pytest.raises(InputError, match="no PEM certificate"):
        trust_simulated_root(home, source)
    assert not home.exists()


def test_missing_root_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no PEM certificate"):
        trust_simulated_root(tmp_path / "home", tmp_path / "none.pem")


def test_damaged_simulated_root_is_refused_and_not_passed_over(tmp_path, root_file):
    home = tmp_path / "home"
    trust_simulated_root(home, root_file)
    (home / "unsafe-simulated-root.pem").write_text("damaged")

    with pytest.raises(InputError, match="no PEM certificate"):
        load_trust(home)


def test_required_isolation_is_kept_as_a_policy_that_differs_in_nothing_else(tmp_path, root_file, platform):
    trust_simulated_root(tmp_path / "home", root_file, ("sandbox", "system-call-filter"))

    policy = load_trust(tmp_path / "home")

    assert policy == unsafe_simulation_policy(platform.root_der, required_isolation=("system-call-filter", "sandbox"))
    assert policy.required_isolation == Isolation.SANDBOX | Isolation.SYSTEM_CALL_FILTER


def test_unknown_isolation_is_refused_before_anything_is_believed(tmp_path, root_file):
    with pytest.raises(PolicyError, match="unknown isolation 'sandbax'"):
        trust_simulated_root(tmp_path / "home", root_file, ("sandbax",))

    assert load_trust(tmp_path / "home") is PRODUCTION_POLICY
