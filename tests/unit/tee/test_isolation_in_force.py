"""What evidence states of a simulated enclave's surroundings: what is in force there, and never what was asked for."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heartify.attestation.isolation import Isolation, decode_isolation
from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError, EnclaveError
from heartify.pool.courier import Courier
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.tee.landlock import landlock_version
from heartify.tee.simulated.isolation_in_force import find_isolation, receive_start_report
from heartify.tee.simulated.launcher import SimulatedLauncher
from heartify.tee.simulated.peer import Peer, name_senders
from heartify.tee.simulated.sealed_image import seal_image
from heartify.tee.simulated.system_call_filter import can_filter_system_calls
from heartify.tee.simulated.user_ids import choose_enclave_user_id, runs_as_root

REPORT_DATA = bytes(range(64))
SIGNED_BYTES = {TeeKind.SIMULATED_SGX: 48 + 384, TeeKind.SIMULATED_TDX: 48 + 584}
CONFIG_ID = {TeeKind.SIMULATED_SGX: slice(48 + 192, 48 + 256), TeeKind.SIMULATED_TDX: slice(48 + 184, 48 + 232)}
KINDS = pytest.mark.parametrize("tee_kind", list(SIGNED_BYTES), ids=["sgx", "tdx"])


class QuotingInThisProcess:
    """A quoting service that is no process of its own."""

    is_separate = False

    def __init__(self, platform):
        self.platform = platform

    def quote(self, launch, report_data):
        return self.platform.launch_evidence(launch, report_data, int(time.time()))


def stated(evidence: Evidence) -> Isolation:
    kind = TeeKind.SIMULATED_TDX if evidence.tee_kind == "simulated-tdx" else TeeKind.SIMULATED_SGX
    return decode_isolation(bytes.fromhex(evidence.quote_hex)[CONFIG_ID[kind]])


def verify_with(evidence, platform, measurement, required=()):
    return verify(
        evidence,
        unsafe_simulation_policy(platform.root_der, required_isolation=required),
        int(time.time()),
        expected_report_data=REPORT_DATA,
        reference_measurements=frozenset({measurement}),
    )


# ---- what is stated


@KINDS
def test_evidence_states_the_measures_of_its_case(open_case, tee_kind, platform):
    with open_case(tee_kind=tee_kind).launch() as enclave:
        evidence = enclave.quote(REPORT_DATA)

    found = stated(evidence)
    sandboxed = open_case.case.startswith("bubblewrap")
    assert (Isolation.SANDBOX in found) is sandboxed
    assert (Isolation.SYSTEM_CALL_FILTER in found) is (sandboxed and can_filter_system_calls())
    assert (Isolation.OWN_USER in found) is (open_case.case == "bubblewrap-own-user")
    assert (Isolation.SEPARATE_QUOTER in found) is runs_as_root()
    assert verify_with(evidence, platform, enclave.measurement).isolation == found
    assert all(word in enclave.isolation for word in found.words)


@pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")
def test_file_rules_are_stated_where_the_kernel_has_them_and_hold(sandbox_launcher):
    with sandbox_launcher.launch() as enclave:
        found = stated(enclave.quote(REPORT_DATA))
        enclave.send_frame({"do": "describe"})
        seen, _ = enclave.receive_frame(30)

    assert (Isolation.FILE_RULES in found) == (seen["root"] is None)


def test_quoting_in_the_launcher_itself_is_not_stated_as_separate(open_case, platform):
    with open_case(quoting=QuotingInThisProcess(platform)).launch() as enclave:
        assert Isolation.SEPARATE_QUOTER not in stated(enclave.quote(REPORT_DATA))


def test_launcher_says_in_words_what_it_found_around_an_enclave(open_case):
    launcher = open_case()

    with launcher.launch() as enclave:
        assert launcher.isolation == enclave.isolation

    assert launcher.isolation.startswith(("bubblewrap: ", "unsafe-plain-process: "))


# ---- what a policy makes of it


@KINDS
def test_policy_that_asks_for_sandbox_and_filter_refuses_an_unsafe_plain_process(open_case, tee_kind, platform):
    with open_case(tee_kind=tee_kind).launch() as enclave:
        evidence = enclave.quote(REPORT_DATA)
    required = ("sandbox", "system-call-filter")

    if open_case.case == "unsafe-plain-process":
        with pytest.raises(AttestationError, match="sandbox, system-call-filter"):
            verify_with(evidence, platform, enclave.measurement, required)
    elif can_filter_system_calls():
        assert verify_with(evidence, platform, enclave.measurement, required).simulated
    # Without the demand every case is accepted: the isolation alone made the difference.
    assert verify_with(evidence, platform, enclave.measurement).simulated


@KINDS
def test_debug_image_is_quoted_as_debuggable_and_refused(open_case, tee_kind, probe_image, platform):
    image = dataclasses.replace(probe_image, debug=True)
    with open_case(tee_kind=tee_kind, image=image).launch() as enclave:
        evidence = enclave.quote(REPORT_DATA)

    with pytest.raises(AttestationError, match=r"[Dd]ebug"):
        verify_with(evidence, platform, enclave.measurement)


# ---- what a workload can't say


class AskingForMore:
    """An enclave's channel whose enclave asks for a quote of its choice; the quotes are those of a real enclave."""

    def __init__(self, enclave, requests):
        self._enclave = enclave
        self._requests = iter(requests)
        self.replies = []

    def receive_frame(self, timeout_seconds):
        return next(self._requests, {"op": "done"}), b""

    def send_frame(self, header, body=b""):
        self.replies.append(header)

    def quote(self, report_data):
        return self._enclave.quote(report_data)


@KINDS
def test_nothing_that_an_enclave_sends_changes_another_byte_than_report_data(open_case, tee_kind):
    wishes = [
        {},
        {"isolation": 63, "measurement": "00" * 32, "registers": ["00" * 48] * 4, "debug": False},
        {"tee_kind": "sgx", "config_id": "ff" * 64, "launch": {"isolation": 63}},
        {"quote": {"report_data": "0x" + "ff" * 64}, "body": "00" * 1024, "clock": 0},
    ]
    requests = [
        {"op": "quote", "report_data": "0x" + bytes([i]).hex() * 64, **wish} for i, wish in enumerate(wishes, start=1)
    ]
    with open_case(tee_kind=tee_kind).launch() as enclave:
        channel = AskingForMore(enclave, requests)
        Courier(channel, "0x00", (), report=print).serve(60)

    signed = [bytes.fromhex(reply["evidence"]["quote_hex"])[: SIGNED_BYTES[tee_kind]] for reply in channel.replies]
    assert [quote[-64:] for quote in signed] == [bytes([i]) * 64 for i in range(1, 5)]
    assert len({quote[:-64] for quote in signed}) == 1


def test_report_data_longer_than_the_field_are_refused_not_cut(open_case):
    with open_case().launch() as enclave:
        channel = AskingForMore(enclave, [{"op": "quote", "report_data": "0x" + "ab" * size} for size in (63, 65, 448)])
        Courier(channel, "0x00", (), report=print).serve(60)

    assert [reply["ok"] for reply in channel.replies] == [False] * 3


# ---- how it is found


@pytest.fixture
def report_channel():
    ours, theirs = socket.socketpair()
    name_senders(ours)
    with ours, theirs:
        yield ours, theirs


def test_report_names_the_process_that_the_kernel_saw(report_channel):
    ours, theirs = report_channel
    code = "import os, sys; os.write(int(sys.argv[1]), sys.argv[2].encode())"
    line = json.dumps({"landlock": True, "memory_locked": False, "filter": True}) + "\n"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(theirs.fileno()), line], pass_fds=[theirs.fileno()]
    ) as process:
        report = receive_start_report(ours, 30)

    assert report.peer == Peer(process.pid, os.getuid())
    assert (report.file_rules, report.memory_locked, report.system_call_filter) == (True, False, True)


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n",
        b"up\n",
        b'{"landlock": 1, "memory_locked": true, "filter": true}\n',
        b'{"landlock": true, "memory_locked": true, "filter": true, "own_user": true}\n',
        b"x" * 5000,
    ],
)
def test_report_of_another_form_is_refused(report_channel, line):
    ours, theirs = report_channel
    theirs.sendall(line)

    with pytest.raises(EnclaveError, match="did not say"):
        receive_start_report(ours, 30)


def test_process_that_ends_without_a_report_is_an_error(report_channel):
    ours, theirs = report_channel
    theirs.close()

    with pytest.raises(EnclaveError, match="ended at its start"):
        receive_start_report(ours, 30)


def test_process_that_never_reports_is_an_error(report_channel):
    with pytest.raises(EnclaveError, match="did not start within"):
        receive_start_report(report_channel[0], 0.05)


def test_nothing_is_found_around_a_process_that_nothing_surrounds(report_channel):
    ours, theirs = report_channel
    theirs.sendall(b'{"landlock": false, "memory_locked": false, "filter": true}\n')

    # The filter that was reported isn't there, as the kernel shows.
    assert find_isolation(receive_start_report(ours, 5), quoter_is_separate=False) == Isolation.NONE


# ---- measured bytes are executed bytes


class ChangesItsCopyBeforeExec(SimulatedLauncher):
    """A launcher on whose host a file of the copy changes at the last moment, when the command is about to run."""

    def _spawn(self, *arguments):
        changed = self._copy.folder / "app" / "probe_enclave.py"
        original = changed.read_bytes()
        changed.chmod(0o644)
        changed.write_bytes(original.replace(b'"echo": header["text"]', b'"echo": "EVIL"'))
        assert changed.read_bytes() != original
        return super()._spawn(*arguments)


def test_file_changed_between_check_and_exec_is_not_executed_in_the_sandbox(open_case, tmp_path):
    launcher = open_case(launcher_class=ChangesItsCopyBeforeExec, store=tmp_path / "store")
    with launcher.launch() as enclave:
        enclave.send_frame({"do": "echo", "text": "measured"})
        said = enclave.receive_frame(30)[0]["echo"]

    # An unsafe plain process runs what lies on disk at that moment: its name says that it is unsafe, ADR 0004 says why.
    assert said == ("EVIL" if open_case.case == "unsafe-plain-process" else "measured")


def test_file_changed_before_the_launch_is_refused(open_case):
    launcher = open_case()
    changed = launcher._copy.folder / "app" / "probe_enclave.py"
    original = changed.read_bytes()
    changed.chmod(0o644)
    changed.write_bytes(original + b"#")
    try:
        with pytest.raises(EnclaveError, match="not what was measured"):
            launcher.launch()
    finally:
        changed.write_bytes(original)


def test_sealed_bytes_can_not_be_changed_by_anybody(sandbox_launcher):
    with seal_image(sandbox_launcher._copy) as files:
        for sealed in files[:5]:
            for attempt in (lambda fd: os.write(fd, b"x"), lambda fd: os.ftruncate(fd, 0)):
                with pytest.raises(PermissionError):
                    attempt(sealed.descriptor)
            again = Path(f"/proc/self/fd/{sealed.descriptor}")
            with again.open("r+b", buffering=0) as writable, pytest.raises(PermissionError):
                writable.write(b"x")
        assert {sealed.file.place for sealed in files} == {file.place for file in sandbox_launcher._copy.image.files}


# ---- who may look into it


READ_MEMORY = """
import os, sys
user_id, process_id = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([]); os.setresgid(user_id, user_id, user_id); os.setresuid(user_id, user_id, user_id)
try:
    os.open(f"/proc/{process_id}/mem", os.O_RDONLY)
    print("ALLOWED")
except OSError as exc:
    print(exc.strerror)
"""


@pytest.mark.skipif(not runs_as_root(), reason="a user of its own for the enclave needs root")
@pytest.mark.parametrize("reader", ["the same user", "another enclave's user", "nobody"])
def test_memory_of_an_enclave_with_its_own_user_is_closed_to_every_user_but_root(open_case, reader, process_of):
    if open_case.case != "bubblewrap-own-user":
        pytest.skip("only an enclave with a user of its own is kept from its user (ADR 0004)")
    with open_case().launch() as enclave:
        enclave.send_frame({"do": "describe"})
        own = enclave.receive_frame(30)[0]["uid"]
        user_id = {"the same user": own, "nobody": 65534}.get(reader) or choose_enclave_user_id()
        command = [sys.executable, "-I", "-S", "-c", READ_MEMORY, str(user_id), process_of(enclave).name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said.strip() in {"Permission denied", "Operation not permitted"}
