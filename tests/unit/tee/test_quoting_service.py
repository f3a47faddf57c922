"""The simulated quoting service: it alone holds the keys, answers its launcher, and can do nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import heartify
from heartify.attestation.isolation import Isolation
from heartify.attestation.simulated import SimulatedLaunch, SimulatedPlatform
from heartify.errors import EnclaveError, InputError, IntegrityError
from heartify.protocol.evidence import TeeKind
from heartify.protocol.frames import encode_frame
from heartify.tee.simulated.quoting import QuotingService, give_keys_to_quoter
from heartify.tee.simulated.system_call_filter import can_filter_system_calls
from heartify.tee.simulated.user_ids import choose_enclave_user_id, is_quoter_user_id, runs_as_root

SGX = SimulatedLaunch(TeeKind.SIMULATED_SGX, (bytes(range(32)),), Isolation.SANDBOX)
TDX = SimulatedLaunch(TeeKind.SIMULATED_TDX, tuple(bytes([i]) * 48 for i in range(4)), Isolation.NONE, debug=True)
needs_root = pytest.mark.skipif(not runs_as_root(), reason="a user of its own for the quoting service needs root")


@pytest.fixture
def folder(tmp_path):
    SimulatedPlatform.create(int(time.time())).store(tmp_path / "platform")
    return tmp_path / "platform"


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home") / "platform"
    SimulatedPlatform.create(int(time.time())).store(folder)
    return folder


@pytest.fixture(scope="module")
def service(shared_folder):
    with QuotingService(shared_folder) as running:
        yield running


def status_of(process_id):
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def is_running(process_id):
    try:
        return not status_of(process_id)["State"].startswith("Z")
    except FileNotFoundError:
        return False


def wait_until_gone(process_id):
    deadline = time.monotonic() + 10
    while is_running(process_id) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(process_id)


# ---- what it answers


@pytest.mark.parametrize("launch", [SGX, TDX], ids=["sgx", "tdx"])
def test_quote_of_the_service_is_that_of_the_platform_whose_keys_it_holds(service, launch, tmp_path):
    report_data = os.urandom(64)

    evidence = service.quote(launch, report_data)

    quote = bytes.fromhex(evidence.quote_hex)
    signed = 48 + (384 if launch is SGX else 584)
    other = SimulatedPlatform.create(int(time.time())).quote_launch(launch, report_data)
    assert evidence.tee_kind == launch.tee_kind.wire_name
    assert quote[signed - 64 : signed] == report_data
    # Another platform signs the same report body; the header of SGX holds the platform's security version.
    assert quote[48:signed] == other[48:signed]
    assert quote[signed:] != other[signed:]
    assert json.loads(evidence.collateral)["pck_crl_issuer_chain"]


@pytest.mark.parametrize("size", [0, 63, 65, 96])
def test_report_data_of_another_size_are_refused_and_the_service_goes_on(service, size):
    with pytest.raises(EnclaveError, match="wrong size"):
        service.quote(SGX, bytes(size))

    assert service.quote(SGX, bytes(64)).quote_hex


def test_questions_of_many_threads_get_their_own_answers(service):
    asked = [bytes([i]) * 64 for i in range(24)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda data: service.quote(SGX, data), asked))

    assert [bytes.fromhex(evidence.quote_hex)[48 + 320 : 48 + 384] for evidence in answers] == asked


# ---- its keys


def test_absent_platform_is_an_input_error(tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(InputError, match="can't be read"):
        QuotingService(tmp_path / "empty")
    with pytest.raises((InputError, EnclaveError), match="can't be"):
        QuotingService(tmp_path / "absent")


def test_keys_that_others_can_read_are_refused(folder):
    (folder / "simulated-pck.key.pem").chmod(0o644)

    with pytest.raises(InputError, match="open to other users"):
        QuotingService(folder)


def test_damaged_keys_are_refused(folder):
    (folder / "simulated-pck.key.pem").write_bytes(b"damaged")

    with pytest.raises(IntegrityError, match="damaged"):
        QuotingService(folder)


@needs_root
def test_keys_belong_to_a_user_without_account_and_to_nobody_else(folder):
    with QuotingService(folder) as running:
        owner = folder.stat().st_uid
        status = status_of(running.process_id)

        assert running.is_separate
    assert is_quoter_user_id(owner)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {(file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) for file in folder.iterdir()} == {(owner, 0o600)}
    assert status["Uid"].split() == status["Gid"].split() == [str(owner)] * 4
    assert status["Groups"].strip() == ""
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


def open_as(user_id, path):
    """Try to open a file for reading as another user, in a process that becomes it; return what Python said."""
    code = "import os, sys; u = int(sys.argv[1]); os.setgroups([]); os.setresgid(u, u, u); os.setresuid(u, u, u); "
    code += "os.open(sys.argv[2], os.O_RDONLY)"
    command = [sys.executable, "-I", "-S", "-c", code, str(user_id), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@needs_root
@pytest.mark.parametrize("reader", ["enclave", "another user"])
def test_no_other_user_can_read_the_keys(reader):
    user_id = choose_enclave_user_id() if reader == "enclave" else 65534
    # Not below the test's own folder, which is closed to others already.
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        (Path(home) / "open").write_text("")
        folder = Path(home) / "platform"
        SimulatedPlatform.create(int(time.time())).store(folder)
        with QuotingService(folder):
            assert open_as(user_id, Path(home) / "open") == ""
            assert "PermissionError" in open_as(user_id, folder / "simulated-pck.key.pem")


@needs_root
def test_keys_given_half_way_are_given_completely_at_the_next_start(folder):
    os.chown(next(folder.iterdir()), 61185, 61185)

    with QuotingService(folder) as running:
        assert running.is_separate

    owners = {file.stat().st_uid for file in [folder, *folder.iterdir()]}
    assert len(owners) == 1


@needs_root
def test_keys_stay_with_the_user_who_has_them(folder):
    first = give_keys_to_quoter(folder)

    assert give_keys_to_quoter(folder) == first == folder.stat().st_uid


@needs_root
def test_service_of_a_person_s_keys_is_not_called_separate(folder):
    for path in [folder, *folder.iterdir()]:
        os.chown(path, 1, 1)  # daemon: an account

    with QuotingService(folder) as running:
        assert status_of(running.process_id)["Uid"].split()[0] == "1"
        assert not running.is_separate
        assert running.quote(SGX, bytes(64)).quote_hex


ORDINARY_USER = """
import os, pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from heartify.attestation.isolation import Isolation
from heartify.attestation.simulated import SimulatedLaunch, SimulatedPlatform
from heartify.protocol.evidence import TeeKind
from heartify.tee.simulated.quoting import QuotingService

folder = pathlib.Path(sys.argv[2]) / "platform"
SimulatedPlatform.create(int(time.time())).store(folder)
with QuotingService(folder) as running:
    launch = SimulatedLaunch(TeeKind.SIMULATED_SGX, (bytes(32),), Isolation.NONE)
    print(running.is_separate, len(running.quote(launch, bytes(64)).quote_hex) > 5000, folder.stat().st_uid)
"""


@needs_root
def test_service_of_an_ordinary_user_works_and_is_not_called_separate(tmp_path):
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv isn't installed")
    root = Path(heartify.__file__).parent.parent
    os.chown(tmp_path, 65534, 65534)
    # A person can read the installation and the way to the home; here both may be root's, hence the one capability.
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    command += [sys.executable, "-I", "-c", ORDINARY_USER, str(root), str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["False", "True", "65534"], done.stderr


# ---- what it can't do


def test_service_has_given_up_everything_but_its_channel(service):
    status = status_of(service.process_id)
    limits = Path(f"/proc/{service.process_id}/limits").read_text()

    assert status["NoNewPrivs"].strip() == "1"
    assert status["Threads"].strip() == "1"
    assert (status["Seccomp"].strip() == "2") == can_filter_system_calls()
    assert re.search(r"Max core file size +0 +0 ", limits)
    assert re.search(r"Max processes +0 +0 ", limits)


@needs_root
def test_service_can_not_be_read_by_its_own_user(shared_folder, service):
    owner = shared_folder.stat().st_uid

    assert "PermissionError" in open_as(owner, f"/proc/{service.process_id}/mem")
    assert "PermissionError" in open_as(owner, f"/proc/{service.process_id}/environ")


def test_service_holds_no_descriptor_but_its_channel(service):
    folder = Path(f"/proc/{service.process_id}/fd")
    try:
        targets = [str(entry.readlink()) for entry in folder.iterdir()]
    except PermissionError:
        pytest.skip("a process that can't be dumped shows its descriptors to root only")

    assert sorted(target.split(":")[0] for target in targets) == ["/dev/null", "/dev/null", "/dev/null", "socket"]


# ---- its end


def test_closing_ends_it(folder):
    running = QuotingService(folder)
    process_id = running.process_id

    running.close()

    assert wait_until_gone(process_id)
    running.close()  # a second time is harmless


def test_service_that_was_killed_is_started_again_at_the_next_question(folder):
    with QuotingService(folder) as running:
        first = running.process_id
        os.kill(first, signal.SIGKILL)
        assert wait_until_gone(first)

        assert running.quote(SGX, bytes(64)).quote_hex
        assert running.process_id != first


def test_service_dies_with_its_killed_launcher(folder):
    program = textwrap.dedent(f"""
        import pathlib, time
        from heartify.tee.simulated.quoting import QuotingService
        print(QuotingService(pathlib.Path({str(folder)!r})).process_id, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as launcher:
        process_id = int(launcher.stdout.readline())
        assert is_running(process_id)

        launcher.kill()

    assert wait_until_gone(process_id)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 64,
        encode_frame({"op": "quote"}),
        encode_frame({"op": "collateral"}),
        encode_frame({"op": "quote", "tee_kind": "sgx", "registers": [], "isolation": 0, "debug": False}),
    ],
)
def test_anything_but_a_question_ends_the_service(folder, garbage):
    with QuotingService(folder) as running:
        running._channel.sendall(garbage)

        assert wait_until_gone(running.process_id) or running._process.wait(5) == 65
