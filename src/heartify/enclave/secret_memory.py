"""Memory for keys: pages of their own, not swapped, not dumped, empty in a forked child, overwritten after use.

The kernel may refuse to lock or to mark pages (a small limit, another TEE's memory); then they are plain memory that is
still overwritten. What libraries copy out of here is listed in docs/security/memory.md. It trusts the process's own
code: nothing hides memory from that.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap

# <asm-generic/mman-common.h>; the module mmap doesn't name both on every system.
_MADV_DONTDUMP, _MADV_WIPEONFORK = 16, 18
# A bytes object's content begins where its header ends, less the final zero that belongs to the header's size.
_BYTES_HEADER = bytes.__basicsize__ - 1


class SecretMemory:
    """Zeroed bytes that `wipe` overwrites; parts are given out as views, which see the zeros then."""

    __slots__ = ("_pages", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._pages = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for advice in (_MADV_DONTDUMP, _MADV_WIPEONFORK):
            with contextlib.suppress(OSError):
                self._pages.madvise(advice)
        start = (ctypes.c_char * len(self._pages)).from_buffer(self._pages)
        ctypes.CDLL(None).mlock(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(len(self._pages)))

    def view(self, start: int = 0, size: int | None = None) -> memoryview:
        """Return a writable view of `size` bytes from `start`, all by default."""
        return memoryview(self._pages)[start : self._size if size is None else start + size]

    def wipe(self) -> None:
        """Overwrite every byte with zero; harmless a second time."""
        view = memoryview(self._pages)
        ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(view)), 0, len(view))

    def __repr__(self) -> str:
        return f"SecretMemory({self._size} bytes)"


def wipe_bytes(secret: bytes) -> None:
    """Overwrite a bytes object in place, for secrets that a library gives as one; the caller must be its only owner.

    CPython shares objects of at most one byte; such are left alone.
    """
    if len(secret) > 1:
        ctypes.memset(id(secret) + _BYTES_HEADER, 0, len(secret))
