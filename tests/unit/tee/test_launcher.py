"""Launched enclaves: one channel, a truthful quote, no way out, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from heartify.attestation.policy import PRODUCTION_POLICY, unsafe_simulation_policy
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError, EnclaveError
from heartify.protocol.evidence import TeeKind
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.limits import EnclaveLimits
from heartify.tee.measurement import measure
from heartify.tee.running_enclave import RunningEnclave
from heartify.tee.simulated.launcher import SimulatedLauncher
from heartify.tee.simulated.sandbox import can_bubblewrap
from heartify.tee.simulated.system_call_filter import can_filter_system_calls

CANARY = "PATIENT-CANARY-4711"
WAIT = 30


def ask(enclave, command, body=b"", **fields):
    enclave.send_frame({"do": command, **fields}, body)
    return enclave.receive_frame(WAIT)


def unique_limits() -> EnclaveLimits:
    """Limits whose number marks every process of one enclave in its command line."""
    return EnclaveLimits(memory_bytes=4 * 1024**3 + random.SystemRandom().randrange(1 << 30))


def processes_marked(limits: EnclaveLimits) -> list[int]:
    mark = f'"memory_bytes": {limits.memory_bytes}'.encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command, state = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
            except OSError:
                continue
            if mark in command and state.rpartition(")")[2].split()[0] != "Z":
                found.append(int(folder.name))
    return found


def wait_until_gone(limits: EnclaveLimits) -> list[int]:
    deadline = time.monotonic() + 10
    while (left := processes_marked(limits)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


# ---- the channel


def test_frames_go_round_under_every_isolation(launcher):
    with launcher.launch() as enclave:
        header, body = ask(enclave, "echo", b"abc" * 100_000, text="ä")

    assert header["echo"] == "ä"
    assert body == b"cba" * 100_000
    assert enclave.isolation == launcher.isolation


def test_enclave_runs_everything_it_needs_from_the_image_and_nothing_else(quoting):
    program = Path(__file__).with_name("probe_enclave.py")
    image = build_enclave_image(entry="probe_enclave:main", extra_app_files={"probe_enclave.py": program})
    with SimulatedLauncher(quoting, image=image) as launcher, launcher.launch() as enclave:
        reply, _ = ask(enclave, "import")

    assert reply["outside"] == []
    assert (reply["solved"], reply["expit"], reply["key"]) == ([1.0, 1.0], 0.5, 32)


def test_exit_status_is_reported_by_wait(launcher):
    with launcher.launch() as enclave:
        enclave.send_frame({"do": "exit", "status": 5})

        assert enclave.wait(WAIT) == 5


def test_wait_for_a_running_enclave_ends_in_an_error(launcher):
    with launcher.launch() as enclave, pytest.raises(EnclaveError, match="still runs"):
        enclave.wait(0.05)


def test_failing_enclave_says_nothing_but_its_end(launcher, capfd):
    with launcher.launch() as enclave:
        enclave.send_frame({"do": "fail"})

        with pytest.raises(EnclaveError, match="exit status 70") as caught:
            enclave.receive_frame(WAIT)
    assert CANARY not in str(caught.value)
    assert CANARY not in "".join(capfd.readouterr())


def test_nothing_that_an_enclave_prints_reaches_the_host(launcher, capfd):
    with launcher.launch() as enclave:
        ask(enclave, "print")

    assert capfd.readouterr() == ("", "")


def test_killed_enclave_is_an_error(limited_launcher):
    limits = unique_limits()
    with limited_launcher(limits).launch() as enclave:
        ask(enclave, "echo", text="up")
        for pid in processes_marked(limits):
            with contextlib.suppress(ProcessLookupError):  # the first one takes the others with it
                os.kill(pid, signal.SIGKILL)

        with pytest.raises(EnclaveError, match="the enclave ended"):
            enclave.receive_frame(WAIT)
        with pytest.raises(EnclaveError, match="the enclave ended"):
            enclave.send_frame({"do": "echo", "text": "x"}, bytes(8 << 20))
        with pytest.raises(EnclaveError, match="the enclave ended"):
            enclave.quote(bytes(64))


def test_silent_enclave_times_out_and_can_still_be_heard_later(launcher):
    with launcher.launch() as enclave:
        ask(enclave, "echo", text="up")
        enclave.send_frame({"do": "sleep", "seconds": 0.6})

        with pytest.raises(EnclaveError, match="said nothing within"):
            enclave.receive_frame(0.05)
        header, _ = enclave.receive_frame(WAIT)
    assert header == {}


def test_bytes_that_are_no_frame_end_the_enclave(launcher):
    with launcher.launch() as enclave:
        enclave.send_frame({"do": "garbage"})

        with pytest.raises(EnclaveError, match="no frame"):
            enclave.receive_frame(WAIT)
        with pytest.raises(EnclaveError, match="was ended"):
            enclave.receive_frame(WAIT)


@pytest.fixture
def mute_enclave():
    """An enclave whose process never speaks, and the far end of its channel, which closes half a second later."""
    near, far = socket.socketpair()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    closer = threading.Timer(0.5, far.close)
    closer.start()
    with RunningEnclave(
        process, near, measurement=bytes(32), isolation="unsafe-plain-process", quoter=refuse_to_quote
    ) as enclave:
        yield enclave, far
    closer.join()


def refuse_to_quote(report_data):
    raise NotImplementedError


def test_frame_that_stops_half_way_ends_the_enclave(mute_enclave):
    enclave, far = mute_enclave
    far.sendall(b"\0\0\0\7")

    with pytest.raises(EnclaveError, match="said nothing"):
        enclave.receive_frame(0.1)
    with pytest.raises(EnclaveError, match="was ended"):
        enclave.receive_frame(0.1)


def test_enclave_that_does_not_read_is_ended_after_the_time_to_send(mute_enclave):
    enclave, _ = mute_enclave

    with pytest.raises(EnclaveError, match="did not take a message"):
        enclave.send_frame({}, bytes(16 << 20), timeout_seconds=0.1)
    with pytest.raises(EnclaveError, match="was ended"):
        enclave.send_frame({})


# ---- the quote


def test_quote_of_a_running_enclave_verifies_with_its_measurement(launcher, platform, probe_image):
    report_data = os.urandom(64)
    with launcher.launch() as enclave:
        evidence = enclave.quote(report_data)

    result = verify(
        evidence,
        unsafe_simulation_policy(platform.root_der),
        int(time.time()),
        expected_report_data=report_data,
        reference_measurements=frozenset({measure(probe_image)}),
    )

    assert result.simulated
    assert result.tee_kind is TeeKind.SIMULATED_SGX is launcher.tee_kind
    assert result.measurement == enclave.measurement == launcher.measurement


def test_quote_of_a_running_enclave_is_refused_by_the_production_policy(launcher):
    with launcher.launch() as enclave:
        evidence = enclave.quote(b"\x01" * 64)

    with pytest.raises(AttestationError, match="not accepted by policy 'production'"):
        verify(
            evidence,
            PRODUCTION_POLICY,
            int(time.time()),
            expected_report_data=b"\x01" * 64,
            reference_measurements=frozenset({enclave.measurement}),
        )


def test_quote_with_report_data_of_another_size_is_refused(launcher):
    with launcher.launch() as enclave, pytest.raises(EnclaveError, match="wrong size"):
        enclave.quote(bytes(63))


# ---- the sandbox


def test_enclave_in_the_sandbox_has_no_way_out(sandbox_launcher):
    filtered = can_filter_system_calls()
    with sandbox_launcher.launch() as enclave:
        attempts, _ = ask(enclave, "escape", filtered=filtered, host_pid=os.getpid())

    assert {name: end for name, end in attempts.items() if not end.startswith("denied")} == {}
    assert len(attempts) >= (16 if filtered else 8)


def test_enclave_in_the_sandbox_sees_only_image_and_kernel(sandbox_launcher, probe_image, process_of):
    with sandbox_launcher.launch() as enclave:
        seen, _ = ask(enclave, "describe")
        # The host looks from outside: what the process itself may list depends on its file rules.
        process = process_of(enclave)
        root = sorted(entry.name for entry in (process / "root").iterdir())
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        descriptors = list((process / "fd").iterdir())

    assert set(root) == {"dev", "image", "proc", Path(probe_image.loader_folder).parts[1]}
    assert seen["root"] in (None, root)
    assert set(seen["environment"]) - {"PWD"} == {name for name, _ in probe_image.environment}
    assert seen["threads"] == 4
    assert seen["uid"] >= 1000
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    # standard streams, channel, and the watcher's copy of it: nothing of the files that it was made from
    assert len(descriptors) == 5


def test_arguments_of_the_process_hold_numbers_and_the_entry_only(launcher):
    with launcher.launch() as enclave:
        seen, _ = ask(enclave, "describe")

    options = json.loads(seen["arguments"])
    assert options.pop("entry") == "probe_enclave:main"
    assert all(value is None or isinstance(value, int) for value in options.values())


def test_memory_beyond_the_limit_is_denied(limited_launcher):
    launcher = limited_launcher(EnclaveLimits(memory_bytes=512 * 1024**2))
    with launcher.launch() as enclave:
        assert ask(enclave, "allocate", bytes=1 << 20)[0]["result"] == 1 << 20

        assert ask(enclave, "allocate", bytes=1 << 30)[0]["result"] == "denied"


@pytest.mark.skipif(not can_filter_system_calls(), reason="libseccomp isn't installed")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the probe knows the numbers of x86-64")
def test_system_calls_that_no_enclave_needs_are_refused_by_the_filter(sandbox_launcher):
    with sandbox_launcher.launch() as enclave:
        ends, _ = ask(enclave, "system calls")

    # Without the filter most of these calls, made with zeros, would end as EINVAL, EFAULT or EBADF, or succeed.
    assert ends.pop("clone3") == "ENOSYS"  # so that libc falls back to clone, whose flags a filter can read
    assert {name: end for name, end in ends.items() if end != "EPERM"} == {}
    assert len(ends) >= 40


@pytest.mark.parametrize("entry", ["no_such_module:main", "probe_enclave:no_such_function", "probe_enclave"])
def test_entry_that_does_not_exist_ends_the_process_in_silence(quoting, probe_image, image_store, entry, capfd):
    image = replace(probe_image, entry=entry)
    with (
        SimulatedLauncher(quoting, image=image, sandbox="unsafe-plain-process", store=image_store) as launcher,
        launcher.launch() as enclave,
        pytest.raises(EnclaveError, match="exit status 70"),
    ):
        enclave.receive_frame(WAIT)

    assert capfd.readouterr() == ("", "")


# ---- nothing is left behind


def test_leaving_the_context_leaves_no_process(limited_launcher):
    limits = unique_limits()
    with limited_launcher(limits).launch() as enclave:
        ask(enclave, "echo", text="up")
        assert processes_marked(limits)

    assert wait_until_gone(limits) == []
    enclave.terminate()  # a second time is harmless
    with pytest.raises(EnclaveError, match="was ended"):
        enclave.send_frame({})


def test_leaving_the_context_by_an_error_leaves_no_process(limited_launcher):
    limits = unique_limits()

    with pytest.raises(ZeroDivisionError), limited_launcher(limits).launch() as enclave:
        ask(enclave, "echo", text=str(1 // 0))

    assert wait_until_gone(limits) == []


def test_enclave_dies_with_its_killed_host(image_store, tmp_path):
    limits = unique_limits()
    sandbox = "bubblewrap" if can_bubblewrap() else "unsafe-plain-process"
    program = textwrap.dedent(f"""
        import pathlib, time
        from heartify.attestation.simulated import SimulatedPlatform
        from heartify.tee.image_contents import build_enclave_image
        from heartify.tee.limits import EnclaveLimits
        from heartify.tee.simulated.launcher import SimulatedLauncher
        from heartify.tee.simulated.quoting import QuotingService

        image = build_enclave_image(
            entry="probe_enclave:main",
            distributions=["msgspec"],
            extra_app_files={{"probe_enclave.py": pathlib.Path({str(Path(__file__).with_name("probe_enclave.py"))!r})}},
        )
        folder = pathlib.Path({str(tmp_path)!r}) / "platform"
        SimulatedPlatform.create(int(time.time())).store(folder)
        launcher = SimulatedLauncher(
            QuotingService(folder),
            image=image,
            sandbox={sandbox!r},
            store=pathlib.Path({str(image_store)!r}),
            limits=EnclaveLimits(memory_bytes={limits.memory_bytes}),
        )
        enclave = launcher.launch()
        enclave.send_frame({{"do": "echo", "text": "up"}})
        enclave.receive_frame(30)
        print("up", flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout.readline() == "up\n"
        assert processes_marked(limits)

        host.kill()

    assert wait_until_gone(limits) == []


def test_closing_the_launcher_removes_the_temporary_copy(quoting, probe_image):
    launcher = SimulatedLauncher(quoting, image=probe_image, sandbox="unsafe-plain-process")
    folder = launcher._copy.folder
    assert folder.is_dir()

    launcher.close()

    assert not folder.parent.exists()
