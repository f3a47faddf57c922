from __future__ import annotations

import numpy as np
import pytest

from heartify.cohort.encrypted.bit_planes import Workspace, code_type, pack, packed_bytes, unpack

WIDTHS = [*range(1, 54), 64]


def pack_by_hand(codes: list[int], width: int) -> bytes:
    """The definition, one value and one bit at a time."""
    packed, shift = b"", 0
    for bits in (64, 32, 16, 8, 4, 2, 1):
        if not width & bits:
            continue
        pieces = [code >> shift & (2**bits - 1) for code in codes]
        shift += bits
        if bits >= 8:
            packed += b"".join(piece.to_bytes(bits // 8, "little") for piece in pieces)
            continue
        segment = len(pieces) * bits // 8
        for place in range(segment):
            packed += bytes([sum(pieces[k * segment + place] << (bits * k) for k in range(8 // bits))])
    return packed


@pytest.mark.parametrize("width", WIDTHS)
def test_planes_are_those_of_the_definition_and_come_back(width: int) -> None:
    rng = np.random.default_rng(width)
    codes = (
        rng.integers(0, 2**width, 1024, dtype=np.uint64, endpoint=False)
        if width < 64
        else rng.integers(0, 2**64 - 1, 1024, dtype=np.uint64, endpoint=True)
    )
    codes[:2] = 0, 2**width - 1

    packed = pack(codes.astype(code_type(width)), width)

    assert packed == pack_by_hand(codes.tolist(), width)
    assert len(packed) == packed_bytes(1024, width) == 128 * width
    np.testing.assert_array_equal(unpack(packed, 1024, width), codes)
    assert unpack(packed, 1024, width).dtype == code_type(width)


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_any_buffer_is_unpacked_and_never_changed(buffer: type) -> None:
    codes = np.arange(512, dtype=np.uint16) % 1000
    packed = pack(codes, 10)

    unpacked = unpack(buffer(packed), 512, 10)

    np.testing.assert_array_equal(unpacked, codes)
    assert packed == pack(codes, 10)


def test_a_workspace_serves_block_after_block() -> None:
    work = Workspace(1024, 13)
    first, second = np.arange(1024, dtype=np.uint16), np.arange(512, dtype=np.uint16)[::-1]

    for codes in (first, second, first):
        unpacked = unpack(pack(codes, 13), len(codes), 13, work)
        np.testing.assert_array_equal(unpacked, codes)
