"""The enclave's entry in a process of its own: an exit status, and not one byte on stdout or stderr."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from heartify.enclave.__main__ import EXIT_FAILED, EXIT_OK
from heartify.protocol.frames import encode_frame, read_frame
from heartify.protocol.outcomes import FailureCode

RUN = "import sys; from heartify.enclave.__main__ import main; main(int(sys.argv[1]))"


def run_entry(*messages, hang_up=True):
    """Run the entry against these bytes; return its exit status, output, and what it sent."""
    host_end, enclave_end = socket.socketpair()
    with host_end:
        with enclave_end:
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, str(enclave_end.fileno())],
                pass_fds=[enclave_end.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        host_end.settimeout(60)
        for message in messages:
            host_end.sendall(message)
        if hang_up:
            host_end.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: host_end.recv(1 << 16), b""))
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout + stderr, said


@pytest.mark.parametrize("message", [b"", encode_frame({"op": "job", "deal": "PATIENT-CANARY-4711"})])
def test_entry_prints_nothing_when_there_is_no_job(message):
    status, output, said = run_entry(message)

    assert (status, output, said) == (EXIT_FAILED, b"", b"")


def test_entry_prints_nothing_when_the_study_fails(world):
    job = world.documents() | {"plan": "0x00"}

    status, output, said = run_entry(encode_frame(job), hang_up=False)

    assert (status, output) == (EXIT_OK, b"")
    assert b'"op":"done"' in said
    assert f'"code":"{int(FailureCode.INPUT_DAMAGED)}"'.encode() in said


def test_entry_ends_when_the_host_stops_in_the_middle(world):
    status, output, said = run_entry(encode_frame(world.documents()))

    assert (status, output) == (EXIT_OK, b"")
    frames = iter_frames(said)
    assert [header["op"] for header in frames] == ["step", "step", "challenge", "done"]


def iter_frames(data):
    position = 0

    def take(count):
        nonlocal position
        position += count
        return data[position - count : position]

    while position < len(data):
        yield read_frame(take)[0]
