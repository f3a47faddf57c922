"""Who speaks at the other end of a socket pair: the kernel's word, attached to each message (unix(7), SCM_CREDENTIALS).

A process can't lie about its own process and user id here, also from inside other namespaces: the kernel translates
them into those of the receiver.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("iii")


@dataclass(frozen=True, slots=True)
class Peer:
    """The sender of a message: its process id and user id as this process sees them."""

    process_id: int
    user_id: int


def name_senders(receiver: socket.socket) -> None:
    """Let the kernel name the sender of each message that this end receives from now on."""
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def receive_named(receiver: socket.socket, count: int, deadline: float) -> tuple[bytes, Peer | None]:
    """Receive at most `count` bytes, at least one unless the other end closed, and who sent them.

    `deadline` is of time.monotonic. Raises TimeoutError, OSError.
    """
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    receiver.settimeout(remaining)
    data, ancillary, _flags, _address = receiver.recvmsg(count, socket.CMSG_SPACE(_CREDENTIALS.size))
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            process_id, user_id, _group_id = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])
            return data, Peer(process_id, user_id)
    return data, None
