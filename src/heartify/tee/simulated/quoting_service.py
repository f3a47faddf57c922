"""The simulated quoting service: a process that alone holds a simulated platform's keys, and quotes for one launcher.

It is to a simulated machine what processor, quoting enclave and collateral service are to a real one. It runs as a user
of its own where root started it, can't be traced, and after its start it opens no file and no socket, runs no program
and makes no process. It ends when its launcher does. It never learns more of a workload than 64 bytes of report data.

`python -I -B -c START PACKAGE_ROOT OPTIONS`; OPTIONS is JSON of descriptors, a user id and the folder of the keys.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from heartify.attestation.isolation import Isolation
from heartify.attestation.simulated import SimulatedLaunch, SimulatedPlatform
from heartify.errors import EnclaveError, HeartifyError
from heartify.protocol.evidence import TeeKind
from heartify.protocol.frames import encode_frame, read_frame
from heartify.tee.landlock import restrict
from heartify.tee.simulated.quoting_messages import QuoteReply, QuoteRequest, QuoterFailed, QuoterReady

START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from heartify.tee.simulated.quoting_service import main; main(sys.argv[2])"
)
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _PR_SET_NO_NEW_PRIVS = 4, 22, 2, 38
_FILTER_LIMIT_BYTES = 65536
_OPEN_FILES = 16
_EXIT_PROTOCOL = 65


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog of <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def main(options_json: str) -> None:
    """Serve until the launcher's end of the socket closes."""
    options: dict[str, Any] = json.loads(options_json)
    with socket.socket(fileno=int(options["channel_fd"])) as channel:
        try:
            platform, files_closed = _start(options)
        except HeartifyError as exc:
            _send(channel, _failure(exc))
            sys.exit(1)
        _send(channel, QuoterReady("ready", files_closed))
        _serve(channel, platform)


def answer(platform: SimulatedPlatform, header: dict[str, Any], now_utc_seconds: int) -> QuoteReply | QuoterFailed:
    """Answer one question. Raises msgspec.ValidationError for anything that is no question."""
    request = msgspec.convert(header, QuoteRequest)
    try:
        evidence = platform.launch_evidence(request.launch(), bytes.fromhex(request.report_data), now_utc_seconds)
    except HeartifyError as exc:
        return _failure(exc)
    return QuoteReply("evidence", evidence.tee_kind, evidence.quote_hex, evidence.collateral)


def _start(options: dict[str, Any]) -> tuple[SimulatedPlatform, bool]:
    """Give up everything but the keys and the channel, in the order in which it can be given up."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _import_all_that_a_quote_needs()
    # Its own user can enter the folder of the keys, but perhaps not the folders above it.
    try:
        os.chdir(options["folder"])
    except OSError as exc:
        raise EnclaveError(f"the folder of the simulated platform can't be entered: {exc.strerror}") from exc
    if options["user_id"] is not None:
        _become(int(options["user_id"]))
    libc = ctypes.CDLL(None, use_errno=True)
    _control(libc, _PR_SET_DUMPABLE, 0)
    _control(libc, _PR_SET_NO_NEW_PRIVS, 1)
    platform = SimulatedPlatform.load(Path())
    files_closed = restrict(())
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    if options["filter_fd"] is not None:
        _install_filter(libc, int(options["filter_fd"]))
    return platform, files_closed


def _import_all_that_a_quote_needs() -> None:
    # Libraries import parts of themselves at first use, which could not be read any more later.
    now = int(time.time())
    throwaway = SimulatedPlatform.create(now)
    for kind, registers in ((TeeKind.SIMULATED_SGX, (bytes(32),)), (TeeKind.SIMULATED_TDX, (bytes(48),) * 4)):
        request = QuoteRequest.of(SimulatedLaunch(kind, registers, Isolation.NONE), bytes(64))
        encode_frame(msgspec.to_builtins(answer(throwaway, msgspec.to_builtins(request), now)))


def _become(user_id: int) -> None:
    os.setgroups([])
    os.setresgid(user_id, user_id, user_id)
    os.setresuid(user_id, user_id, user_id)


def _control(libc: ctypes.CDLL, option: int, value: int) -> None:
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise EnclaveError(f"the simulated quoting service can't protect itself: prctl {option}")


def _install_filter(libc: ctypes.CDLL, descriptor: int) -> None:
    instructions = os.read(descriptor, _FILTER_LIMIT_BYTES)
    os.close(descriptor)
    program = _FilterProgram(len(instructions) // 8, instructions)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise EnclaveError("the simulated quoting service can't protect itself: seccomp")


def _serve(channel: socket.socket, platform: SimulatedPlatform) -> None:
    def receive_exactly(count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            chunk = channel.recv(count - len(received))
            if not chunk:
                sys.exit(0)  # the launcher ended
            received += chunk
        return bytes(received)

    while True:
        try:
            header, _ = read_frame(receive_exactly)
            reply = answer(platform, header, int(time.time()))
        except (HeartifyError, msgspec.ValidationError):
            # Only a launcher speaks here; what isn't a question comes from no launcher of ours.
            sys.exit(_EXIT_PROTOCOL)
        _send(channel, reply)


def _failure(error: HeartifyError) -> QuoterFailed:
    return QuoterFailed("failed", type(error).__name__, error.message, error.hint)


def _send(channel: socket.socket, message: msgspec.Struct) -> None:
    channel.sendall(encode_frame(msgspec.to_builtins(message)))
