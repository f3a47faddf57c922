"""Codes of 1 to 64 bits as planes, so that packing and unpacking are a few contiguous passes and not one a value.

A code of w bits is cut as the binary form of w says, lowest bits first: a piece of 64, 32, 16, 8, 4, 2 and 1 bits for
each of these powers that w contains. Every piece is a plane over all rows of a block. Pieces of 8 bits and more are
little-endian arrays. In a plane of 4, 2 or 1 bits, the rows are cut into 2, 4 or 8 equal segments; a byte holds the
same place of every segment, the first segment in its lowest bits. 512 rows are a whole number of bytes in each plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

CodeArray: TypeAlias = npt.NDArray[np.unsignedinteger]
Buffer: TypeAlias = bytes | bytearray | memoryview

ROW_STEP = 512


def code_type(width_bits: int) -> np.dtype[np.unsignedinteger]:
    """Return the narrowest unsigned type that holds codes of that width."""
    width_bytes = next(size for size in (1, 2, 4, 8) if width_bits <= 8 * size)
    return np.dtype(f"<u{width_bytes}")


def packed_bytes(rows: int, width_bits: int) -> int:
    """Return the bytes of `rows` codes; `rows` is a multiple of 512."""
    return rows // 8 * width_bits


def pack(codes: CodeArray, width_bits: int) -> bytes:
    """Pack codes, whose number is a multiple of 512 and which fit into the width, into planes."""
    return b"".join(_pack_plane(codes >> np.uint8(shift), bits) for shift, bits in _planes(width_bits))


def unpack(data: Buffer, rows: int, width_bits: int) -> CodeArray:
    """Unpack `rows` codes, a multiple of 512, from planes; the result may be a view of `data`."""
    kind = code_type(width_bits)
    codes, offset = None, 0
    for shift, bits in _planes(width_bits):
        plane = _unpack_plane(data, offset, rows, bits)
        offset += packed_bytes(rows, bits)
        if codes is None:
            codes = plane if plane.dtype == kind else plane.astype(kind)
            continue
        wide = plane.astype(kind)
        np.left_shift(wide, shift, out=wide)
        codes = np.bitwise_or(codes, wide, out=wide)
    if codes is None:
        raise ValueError("a code has at least one bit")
    return codes


def _planes(width_bits: int) -> Iterator[tuple[int, int]]:
    """Yield each plane's shift and bits, lowest bits first."""
    shift = 0
    for bits in (64, 32, 16, 8, 4, 2, 1):
        if width_bits & bits:
            yield shift, bits
            shift += bits


def _pack_plane(codes: CodeArray, bits: int) -> bytes:
    if bits >= 8:
        return bytes(codes.astype(f"<u{bits // 8}").tobytes())
    segments = (codes.astype(np.uint8) & (2**bits - 1)).reshape(8 // bits, -1)
    packed = segments[0].copy()
    for place, segment in enumerate(segments[1:], start=1):
        packed |= segment << (bits * place)
    return bytes(packed.tobytes())


def _unpack_plane(data: Buffer, offset: int, rows: int, bits: int) -> CodeArray:
    if bits >= 8:
        return np.frombuffer(data, f"<u{bits // 8}", rows, offset)
    packed = np.frombuffer(data, np.uint8, packed_bytes(rows, bits), offset)
    codes = np.empty((8 // bits, packed.size), np.uint8)
    for place, segment in enumerate(codes):
        np.right_shift(packed, bits * place, out=segment)
    np.bitwise_and(codes, 2**bits - 1, out=codes)
    return codes.reshape(rows)
