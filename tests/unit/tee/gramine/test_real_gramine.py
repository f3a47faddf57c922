"""What only Gramine itself can show; each test runs where Gramine, or SGX, is installed, and says so where not."""

from __future__ import annotations

import shutil

import pytest

from heartify.protocol.canonical import to_hex
from heartify.protocol.size_class import size_class
from heartify.tee.gramine.build import BuildOptions, measure_build, sign_build, stage_build
from heartify.tee.gramine.host_check import SgxHost
from heartify.tee.gramine.image import adapt_image_to_gramine
from heartify.tee.gramine.installation import GramineInstallation
from heartify.tee.gramine.launcher import GramineSgxLauncher, UnsafeGramineDirectLauncher, stage_for_direct
from heartify.tee.image_contents import build_enclave_image

OPTIONS = BuildOptions(size_class=size_class(1), app_version="0.1.0", edmm=False)
SECONDS = 300.0


def need(*programs):
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"{', '.join(missing)} not on PATH: Gramine is not installed on this machine")


@pytest.fixture
def real_image(plain_image):
    installation = GramineInstallation.find()
    image = adapt_image_to_gramine(plain_image, installation.runtime_folder, entry="gramine_probe:probe")
    return image, installation.libos()


@pytest.mark.slow
def test_gramine_direct_runs_the_image(tmp_path, request):
    need("gramine-direct")
    image, libos = request.getfixturevalue("real_image")
    stage_build(image, tmp_path / "build", libos, OPTIONS)
    stage_for_direct(tmp_path / "build")

    with UnsafeGramineDirectLauncher(tmp_path / "build") as launcher, launcher.launch() as enclave:
        enclave.send_frame({"op": "job", "do": "look"})
        seen, _ = enclave.receive_frame(SECONDS)
        enclave.send_frame({"op": "job", "do": "evidence", "report_data": to_hex(bytes(64))})
        answer, _ = enclave.receive_frame(SECONDS)

    assert all(path.startswith("/image/") for path in seen["path"])
    assert answer["evidence"] is None


@pytest.mark.slow
def test_the_production_measurement_is_the_same_twice(request):
    need("gramine-manifest", "gramine-sgx-sign")
    installation = GramineInstallation.find()
    image = adapt_image_to_gramine(build_enclave_image(), installation.runtime_folder)

    measurements = {measure_build(image, installation.libos(), OPTIONS).sigstruct.mr_enclave for _ in range(2)}

    assert len(measurements) == 1


@pytest.mark.slow
def test_an_enclave_of_hardware_quotes_itself(tmp_path, request, key_file):
    need("gramine-manifest", "gramine-sgx-sign", "gramine-sgx")
    if not SgxHost().enclave_device.exists():
        pytest.skip("no /dev/sgx_enclave: this machine has no SGX")
    image, libos = request.getfixturevalue("real_image")
    stage_build(image, tmp_path / "build", libos, OPTIONS)
    build = sign_build(tmp_path / "build", key_file)

    with GramineSgxLauncher(build.folder, log_file=tmp_path / "gramine.log") as launcher, launcher.launch() as enclave:
        enclave.send_frame({"op": "job", "do": "evidence", "report_data": to_hex(bytes(range(64)))})
        asked, _ = enclave.receive_frame(SECONDS)
        enclave.send_frame({"op": "collateral", "ok": True, "collateral": "{}"})
        answer, _ = enclave.receive_frame(SECONDS)

    quote = bytes.fromhex(answer["evidence"]["quote_hex"])
    assert asked["tee_kind"] == "sgx"
    assert quote[48 + 64 : 48 + 96] == build.sigstruct.mr_enclave
    assert quote[48 + 320 : 48 + 384] == bytes(range(64))
