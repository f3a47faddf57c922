"""Frames of the enclave's one channel: a JSON header and an optional binary body.

    4 bytes  big endian, length of the header (at most 16 MiB)
    4 bytes  big endian, length of the body   (at most 1 GiB)
    header   UTF-8 JSON object
    body     any bytes

Framing promises nothing about who speaks: whatever comes in is authenticated by a digest, key or signature above it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from heartify.errors import DocumentError
from heartify.protocol.nesting import check_nesting

MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_BODY_BYTES = 1024 * 1024 * 1024
_PART_BYTES = 1 << 20
_LENGTHS = struct.Struct(">II")


def encode_frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Encode one frame.

    Raises:
        DocumentError: the header is not JSON, or the header or the body is over its limit.
    """
    try:
        # The standard library's encoder here, since msgspec's writes NaN as null.
        head = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise DocumentError("a frame's header has no JSON form") from exc
    _check_lengths(len(head), len(body))
    return _LENGTHS.pack(len(head), len(body)) + head + body


def read_frame(
    recv_exactly: Callable[[int], bytes],
    *,
    max_header_bytes: int = MAX_HEADER_BYTES,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> tuple[dict[str, Any], bytes]:
    """Read one frame through a function that returns exactly the asked number of bytes or raises.

    A reader that knows what it asked for gives tighter limits, and then takes no memory for more.

    Raises:
        DocumentError: a length is over its limit, or the header isn't a JSON object or nested too deeply.
    """
    header_length, body_length = _LENGTHS.unpack(recv_exactly(_LENGTHS.size))
    _check_lengths(header_length, body_length, max_header_bytes, max_body_bytes)
    head = recv_exactly(header_length)
    check_nesting(head, "a frame's header")
    try:
        header = msgspec.json.decode(head, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise DocumentError("a frame's header is not a JSON object in UTF-8") from exc
    return header, recv_exactly(body_length) if body_length else b""


def receive_exactly(receive: Callable[[int], bytes], count: int) -> bytes:
    """Return `count` bytes from a function like `socket.recv`, which may give fewer at a time.

    Raises:
        EOFError: it gives none before that.
    """
    parts = bytearray()
    while len(parts) < count:
        part = receive(min(count - len(parts), _PART_BYTES))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _check_lengths(header: int, body: int, max_header: int = MAX_HEADER_BYTES, max_body: int = MAX_BODY_BYTES) -> None:
    if header > max_header or body > max_body:
        raise DocumentError(f"a frame of {header} + {body} bytes is over the limits")
