"""From a pool's settings to a launcher: each kind of TEE has one, and what a kind needs is asked for."""

from __future__ import annotations

import time

import pytest

from heartify.attestation.simulated import SimulatedPlatform
from heartify.errors import EnclaveError, HeartifyError, InputError, UsageError
from heartify.protocol.evidence import TeeKind
from heartify.tee.app_release import build_app_release, measure_installed_enclave
from heartify.tee.choose import build_launcher, check_launcher_settings
from heartify.tee.simulated.launcher import SimulatedLauncher

HARDWARE = pytest.mark.parametrize("kind", ["sgx", "tdx", "sev-snp"])


def choose(kind, tmp_path, build_folder=None):
    return build_launcher(
        kind,
        platform_folder=tmp_path / "platform",
        image_store=tmp_path / "store",
        sandbox="auto",
        build_folder=build_folder,
    )


@pytest.mark.parametrize("kind", ["simulated-sgx", "simulated-tdx"])
def test_simulated_kinds_run_what_the_app_release_of_this_installation_names(kind, tmp_path):
    SimulatedPlatform.create(int(time.time())).store(tmp_path / "platform")
    release = build_app_release("1.0")

    launcher = choose(kind, tmp_path)
    try:
        assert isinstance(launcher, SimulatedLauncher)
        assert launcher.tee_kind.wire_name == kind
        assert release.reference_measurements(kind) == {launcher.measurement}
    finally:
        launcher.close()
    assert launcher.measurement in measure_installed_enclave()


def test_app_release_names_every_simulated_kind_by_measurements_of_its_size():
    release = build_app_release("1.0")

    sizes = {kind: [len(item) for item in release.reference_measurements(kind)] for kind in release.measurements}
    assert sizes == {"simulated-sgx": [32], "simulated-tdx": [48]}
    assert (
        release.reference_measurements("simulated-sgx") | release.reference_measurements("simulated-tdx")
        == measure_installed_enclave()
    )


def test_simulation_without_its_keys_is_refused(tmp_path):
    with pytest.raises((InputError, EnclaveError), match="can't be"):
        choose("simulated-sgx", tmp_path)


@HARDWARE
def test_hardware_needs_a_build(kind, tmp_path):
    with pytest.raises(UsageError, match="needs the folder"):
        choose(kind, tmp_path)


@HARDWARE
def test_hardware_with_a_folder_that_holds_no_build_is_refused(kind, tmp_path):
    (tmp_path / "build").mkdir()

    with pytest.raises(HeartifyError):
        choose(kind, tmp_path, tmp_path / "build")


def test_simulation_takes_no_build(tmp_path):
    with pytest.raises(UsageError, match="takes no build"):
        check_launcher_settings("simulated-tdx", tmp_path)


def test_only_simulations_are_named_simulated():
    for kind in TeeKind:
        assert kind.is_simulated == kind.wire_name.startswith("simulated-")
