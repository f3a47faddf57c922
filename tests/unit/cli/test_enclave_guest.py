"""`heartify enclave guest-image` and `guest-register`: from the installed enclave to a guest that a pool can start."""

from __future__ import annotations

import hashlib
import json

import pytest

from heartify.attestation.td_measurement import td_measurement
from heartify.cli.main import main
from heartify.tee.confidential_vm.build import read_build

REGISTERS = [bytes([number]) * 48 for number in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guest")
    assert main(["enclave", "guest-image", "--folder", str(folder)]) == 0
    (folder / "kernel").write_bytes(b"kernel")
    (folder / "firmware").write_bytes(b"firmware")
    return folder


def register(folder, kind, *measurements, release=None):
    arguments = ["--folder", str(folder), "--tee-kind", kind, "--memory-mib", "6144", "--json"]
    named = [word for text in measurements for word in ("--measurement", text)]
    return main(
        ["enclave", "guest-register", *arguments, *named, *(["--app-release", str(release)] if release else [])]
    )


def test_image_is_the_same_each_time_and_says_its_digest(folder, tmp_path, capsys):
    assert main(["enclave", "guest-image", "--folder", str(tmp_path), "--json"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert (tmp_path / "initrd").read_bytes() == (folder / "initrd").read_bytes()
    assert said["initrd_sha256"] == hashlib.sha256((folder / "initrd").read_bytes()).hexdigest()
    assert said["cmdline"].endswith("/image/guest/guest.py heartify.enclave.program:run_job 5005")
    assert said["initrd_bytes"] < 250 * 2**20


def test_tdx_guest_is_registered_by_its_four_registers(folder, tmp_path, capsys):
    release = tmp_path / "release.json"

    assert register(folder, "tdx", *(register_.hex() for register_ in REGISTERS), release=release) == 0

    mr_td, rtmr0, rtmr1, rtmr2 = REGISTERS
    expected = td_measurement(mr_td=mr_td, rtmr0=rtmr0, rtmr1=rtmr1, rtmr2=rtmr2)
    assert read_build(folder).measurement == expected
    assert json.loads(release.read_text())["measurements"] == {"tdx": ["0x" + expected.hex()]}
    assert json.loads(capsys.readouterr().out)["measurement"] == "0x" + expected.hex()


def test_snp_guest_joins_the_same_release(folder, tmp_path):
    release = tmp_path / "release.json"

    assert register(folder, "tdx", *(one.hex() for one in REGISTERS), release=release) == 0
    assert register(folder, "sev-snp", "0x" + "ab" * 48, release=release) == 0
    assert register(folder, "sev-snp", "cd" * 48, release=release) == 0

    assert json.loads(release.read_text())["measurements"]["sev-snp"] == ["0x" + "ab" * 48, "0x" + "cd" * 48]


@pytest.mark.parametrize(
    ("kind", "measurements"),
    [("sev-snp", []), ("sev-snp", ["ab" * 32]), ("tdx", ["ab" * 48]), ("sev-snp", ["AB" * 48]), ("sgx", ["ab" * 48])],
)
def test_measurement_that_the_kind_does_not_have_is_refused(folder, kind, measurements):
    assert register(folder, kind, *measurements) in {2, 3}


def test_release_of_other_sources_is_refused(folder, tmp_path):
    release = tmp_path / "release.json"
    assert register(folder, "sev-snp", "ab" * 48, release=release) == 0
    document = json.loads(release.read_text())
    release.write_text(
        json.dumps({**document, "source_digest": "0x" + "00" * 32}, sort_keys=True, separators=(",", ":"))
    )

    assert register(folder, "sev-snp", "cd" * 48, release=release) == 4


def test_folder_without_a_kernel_is_refused(tmp_path):
    assert main(["enclave", "guest-image", "--folder", str(tmp_path)]) == 0

    assert register(tmp_path, "sev-snp", "ab" * 48) == 3
