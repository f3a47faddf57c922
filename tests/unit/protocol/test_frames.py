"""Frames of the enclave's channel."""

from __future__ import annotations

import io

import pytest

from heartify.errors import DocumentError
from heartify.protocol.frames import MAX_BODY_BYTES, MAX_HEADER_BYTES, encode_frame, read_frame


class LongBody(bytes):
    """Bytes that say they are over the limit, so that the test needs no gigabyte."""

    def __len__(self) -> int:
        return MAX_BODY_BYTES + 1


def recv_exactly(data: bytes):
    stream = io.BytesIO(data)

    def recv(count: int) -> bytes:
        part = stream.read(count)
        if len(part) < count:
            raise EOFError
        return part

    return recv


def test_frames_follow_each_other():
    recv = recv_exactly(encode_frame({"op": "a"}, b"\x00{}") + encode_frame({"op": "b"}))

    assert read_frame(recv) == ({"op": "a"}, b"\x00{}")
    assert read_frame(recv) == ({"op": "b"}, b"")


def test_a_frame_that_breaks_off_is_the_transports_error():
    frame = encode_frame({"op": "a"}, b"body")

    for length in range(len(frame)):
        with pytest.raises(EOFError):
            read_frame(recv_exactly(frame[:length]))


@pytest.mark.parametrize("lengths", [(MAX_HEADER_BYTES + 1, 0), (2, MAX_BODY_BYTES + 1), (2**32 - 1, 2**32 - 1)])
def test_lengths_over_the_limit_are_refused_before_anything_more_is_read(lengths):
    asked = []

    def recv(count: int) -> bytes:
        asked.append(count)
        return b"".join(length.to_bytes(4, "big") for length in lengths)

    with pytest.raises(DocumentError, match="over the limits"):
        read_frame(recv)
    assert asked == [8]


def test_header_over_the_limit_is_not_sent():
    with pytest.raises(DocumentError, match="over the limits"):
        encode_frame({"a": "x" * MAX_HEADER_BYTES})


def test_body_over_the_limit_is_not_sent():
    with pytest.raises(DocumentError, match="over the limits"):
        encode_frame({}, LongBody())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", object(), {1, 2}])
def test_header_without_a_json_form_is_not_sent(value):
    with pytest.raises(DocumentError, match="no JSON form"):
        encode_frame({"a": value})


def test_nothing_of_a_refused_header_is_in_the_message():
    with pytest.raises(DocumentError) as refused:
        read_frame(recv_exactly(b"\x00\x00\x00\x08" + bytes(4) + b'"secret"'))

    assert "secret" not in str(refused.value)
