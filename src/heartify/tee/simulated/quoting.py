"""The launcher's side of the simulated quoting service: it starts the process, hands over its keys, and asks.

As root it gives the folder of the keys to a user id of their own once, and the service becomes that user: then the
launcher, every enclave and every other user of the machine but root are kept from the keys. As an ordinary user the
service is an ordinary process of this user, and nothing claims otherwise.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

import heartify
from heartify import errors
from heartify.attestation.simulated import SimulatedLaunch
from heartify.errors import DocumentError, EnclaveError, HeartifyError
from heartify.protocol.evidence import Evidence
from heartify.protocol.frames import encode_frame, read_frame
from heartify.tee.simulated.peer import Peer, name_senders, receive_named
from heartify.tee.simulated.quoting_messages import QuoteReply, QuoteRequest, QuoterFailed, QuoterReady
from heartify.tee.simulated.quoting_service import START
from heartify.tee.simulated.system_call_filter import can_filter_system_calls, open_service_filter
from heartify.tee.simulated.user_ids import choose_quoter_user_id, is_quoter_user_id, runs_as_root

_START_SECONDS = 60.0
_ANSWER_SECONDS = 30.0
_END_SECONDS = 5.0


class Quoting(Protocol):
    """What a launcher needs of a quoting service."""

    @property
    def is_separate(self) -> bool:
        """Say whether the keys are another user's, and used by a process of that user alone."""

    def quote(self, launch: SimulatedLaunch, report_data: bytes) -> Evidence:
        """Quote a launch with 64 bytes of report data. Raises EnclaveError."""


def give_keys_to_quoter(folder: Path) -> int | None:
    """As root, give a folder of platform keys that is root's to a user id of its own; return its owner for the service.

    None for an ordinary user, whose service runs as the user itself. Done again after an interruption, it completes.

    Raises:
        EnclaveError: no user id is free.
        InputError: the folder can't be read.
    """
    if not runs_as_root():
        return None
    try:
        owner = folder.stat().st_uid
        if owner != 0:
            return owner
        user_id = choose_quoter_user_id()
        for file in folder.iterdir():
            os.chown(file, user_id, user_id, follow_symlinks=False)
        folder.chmod(0o700)
        # Last: an owner other than root says that everything in it was given.
        os.chown(folder, user_id, user_id, follow_symlinks=False)
    except OSError as exc:
        raise errors.InputError(f"simulated platform: {folder} can't be read: {exc.strerror}") from exc
    return user_id


class QuotingService:
    """A running quoting service for the platform in `folder`. Use it as a context, or call `close`.

    Raises InputError for absent or unprotected keys, IntegrityError for damaged ones, EnclaveError when it can't start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._lock = threading.Lock()
        self._process, self._channel, self._peer = self._start()

    @property
    def process_id(self) -> int:
        """Return the process id of the service."""
        return self._peer.process_id

    @property
    def is_separate(self) -> bool:
        """Say whether the service runs as another user who alone can enter the folder of the keys."""
        found = self._folder.stat()
        return (
            self._peer.user_id != os.geteuid()
            and is_quoter_user_id(self._peer.user_id)
            and found.st_uid == self._peer.user_id
            and stat.S_IMODE(found.st_mode) & 0o077 == 0
        )

    def quote(self, launch: SimulatedLaunch, report_data: bytes) -> Evidence:
        """Quote a launch with 64 bytes of report data.

        Raises EnclaveError for another size, or when the service ended and can't be started again.
        """
        request = encode_frame(msgspec.to_builtins(QuoteRequest.of(launch, report_data)))
        with self._lock:
            if self._process.poll() is not None:
                # The machine may have killed it; its keys are in files, and nothing else is lost with it.
                self._channel.close()
                self._process, self._channel, self._peer = self._start()
            try:
                self._channel.settimeout(_ANSWER_SECONDS)
                self._channel.sendall(request)
                header = _receive_header(self._channel, _ANSWER_SECONDS)
            except (OSError, EOFError, DocumentError) as exc:
                self._end()
                raise EnclaveError(f"the simulated quoting service gave no answer: {type(exc).__name__}") from exc
        if header.get("op") == "failed":
            raise _rebuild(msgspec.convert(header, QuoterFailed))
        reply = msgspec.convert(header, QuoteReply)
        return Evidence(reply.tee_kind, reply.quote_hex, reply.collateral)

    def close(self) -> None:
        """End the service; harmless when it has ended."""
        with self._lock:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self) -> None:
        self._channel.close()  # which ends it
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket, Peer]:
        user_id = give_keys_to_quoter(self._folder)
        ours, theirs = socket.socketpair()
        name_senders(ours)
        try:
            with theirs:
                process = self._spawn(theirs.fileno(), user_id)
        except OSError as exc:
            ours.close()
            raise EnclaveError(f"the simulated quoting service can't be started: {type(exc).__name__}") from exc
        try:
            return process, ours, _wait_until_ready(ours, self._folder)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise

    def _spawn(self, channel_fd: int, user_id: int | None) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as stack:
            filter_fd = open_service_filter() if can_filter_system_calls() else None
            if filter_fd is not None:
                stack.callback(os.close, filter_fd)
            options = {
                "channel_fd": channel_fd,
                "filter_fd": filter_fd,
                "folder": str(self._folder),
                "user_id": user_id or None,
            }
            package_root = str(Path(heartify.__file__).parent.parent)
            return subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", START, package_root, json.dumps(options)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[channel_fd] if filter_fd is None else [channel_fd, filter_fd],
                env={"PATH": os.defpath},
                cwd="/",
                start_new_session=True,
            )


def _wait_until_ready(channel: socket.socket, folder: Path) -> Peer:
    deadline = time.monotonic() + _START_SECONDS
    speaker: Peer | None = None

    def receive_exactly(count: int) -> bytes:
        nonlocal speaker
        received = bytearray()
        while len(received) < count:
            chunk, speaker = receive_named(channel, count - len(received), deadline)
            if not chunk:
                raise EOFError
            received += chunk
        return bytes(received)

    try:
        header, _ = read_frame(receive_exactly)
    except (OSError, EOFError, DocumentError) as exc:
        raise EnclaveError(f"the simulated quoting service can't be started: {type(exc).__name__}") from exc
    if header.get("op") == "failed":
        raise _rebuild(msgspec.convert(header, QuoterFailed), f" (in {folder})")
    msgspec.convert(header, QuoterReady)
    if speaker is None:
        raise EnclaveError("the simulated quoting service can't be told from another process")
    return speaker


def _receive_header(channel: socket.socket, timeout_seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_seconds

    def receive_exactly(count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            chunk, _ = receive_named(channel, count - len(received), deadline)
            if not chunk:
                raise EOFError
            received += chunk
        return bytes(received)

    return read_frame(receive_exactly)[0]


def _rebuild(failed: QuoterFailed, where: str = "") -> HeartifyError:
    kinds = {kind.__name__: kind for kind in (errors.InputError, errors.IntegrityError, EnclaveError)}
    return kinds.get(failed.error, EnclaveError)(failed.message + where, hint=failed.hint)
