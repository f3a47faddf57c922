"""A running enclave as its host sees it: one process tree, one channel, one measurement.

The host is a courier: it frames and forwards what it can't read. Whatever ends the process ends as EnclaveError here;
no output of the process exists that could be shown. Leaving the context always leaves no process behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from heartify.errors import DocumentError, EnclaveError
from heartify.protocol.evidence import Evidence
from heartify.protocol.frames import encode_frame, read_frame

_REAP_SECONDS = 10.0
_SEND_SECONDS = 120.0
_CHUNK_BYTES = 1 << 20


class RunningEnclave:
    """One enclave. `measurement` is what was measured of the running copy; `isolation` says in words what surrounds it.

    `quoter` answers for it, where the host quotes; it raises EnclaveError where the enclave gets its evidence itself.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        channel: socket.socket,
        *,
        measurement: bytes,
        isolation: str,
        quoter: Callable[[bytes], Evidence],
    ) -> None:
        self.measurement = measurement
        self.isolation = isolation
        self._process = process
        self._channel = channel
        self._quoter = quoter
        self._closed = False

    def send_frame(self, header: dict[str, Any], body: bytes = b"", *, timeout_seconds: float = _SEND_SECONDS) -> None:
        """Send one frame.

        Raises EnclaveError when the enclave is gone or doesn't read, DocumentError when the frame is too large.
        """
        frame = encode_frame(header, body)
        self._check_open()
        self._channel.settimeout(timeout_seconds)
        try:
            self._channel.sendall(frame)
        except TimeoutError as exc:
            self.terminate()
            raise EnclaveError("the enclave did not take a message in time and was ended") from exc
        except OSError as exc:
            raise EnclaveError(f"the enclave ended: {self._describe_end()}") from exc

    def receive_frame(self, timeout_seconds: float) -> tuple[dict[str, Any], bytes]:
        """Receive one frame: header and body.

        Raises EnclaveError when the enclave ended, sent something else than a frame, or nothing in time. After a
        timeout with no byte received the enclave still runs; in the middle of a frame it is ended.
        """
        self._check_open()
        receiver = _FrameReceiver(self._channel, time.monotonic() + timeout_seconds)
        try:
            return read_frame(receiver.receive_exactly)
        except TimeoutError as exc:
            if receiver.received_any:
                self.terminate()
            raise EnclaveError(f"the enclave said nothing within {timeout_seconds:g} seconds") from exc
        except (EOFError, OSError) as exc:
            raise EnclaveError(f"the enclave ended: {self._describe_end()}") from exc
        except DocumentError as exc:
            self.terminate()
            raise EnclaveError("the enclave sent something that is no frame and was ended") from exc

    def quote(self, report_data: bytes) -> Evidence:
        """Return evidence for this enclave's measurement with 64 bytes of report data that the enclave asked for.

        Raises EnclaveError when the enclave is gone or the report data have another size.
        """
        self._check_open()
        if self._process.poll() is not None:
            raise EnclaveError(f"the enclave ended: {self._describe_end()}")
        return self._quoter(report_data)

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Wait for the end of the enclave and return its exit status. Raises EnclaveError when it runs on."""
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as exc:
            raise EnclaveError(f"the enclave still runs after {timeout_seconds} seconds") from exc

    def terminate(self) -> None:
        """End the whole process tree at once and reap it; harmless when it has ended.

        Raises EnclaveError when something still holds the channel, which no process may.
        """
        if self._closed:
            return
        self._closed = True
        # bubblewrap runs in the group that is killed here; its namespace's first process dies with it, and with that
        # one the kernel ends every process inside.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        try:
            _drain_until_closed(self._channel, time.monotonic() + _REAP_SECONDS)
        except TimeoutError as exc:
            raise EnclaveError("a process of the enclave outlived its end") from exc
        finally:
            self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()

    def _check_open(self) -> None:
        if self._closed:
            raise EnclaveError("the enclave was ended")

    def _describe_end(self) -> str:
        try:
            return f"exit status {self._process.wait(_REAP_SECONDS)}"
        except subprocess.TimeoutExpired:
            return "its channel is closed, its process still runs"


class _FrameReceiver:
    """Reads exact numbers of bytes before one deadline, and knows whether a frame had begun."""

    def __init__(self, channel: socket.socket, deadline: float) -> None:
        self._channel = channel
        self._deadline = deadline
        self.received_any = False

    def receive_exactly(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            chunk = _receive(self._channel, min(count - len(received), _CHUNK_BYTES), self._deadline)
            if not chunk:
                raise EOFError
            self.received_any = True
            received += chunk
        return bytes(received)


def _receive(channel: socket.socket, count: int, deadline: float) -> bytes:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    channel.settimeout(remaining)
    return channel.recv(count)


def _drain_until_closed(channel: socket.socket, deadline: float) -> None:
    with contextlib.suppress(ConnectionError):
        while _receive(channel, _CHUNK_BYTES, deadline):
            pass
