"""Connecting to a guest that is still starting: by vsock, which needs no network and no address of the machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

from heartify.errors import EnclaveError

_PAUSE_SECONDS: Final = 0.1


class Connector(Protocol):
    """Opens one stream to a guest."""

    def connect(self, cid: int, port: int, timeout_seconds: float) -> socket.socket:
        """Return a connected socket. Raises OSError when nobody listens there yet."""


class VsockConnector:
    """Connects by the host kernel's vsock."""

    def connect(self, cid: int, port: int, timeout_seconds: float) -> socket.socket:
        """Return a connected socket. Raises OSError when nobody listens there yet."""
        connection = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout_seconds)
            connection.connect((cid, port))
        except OSError:
            connection.close()
            raise
        connection.settimeout(None)
        return connection


def connect_to_guest(
    connector: Connector, cid: int, port: int, *, timeout_seconds: float, is_alive: Callable[[], bool]
) -> socket.socket:
    """Try until the guest listens.

    Raises EnclaveError when the machine ended before, or nobody listens within the time.
    """
    deadline = time.monotonic() + timeout_seconds
    while (remaining := deadline - time.monotonic()) > 0:
        if not is_alive():
            raise EnclaveError(
                "the confidential VM ended before its enclave answered", hint="QEMU's own errors are in the log file"
            )
        try:
            return connector.connect(cid, port, remaining)
        except OSError:
            time.sleep(_PAUSE_SECONDS)
    raise EnclaveError(f"the confidential VM's enclave did not answer within {timeout_seconds:g} seconds")
