"""The quoter inside a Gramine SGX enclave: it asks its own processor, and the host for collateral only.

Gramine shows the enclave its attestation as files (Documentation/attestation.rst): 64 bytes are written, the quote is
read. The processor signs; the host carries the request to the quoting enclave and could answer with anything, so the
quote must hold the report data of this very question. Whether it is genuine is each broker's to verify.
"""

from __future__ import annotations

import os
import struct

from heartify.enclave.channel import Channel
from heartify.enclave.failure import StudyFailedError
from heartify.errors import AttestationError
from heartify.protocol.evidence import REPORT_DATA_BYTES, Evidence, TeeKind
from heartify.protocol.outcomes import FailureCode

_CHUNK_BYTES = 4096
_TYPE_LIMIT_BYTES = 64
# Twice what Gramine itself gives at most (8 KiB).
_QUOTE_LIMIT_BYTES = 16384
# SGX ECDSA quote of version 3: header, report body, length of the signature data (Intel, QuoteLibReference, A.4).
_HEADER_BYTES, _BODY_BYTES, _LENGTH_BYTES = 48, 384, 4
_REPORT_DATA_OFFSET = _HEADER_BYTES + 320
_SIGNATURE_OFFSET = _HEADER_BYTES + _BODY_BYTES + _LENGTH_BYTES
_QUOTE_VERSION = 3


class GramineQuoter:
    """Gets quotes from the files in `folder`, which Gramine makes as /dev/attestation; pathlib isn't in the image."""

    def __init__(self, channel: Channel, folder: str) -> None:
        self._channel = channel
        self._folder = folder

    def evidence(self, report_data: bytes) -> Evidence | None:
        """Return evidence over 64 bytes; None when this enclave can't quote or its host gives no collateral.

        Raises:
            StudyFailedError: HOST_PROTOCOL when the host's collateral is no text.
        """
        try:
            quote = read_quote(self._folder, report_data)
        except (OSError, AttestationError):
            return None
        kind = TeeKind.SGX.wire_name
        reply = self._channel.call("collateral", tee_kind=kind, quote=quote.hex())
        if reply is None:
            return None
        collateral = reply[0].get("collateral")
        if not isinstance(collateral, str):
            raise StudyFailedError(FailureCode.HOST_PROTOCOL)
        return Evidence(kind, quote.hex(), collateral)


def read_quote(folder: str, report_data: bytes) -> bytes:
    """Get the quote of this enclave over 64 bytes of report data.

    Raises:
        AttestationError: report data of another size, no DCAP attestation, or a quote that is none or for other data.
        OSError: Gramine or the quoting enclave refused.
    """
    # A shorter text would be padded with zeros, and could be another question's beginning.
    if len(report_data) != REPORT_DATA_BYTES:
        raise AttestationError(f"report data must have {REPORT_DATA_BYTES} bytes, got {len(report_data)}")
    kind = _read_whole(folder, "attestation_type", _TYPE_LIMIT_BYTES)
    if kind != b"dcap":
        raise AttestationError(f"attestation is of type {kind[:16]!r}, expected dcap")
    _write_whole(folder, "user_report_data", report_data)
    quote = _cut_quote(_read_whole(folder, "quote", _QUOTE_LIMIT_BYTES))
    if quote[_REPORT_DATA_OFFSET : _REPORT_DATA_OFFSET + REPORT_DATA_BYTES] != report_data:
        raise AttestationError("the quote is for other report data than was asked")
    return quote


def _cut_quote(answer: bytes) -> bytes:
    """Return the quote without the zeros of its buffer: its length is in itself."""
    if len(answer) < _SIGNATURE_OFFSET or struct.unpack_from("<H", answer)[0] != _QUOTE_VERSION:
        raise AttestationError("the answer is no SGX quote of version 3")
    end = _SIGNATURE_OFFSET + int(struct.unpack_from("<I", answer, _SIGNATURE_OFFSET - _LENGTH_BYTES)[0])
    if end > len(answer) or any(answer[end:]):
        raise AttestationError("the quote's length is not what it says")
    return answer[:end]


def _write_whole(folder: str, name: str, data: bytes) -> None:
    # One write: Gramine takes over what was written when the file is closed, and pads a part of it with zeros.
    descriptor = os.open(f"{folder}/{name}", os.O_WRONLY)
    try:
        written = os.write(descriptor, data)
    finally:
        os.close(descriptor)
    if written != len(data):
        raise AttestationError("the report data were not taken whole")


def _read_whole(folder: str, name: str, limit_bytes: int) -> bytes:
    descriptor = os.open(f"{folder}/{name}", os.O_RDONLY)
    try:
        content = bytearray()
        while len(content) <= limit_bytes and (chunk := os.read(descriptor, _CHUNK_BYTES)):
            content += chunk
    finally:
        os.close(descriptor)
    if len(content) > limit_bytes:
        raise AttestationError(f"{name} has more than {limit_bytes} bytes")
    return bytes(content)
