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

# By the bits of (width - 1): up to 8, 16, 32 and 64 bits.
_CODE_TYPES = tuple(np.dtype(f"<u{size}") for size in (1, 1, 1, 1, 2, 4, 8))


def code_type(width_bits: int) -> np.dtype[np.unsignedinteger]:
    """Return the narrowest unsigned type that holds codes of that width, 1 to 64 bits."""
    return _CODE_TYPES[(width_bits - 1).bit_length()]


def packed_bytes(rows: int, width_bits: int) -> int:
    """Return the bytes of `rows` codes; `rows` is a multiple of 512."""
    return rows // 8 * width_bits


def pack(codes: CodeArray, width_bits: int) -> bytes:
    """Pack codes, whose number is a multiple of 512 and which fit into the width, into planes."""
    return b"".join(_pack_plane(codes >> np.uint8(shift), bits) for shift, bits in _planes(width_bits))


class Workspace:
    """Memory in which one thread unpacks blocks of up to `rows` codes: fresh memory costs more than the unpacking.

    `codes` and `shifted` are for whole codes, `pieces` for a plane of less than 8 bits.
    """

    __slots__ = ("codes", "pieces", "shifted")

    def __init__(self, rows: int, width_bits: int) -> None:
        self.codes: CodeArray = np.empty(rows, code_type(width_bits))
        self.shifted: CodeArray = np.empty(rows, code_type(width_bits))
        self.pieces = np.empty(rows, np.uint8)


def unpack(data: Buffer, rows: int, width_bits: int, work: Workspace | None = None) -> CodeArray:
    """Unpack `rows` codes, a multiple of 512, from planes.

    The result may be a view of `data` or of `work`, and is then good until `work` is used again.
    """
    work = work or Workspace(rows, width_bits)
    codes, offset = work.codes[:rows], 0
    for shift, bits in _planes(width_bits):
        plane = _unpack_plane(data, offset, rows, bits, work)
        offset += packed_bytes(rows, bits)
        if bits == width_bits and bits >= 8:
            return plane
        if shift == 0:
            np.copyto(codes, plane)
            continue
        shifted = work.shifted[:rows]
        np.copyto(shifted, plane)
        np.left_shift(shifted, shift, out=shifted)
        np.bitwise_or(codes, shifted, out=codes)
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


def _unpack_plane(data: Buffer, offset: int, rows: int, bits: int, work: Workspace) -> CodeArray:
    if bits >= 8:
        return np.frombuffer(data, f"<u{bits // 8}", rows, offset)
    packed = np.frombuffer(data, np.uint8, packed_bytes(rows, bits), offset)
    piece = work.pieces[:rows].reshape(8 // bits, -1)
    for place, segment in enumerate(piece):
        np.right_shift(packed, bits * place, out=segment)
    np.bitwise_and(piece, 2**bits - 1, out=piece)
    return piece.reshape(rows)
