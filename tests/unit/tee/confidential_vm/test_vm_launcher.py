"""The whole path: launcher, a fake QEMU that boots the real guest image, the real guest program, evidence, verifier."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fuse_tsm import can_mount
from guest_evidence import LAUNCH
from read_cpio import unpack

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError, EnclaveError
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.tee.confidential_vm.build import register_build
from heartify.tee.confidential_vm.connection import VsockConnector, connect_to_guest
from heartify.tee.confidential_vm.guest_image import build_command_line, write_guest_image
from heartify.tee.confidential_vm.launcher import ConfidentialVmLauncher
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.limits import EnclaveLimits

HERE = Path(__file__).parent
WAIT = 60
REPORT_DATA = bytes(range(64))
UNSHARE, CHROOT = shutil.which("unshare"), shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not can_mount(), reason="a fake guest needs root, for chroot, and /dev/fuse"
)


class UnixConnector:
    """Connects to the fake QEMU's guest, which listens on a Unix socket named after its address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def connect(self, cid: int, port: int, timeout_seconds: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.folder / f"{cid}.sock"))
        except OSError:
            connection.close()
            raise
        return connection


def write_program(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture(scope="session")
def platform():
    return SimulatedPlatform.create(int(time.time()))


@pytest.fixture(scope="session")
def guest_files(tmp_path_factory):
    """The real image of a guest with a probe program, and its command line."""
    folder = tmp_path_factory.mktemp("guest-files")
    image = build_enclave_image(extra_app_files={"probe_guest.py": HERE / "probe_guest.py"})
    write_guest_image(image, folder / "initrd")
    (folder / "cmdline").write_text(build_command_line(image, entry="probe_guest:main") + "\n")
    (folder / "kernel").write_text("not a kernel")
    (folder / "firmware").write_text("not a firmware")
    register_build(folder, tee_kind=TeeKind.TDX, memory_mib=2048, cpus=2, measurement=LAUNCH.measurement)
    return folder


@pytest.fixture
def launcher(guest_files, platform, tmp_path):
    platform.store(tmp_path / "platform")
    words = [sys.executable, HERE / "fake_qemu.py", tmp_path, tmp_path / "platform"]
    program = write_program(tmp_path / "qemu", f'exec {" ".join(map(str, words))} "$@"')
    with ConfidentialVmLauncher(
        guest_files, program=program, connector=UnixConnector(tmp_path), log_file=tmp_path / "log"
    ) as made:
        yield made
    for root in tmp_path.glob("root-*"):
        shutil.rmtree(root)  # an image each


def ask(enclave, command, **fields):
    enclave.send_frame({"op": "do", "command": command, **fields})
    return enclave.receive_frame(WAIT)[0]


def get_evidence(enclave, collateral: str) -> Evidence:
    asked = ask(enclave, "quote", report_data=REPORT_DATA.hex())
    assert (asked["op"], asked["tee_kind"]) == ("collateral", "tdx")
    enclave.send_frame({"op": "collateral", "ok": True, "collateral": collateral})
    reply, _ = enclave.receive_frame(WAIT)
    return Evidence(*reply["evidence"])


@needs_root
def test_enclave_in_the_guest_quotes_itself_and_the_verifier_accepts_its_quote(launcher, platform):
    with launcher.launch() as enclave:
        assert ask(enclave, "echo", text="abc")["text"] == "cba"
        evidence = get_evidence(enclave, platform.collateral(int(time.time()), tdx=True))
        with pytest.raises(EnclaveError, match="quotes itself"):
            enclave.quote(REPORT_DATA)

    expected = {
        "expected_report_data": REPORT_DATA,
        "reference_measurements": frozenset({launcher.measurement}),
    }
    policy = unsafe_simulation_policy(platform.root_der)
    # A simulated processor signed: it's no evidence of hardware, and good evidence of a simulation.
    with pytest.raises(AttestationError, match="tdx"):
        verify(evidence, policy, int(time.time()), **expected)
    relabelled = Evidence("simulated-tdx", evidence.quote_hex, evidence.collateral)
    result = verify(relabelled, policy, int(time.time()), **expected)
    assert (launcher.tee_kind, result.measurement) == (TeeKind.TDX, LAUNCH.measurement)
    assert result.report_data == REPORT_DATA


@needs_root
def test_guest_has_the_measured_image_and_nothing_of_the_host(launcher):
    with launcher.launch() as enclave:
        seen = ask(enclave, "describe")

    assert seen["path"][:2] == ["/image/app", "/image/site"]
    assert all(path.startswith("/image/") for path in seen["path"])
    assert set(seen["root"]) == {"dev", "image", "lib64", "proc", "sys"}
    assert seen["environment"]["LD_LIBRARY_PATH"] == "/image/system"
    assert seen["environment"]["OPENBLAS_NUM_THREADS"] == "1"
    assert (seen["core"], seen["files"]) == ([0, 0], [64, 64])


@needs_root
def test_failing_guest_says_nothing_but_its_end(launcher, tmp_path, capfd):
    with launcher.launch() as enclave:
        enclave.send_frame({"op": "do", "command": "fail"})
        with pytest.raises(EnclaveError, match="the enclave ended"):
            enclave.receive_frame(WAIT)

    assert "".join(capfd.readouterr()) == ""


def test_machine_that_ends_at_once_is_an_error_that_names_the_log(guest_files, tmp_path):
    program = write_program(tmp_path / "qemu", "echo no KVM here >&2; exit 1")

    with (
        ConfidentialVmLauncher(
            guest_files, program=program, connector=UnixConnector(tmp_path), log_file=tmp_path / "log"
        ) as launcher,
        pytest.raises(EnclaveError, match="ended before its enclave answered") as caught,
    ):
        launcher.launch()
    assert "log file" in caught.value.hint
    assert (tmp_path / "log").read_text() == "no KVM here\n"


def test_missing_qemu_is_named(guest_files):
    with pytest.raises(EnclaveError, match="qemu-of-nowhere is not installed"):
        ConfidentialVmLauncher(guest_files, program="qemu-of-nowhere")


def test_size_class_that_does_not_fit_the_registered_guest_is_refused(guest_files, tmp_path):
    program = write_program(tmp_path / "qemu", "exit 1")

    with (
        ConfidentialVmLauncher(guest_files, program=program) as launcher,
        pytest.raises(EnclaveError, match="2048 MiB, too few"),
    ):
        launcher.launch(EnclaveLimits(memory_bytes=2**31))


def test_file_changed_after_the_launcher_was_made_is_not_started(guest_files, tmp_path):
    folder = tmp_path / "guest"
    folder.mkdir()
    for name in ("kernel", "firmware", "cmdline", "initrd"):
        (folder / name).write_text(name)
    register_build(folder, tee_kind=TeeKind.SEV_SNP, memory_mib=2048, cpus=1, measurement=b"m" * 48)
    program = write_program(tmp_path / "qemu", f"touch {tmp_path}/started")

    with ConfidentialVmLauncher(folder, program=program) as launcher:
        assert launcher.isolation == "confidential-vm (sev-snp)"
        (folder / "cmdline").write_text("init=/bin/sh")
        with pytest.raises(EnclaveError, match="cmdline in guest is not the file"):
            launcher.launch()
    assert not (tmp_path / "started").exists()


def test_guest_that_never_listens_is_given_up():
    with pytest.raises(EnclaveError, match=r"did not answer within 0.3 seconds"):
        connect_to_guest(UnixConnector(Path("/nonexistent")), 7, 5005, timeout_seconds=0.3, is_alive=lambda: True)


def test_vsock_without_a_guest_is_an_error_of_the_system():
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the kernel
        VsockConnector().connect(0x7FFFFFF0, 5005, 0.2)


@needs_root
def test_init_that_can_not_mount_or_listen_ends_without_a_word(guest_files, tmp_path):
    """The init itself, as the kernel would start it, in a root of its own with mounts of its own."""
    unpack((guest_files / "initrd").read_bytes(), tmp_path / "root")
    words = (guest_files / "cmdline").read_text().split()
    arguments = words[words.index("--") + 1 :]
    # No such port can be listened on, so that it ends wherever configfs and vsock exist.
    command = ["/image/python/bin/python3", *arguments[:-1], "-1", "initrd=initrd"]

    done = subprocess.run(
        [UNSHARE, "--mount", "--pid", "--fork", CHROOT, str(tmp_path / "root"), *command],
        env={"LD_LIBRARY_PATH": "/image/system"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WAIT,
        check=False,
    )

    shutil.rmtree(tmp_path / "root")
    assert (done.stdout, done.stderr) == (b"", b"")
    # Within a PID namespace, the kernel switches "the machine" off by ending its init with this signal.
    assert done.returncode == -signal.SIGINT
