"""The simulated platform: it says that it is simulated, and keeps its keys to its owner."""

from __future__ import annotations

import stat
from dataclasses import fields

import pytest

from heartify.attestation.simulated import SimulatedPlatform
from heartify.errors import EnclaveError, InputError, IntegrityError


def test_every_name_in_the_certificates_says_simulated_and_not_intel(case):
    certificates = case.platform.certificates
    for field in fields(certificates):
        certificate = getattr(certificates, field.name)
        for name in (certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()):
            assert "Simulated" in name
            assert "not Intel" in name


def test_stored_platform_quotes_under_the_same_root(case, tmp_path):
    case.platform.store(tmp_path / "platform")

    loaded = SimulatedPlatform.load(tmp_path / "platform")

    assert loaded.root_der == case.platform.root_der
    assert loaded.identity == case.platform.identity
    assert case.verify(case.evidence(platform=loaded)).simulated


def test_stored_files_are_private_and_named_simulated(case, tmp_path):
    case.platform.store(tmp_path / "platform")

    files = list((tmp_path / "platform").iterdir())

    assert len(files) == 10
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert all(file.name.startswith("simulated-") for file in files)


def test_storing_over_a_platform_is_refused(case, tmp_path):
    case.platform.store(tmp_path)

    with pytest.raises(InputError, match="already holds"):
        SimulatedPlatform.create(case.now).store(tmp_path)


def test_loading_an_absent_platform_is_refused(tmp_path):
    with pytest.raises(InputError, match="can't be read"):
        SimulatedPlatform.load(tmp_path)


def test_loading_keys_that_others_can_read_is_refused(case, tmp_path):
    case.platform.store(tmp_path)
    (tmp_path / "simulated-pck.key.pem").chmod(0o640)

    with pytest.raises(InputError, match="open to other users"):
        SimulatedPlatform.load(tmp_path)


@pytest.mark.parametrize("name", ["simulated-pck.key.pem", "simulated-root.cert.pem", "simulated-identity.json"])
@pytest.mark.parametrize("content", [b"damaged", b"x" * 70000])
def test_loading_a_damaged_file_is_refused(case, tmp_path, name, content):
    case.platform.store(tmp_path)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(IntegrityError):
        SimulatedPlatform.load(tmp_path)


def test_loading_a_key_of_another_platform_is_refused(case, tmp_path):
    case.platform.store(tmp_path / "a")
    SimulatedPlatform.create(case.now).store(tmp_path / "b")
    name = "simulated-pck.key.pem"
    (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())

    with pytest.raises(IntegrityError, match="don't belong together"):
        SimulatedPlatform.load(tmp_path / "a")


@pytest.mark.parametrize(
    ("measurement", "report_data"), [(b"", bytes(64)), (bytes(32), bytes(63)), (bytes(48), bytes(64))]
)
def test_quote_of_wrong_sizes_is_refused(case, measurement, report_data):
    with pytest.raises(EnclaveError, match="wrong size"):
        case.platform.quote(measurement, report_data)


def test_representation_shows_no_key(case):
    assert "private" not in repr(case.platform).lower()
    assert "EllipticCurve" not in repr(case.platform) + repr(case.platform.keys)
