"""The launchers, end to end: real entry and interpreter of a signed build, started by what plays Gramine."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

import pytest

from heartify.attestation.dcap.sgx_quote import parse_sgx_quote
from heartify.attestation.policy import PRODUCTION_POLICY
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError, EnclaveError, IntegrityError, UsageError
from heartify.protocol.canonical import to_hex
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.protocol.size_class import size_class
from heartify.tee.gramine.build import BuildOptions, sign_build, stage_build
from heartify.tee.gramine.host_check import SgxHost
from heartify.tee.gramine.image import adapt_image_to_gramine
from heartify.tee.gramine.installation import GramineInstallation
from heartify.tee.gramine.launcher import GramineSgxLauncher, UnsafeGramineDirectLauncher, stage_for_direct
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.launcher import Launcher
from heartify.tee.limits import EnclaveLimits

REPORT_DATA = bytes(range(64))
SECONDS = 60.0


@pytest.fixture
def sgx_host(tmp_path):
    """A machine that has all that Gramine needs, as far as files tell."""
    for name in ("sgx_enclave", "sgx_provision", "aesm.socket"):
        (tmp_path / name).touch()
    return SgxHost(
        enclave_device=tmp_path / "sgx_enclave",
        provision_device=tmp_path / "sgx_provision",
        aesm_socket=tmp_path / "aesm.socket",
    )


@pytest.fixture
def launcher(probe_build, on_path, sgx_host, tmp_path):
    with GramineSgxLauncher(probe_build.folder, host=sgx_host, log_file=tmp_path / "gramine.log") as launcher:
        yield launcher


@pytest.fixture
def enclave(launcher):
    with launcher.launch() as enclave:
        yield enclave


def ask(enclave, command, **fields):
    enclave.send_frame({"op": "job", "do": command, **fields})
    return enclave.receive_frame(SECONDS)[0]


def living_processes(group):
    """Return the ids of a group's processes that are no zombies: proc(5), fields 3 and 5 behind the name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent, its_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(path.parent.name)
    return found


def test_the_launcher_is_one_of_a_pool(launcher, probe_build):
    any_launcher: Launcher = launcher

    assert any_launcher.tee_kind is TeeKind.SGX
    assert any_launcher.measurement == probe_build.sigstruct.mr_enclave
    assert any_launcher.isolation == "gramine-sgx"


def test_the_program_runs_with_the_measured_arguments_files_and_environment(enclave, probe_build):
    seen = ask(enclave, "look")

    image = str(probe_build.folder / "image")
    assert [path.removeprefix(image) for path in seen["path"][:2]] == ["/app", "/site"]
    assert all(path.startswith(image) for path in seen["path"])
    assert seen["argv"][1] == "gramine_probe:probe"
    assert set(seen["environment"]) - {"LC_CTYPE"} == {
        *("ARROW_DEFAULT_MEMORY_POOL", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }


def test_the_enclave_program_and_its_numerics_load_from_the_real_image(tmp_path, on_path, key_file, sgx_host):
    """A job that is none is refused by the program itself: it ran, numerics and all, and had nothing to sign."""
    installation = GramineInstallation.find()
    plain = build_enclave_image(extra_app_files={"gramine_probe.py": Path(__file__).with_name("gramine_probe.py")})
    image = adapt_image_to_gramine(plain, installation.runtime_folder, entry="gramine_probe:run_and_tell")
    options = BuildOptions(size_class=size_class(1), app_version="0.1.0")
    stage_build(image, tmp_path / "build", installation.libos(), options)
    build = sign_build(tmp_path / "build", key_file)

    with GramineSgxLauncher(build.folder, host=sgx_host) as launcher, launcher.launch() as enclave:
        told = ask(enclave, "nothing")

    assert told == {"op": "failed", "error": "StudyFailedError", "code": "host-protocol", "scipy": True}


def test_evidence_is_the_enclaves_and_binds_the_report_data(enclave, probe_build, platform):
    enclave.send_frame({"op": "job", "do": "evidence", "report_data": to_hex(REPORT_DATA)})
    asked, _ = enclave.receive_frame(SECONDS)
    assert asked["op"] == "collateral"
    enclave.send_frame({"op": "collateral", "ok": True, "collateral": platform.collateral(int(time.time()))})
    answer, _ = enclave.receive_frame(SECONDS)

    evidence = Evidence(**answer["evidence"])
    body = parse_sgx_quote(bytes.fromhex(evidence.quote_hex))
    assert evidence.tee_kind == "sgx"
    assert asked["quote"] == evidence.quote_hex
    assert body.report_data == REPORT_DATA
    assert body.mr_enclave == probe_build.sigstruct.mr_enclave == enclave.measurement
    with pytest.raises(AttestationError):
        verify(
            evidence,
            PRODUCTION_POLICY,
            int(time.time()),
            expected_report_data=REPORT_DATA,
            reference_measurements=frozenset({enclave.measurement}),
        )


def test_the_host_has_no_evidence_of_an_enclave_that_quotes_itself(enclave):
    with pytest.raises(EnclaveError, match="quotes itself"):
        enclave.quote(REPORT_DATA)


def test_nothing_that_is_printed_reaches_the_channel_or_the_log(enclave, tmp_path):
    answer = ask(enclave, "print")

    assert answer == {"op": "answer", "stdin": ""}
    enclave.terminate()
    assert "CANARY" not in (tmp_path / "gramine.log").read_text()


def test_an_exception_is_an_exit_status_and_no_text(enclave, tmp_path):
    with pytest.raises(EnclaveError, match="exit status 70"):
        ask(enclave, "fail")
    assert "CANARY" not in (tmp_path / "gramine.log").read_text()


def test_an_exit_status_of_the_program_arrives(enclave):
    with pytest.raises(EnclaveError, match="exit status 3"):
        ask(enclave, "exit", status=3)


def test_the_enclave_ends_when_its_host_closes_the_channel(launcher):
    enclave = launcher.launch()
    ask(enclave, "look")

    enclave._channel.close()

    assert enclave.wait(SECONDS) != 0


def test_terminating_leaves_no_process_of_the_tree(launcher):
    enclave = launcher.launch()
    ask(enclave, "look")
    group = enclave._process.pid
    before = living_processes(group)

    enclave.terminate()

    assert len(before) == 2  # what plays Gramine, and the program inside
    assert living_processes(group) == []


def test_processor_time_is_limited(probe_build, on_path, sgx_host):
    limits = EnclaveLimits(cpu_seconds=2)

    with (
        GramineSgxLauncher(probe_build.folder, host=sgx_host, limits=limits) as launcher,
        launcher.launch() as enclave,
        pytest.raises(EnclaveError, match="the enclave ended"),
    ):
        ask(enclave, "burn")


def test_a_launch_may_have_limits_of_its_own(launcher):
    with launcher.launch(EnclaveLimits(cpu_seconds=2)) as enclave, pytest.raises(EnclaveError, match="ended"):
        ask(enclave, "burn")


def test_two_enclaves_of_one_build_run_side_by_side(launcher):
    with launcher.launch() as one, launcher.launch() as other:
        assert ask(one, "look")["path"] == ask(other, "look")["path"]


def test_the_environment_of_the_pool_does_not_reach_gramine(monkeypatch, launcher, on_path):
    monkeypatch.setenv("HEARTIFY_PASSWORD_FILE", "/etc/secret")
    monkeypatch.setenv("GDB", "1")

    with launcher.launch() as enclave:
        ask(enclave, "look")

    last_call = (on_path / "calls.txt").read_text().splitlines()[-1]
    assert "gramine-sgx" in last_call
    assert "HEARTIFY_PASSWORD_FILE" not in last_call
    assert "GDB" not in last_call


def test_a_build_that_changed_since_it_was_signed_is_refused(signed, sgx_host):
    probe = signed.folder / "image/app/gramine_probe.py"
    probe.chmod(0o644)
    probe.write_text(probe.read_text() + "\n")

    with pytest.raises(EnclaveError, match=r"gramine_probe\.py: another content"):
        GramineSgxLauncher(signed.folder, host=sgx_host)


def test_a_file_that_changed_after_the_launcher_looked_is_gramines_to_refuse(signed, sgx_host, tmp_path):
    with GramineSgxLauncher(signed.folder, host=sgx_host, log_file=tmp_path / "gramine.log") as launcher:
        probe = signed.folder / "image/app/gramine_probe.py"
        probe.chmod(0o644)
        probe.write_text(probe.read_text() + "\n")

        with launcher.launch() as enclave, pytest.raises(EnclaveError, match="ended"):
            ask(enclave, "look")

    assert "another hash" in (tmp_path / "gramine.log").read_text()


def test_a_sigstruct_that_was_tampered_with_is_refused(signed, sgx_host):
    sigstruct = bytearray((signed.folder / "heartify.sig").read_bytes())
    sigstruct[960] ^= 1
    (signed.folder / "heartify.sig").write_bytes(sigstruct)

    with pytest.raises(IntegrityError, match="signature"):
        GramineSgxLauncher(signed.folder, host=sgx_host)


@pytest.mark.parametrize(
    ("missing", "message", "hint"),
    [
        ("sgx_enclave", "has no .*sgx_enclave", "BIOS"),
        ("sgx_provision", "sgx_provision", "flexible launch control"),
        ("aesm.socket", "aesmd does not listen", "sgx_default_qcnl.conf"),
    ],
)
def test_a_machine_that_lacks_something_is_told_what(signed, sgx_host, tmp_path, missing, message, hint):
    (tmp_path / missing).unlink()

    with pytest.raises(EnclaveError, match=message) as refused:
        GramineSgxLauncher(signed.folder, host=sgx_host)
    assert hint in refused.value.hint


def test_a_machine_without_gramines_starter_is_told_so(signed, sgx_host, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="gramine-sgx is not on PATH"):
        GramineSgxLauncher(signed.folder, host=sgx_host)


def test_gramine_direct_runs_the_same_program_and_has_no_evidence(probe_build, on_path, tmp_path):
    staged = tmp_path / "build"
    shutil.copytree(probe_build.folder, staged)
    stage_for_direct(staged)

    with UnsafeGramineDirectLauncher(staged) as launcher, launcher.launch() as enclave:
        assert launcher.isolation == enclave.isolation == "unsafe-gramine-direct"
        assert ask(enclave, "evidence", report_data=to_hex(REPORT_DATA))["evidence"] is None
        with pytest.raises(EnclaveError, match="protects nothing"):
            enclave.quote(REPORT_DATA)
    assert not hasattr(launcher, "tee_kind")
    assert not hasattr(launcher, "measurement")
