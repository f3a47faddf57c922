"""The first code inside: streams, paths, and nothing printed whatever happens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from heartify.protocol.frames import encode_frame, read_frame, receive_exactly
from heartify.tee.gramine import entry, start


def test_a_large_message_goes_through_whole_in_both_directions():
    host, enclave = socket.socketpair()
    with host, enclave:
        streams = entry.StandardStreams(enclave.fileno(), enclave.fileno())
        body = bytes(range(256)) * 40_000
        sender = threading.Thread(target=streams.sendall, args=(encode_frame({"op": "x"}, body),))
        sender.start()

        assert read_frame(lambda count: receive_exactly(host.recv, count)) == ({"op": "x"}, body)
        sender.join()
        host.sendall(b"answer")
        assert receive_exactly(streams.recv, 6) == b"answer"


def test_the_end_of_the_channel_is_no_bytes():
    host, enclave = socket.socketpair()
    with enclave:
        host.close()

        assert entry.StandardStreams(enclave.fileno(), enclave.fileno()).recv(10) == b""


@pytest.mark.parametrize(
    "arguments", [[], ["no.such.module:main", "/dev/attestation"], ["heartify.enclave.program:run_job", "/nowhere"]]
)
def test_an_interpreter_with_other_libraries_is_refused_in_silence(arguments):
    """This test's interpreter isn't in an image: the entry must not import a thing with it."""
    command = [sys.executable, "-I", "-S", "-B", str(Path(entry.__file__)), *arguments]

    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    assert done.returncode == entry.EXIT_REFUSED
    assert done.stdout == done.stderr == b""


def test_modules_come_from_the_image_alone():
    with pytest.raises(RuntimeError, match="outside the image"):
        entry.use_measured_paths_only("/image")


@pytest.mark.parametrize(
    "arguments",
    [
        ["1", "10", "/bin/true"],  # another parent: the launcher is gone
        [None, "10", "/no/such/program"],
    ],
)
def test_the_starter_starts_nothing_without_its_launcher_or_program(arguments):
    parent = str(os.getpid())
    command = [sys.executable, "-I", "-S", start.__file__, *(argument or parent for argument in arguments)]

    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    assert done.returncode == start.EXIT_REFUSED
    assert done.stdout == b""


def test_the_starter_limits_processor_time_and_core_dumps():
    script = "import resource as r; print(r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_CORE))"
    parent = str(os.getpid())
    command = [sys.executable, "-I", "-S", start.__file__, parent, "77", sys.executable, "-c", script]

    done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    assert done.stdout.decode().strip() == "(77, 77) (0, 0)"
