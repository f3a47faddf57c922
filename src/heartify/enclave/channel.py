"""The enclave's one channel to the world: a connection to the launcher on its host.

The host is a courier that is not believed. Every call is a request frame and one reply frame; a reply of another kind
ends the run. Nothing else in the enclave performs I/O.
"""

from __future__ import annotations

from typing import Any, Protocol

from heartify.enclave.failure import StudyFailedError
from heartify.errors import DocumentError
from heartify.protocol.frames import MAX_BODY_BYTES, encode_frame, read_frame, receive_exactly
from heartify.protocol.outcomes import FailureCode

Frame = tuple[dict[str, Any], bytes]

# Evidence with its collateral is the largest header of a reply, some 100 KB; the job itself may be larger.
_REPLY_HEADER_BYTES = 4 * 1024 * 1024
# A body that is a little too long is a damaged file; one that is far too long isn't even received.
_BODY_SLACK_BYTES = 65536


class Connection(Protocol):
    """A stream of bytes both ways: a socket, or the two ends that a TEE gives instead of one."""

    def recv(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Send every byte."""


class Channel:
    """Requests to the host, one at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def receive_job(self) -> dict[str, Any]:
        """Return the header of the first frame, the job."""
        header, _ = self._read(max_body_bytes=_BODY_SLACK_BYTES)
        return self._expect(header, "job")

    def call(self, operation: str, *, body_bytes: int = 0, **fields: Any) -> Frame | None:
        """Ask the host for something, whose body has about `body_bytes`; None when it says that it can't be had.

        Raises:
            StudyFailedError: HOST_PROTOCOL when the reply is not one to this request.
        """
        self.tell(operation, **fields)
        header, body = self._read(
            max_header_bytes=_REPLY_HEADER_BYTES,
            max_body_bytes=min(body_bytes + _BODY_SLACK_BYTES, MAX_BODY_BYTES),
        )
        self._expect(header, operation)
        return (header, body) if header.get("ok") is True else None

    def tell(self, operation: str, body: bytes = b"", **fields: Any) -> None:
        """Send a frame that wants no reply."""
        try:
            self._connection.sendall(encode_frame({"op": operation, **fields}, body))
        except OSError as exc:
            raise StudyFailedError(FailureCode.HOST_PROTOCOL) from exc

    def _read(self, **limits: int) -> Frame:
        try:
            return read_frame(lambda count: receive_exactly(self._connection.recv, count), **limits)
        except (OSError, EOFError, DocumentError) as exc:
            raise StudyFailedError(FailureCode.HOST_PROTOCOL) from exc

    @staticmethod
    def _expect(header: dict[str, Any], operation: str) -> dict[str, Any]:
        if header.get("op") != operation:
            raise StudyFailedError(FailureCode.HOST_PROTOCOL)
        return header
