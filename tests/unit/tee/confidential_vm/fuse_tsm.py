"""Mounts the fake configfs-tsm as a real file system, by the kernel's FUSE protocol: needs root and /dev/fuse.

A folder of ordinary files can't refuse root a write-only attribute, count writes, or make an answer when it is read.
Only what the quoter's four calls need is served; files are read and written directly, so that their sizes don't matter.
Source: Linux, include/uapi/linux/fuse.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from fake_tsm import FakeTsm

LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, RMDIR, OPEN, READ, WRITE = 1, 2, 3, 4, 9, 11, 14, 15, 16
RELEASE, FLUSH, INIT, INTERRUPT, DESTROY, BATCH_FORGET = 18, 25, 26, 36, 38, 42
WITHOUT_REPLY = {FORGET, INTERRUPT, BATCH_FORGET}
DIRECT_IO = 1
MNT_DETACH = 2
ROOT = 1
IN_HEADER = struct.Struct("<IIQQIIIHH")
BUFFER_BYTES = (1 << 20) + 8192


class FuseTsm:
    """Serves one mounted fake in a thread."""

    def __init__(self, tsm: FakeTsm, folder: Path) -> None:
        self.tsm = tsm
        self.folder = folder
        self.names = {ROOT: ""}
        self.handles: dict[int, bytearray] = {}
        self.device = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"fake-tsm", bytes(folder), b"fuse", 0, options) != 0:
            os.close(self.device)
            raise OSError(ctypes.get_errno(), "mount")
        self.libc = libc
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.libc.umount2(bytes(self.folder), MNT_DETACH)
        self.thread.join(10)
        os.close(self.device)

    def serve(self) -> None:
        while True:
            try:
                request = os.read(self.device, BUFFER_BYTES)
            except OSError as exc:
                if exc.errno in {errno.EINTR, errno.EAGAIN, errno.ENOENT}:
                    continue
                return  # ENODEV: unmounted
            _, opcode, unique, node, *_ = IN_HEADER.unpack_from(request)
            if opcode in WITHOUT_REPLY:
                continue
            error, body = 0, b""
            try:
                body = self.answer(opcode, node, request[IN_HEADER.size :])
            except OSError as exc:
                error = -exc.errno
            with contextlib.suppress(OSError):
                os.write(self.device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    def answer(self, opcode: int, node: int, request: bytes) -> bytes:
        if opcode == INIT:
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 12, 9, 1 << 20, 1, 0, 0, 0)
        if opcode in {GETATTR, SETATTR}:
            return struct.pack("<QII", 0, 0, 0) + self.attributes(node)
        if opcode == LOOKUP:
            return self.entry(self.path(node, request))
        if opcode == MKDIR:
            path = self.path(node, request[8:])
            if node != ROOT:
                raise OSError(errno.EPERM, path)
            self.tsm.mkdir(path)
            return self.entry(path)
        if opcode == RMDIR:
            self.tsm.rmdir(self.path(node, request))
            return b""
        return self.answer_file(opcode, node, request)

    def answer_file(self, opcode: int, node: int, request: bytes) -> bytes:
        path = self.names[node]
        if opcode == OPEN:
            wanted = 0o200 if struct.unpack_from("<I", request)[0] & os.O_ACCMODE else 0o400
            self.tsm._find(path, wanted)  # EACCES, as configfs gives root too
            handle = len(self.handles) + 1
            self.handles[handle] = bytearray() if wanted == 0o400 else bytearray(b"w")
            return struct.pack("<QII", handle, DIRECT_IO, 0)
        handle, offset, size = struct.unpack_from("<QQI", request.ljust(20, b"\0"))
        if opcode == READ:
            if offset == 0:
                self.handles[handle] = bytearray(self.tsm.read(path))
            return bytes(self.handles[handle][offset : offset + size])
        if opcode == WRITE:
            self.tsm.write(path, request[40 : 40 + size])
            return struct.pack("<II", size, 0)
        if opcode in {FLUSH, RELEASE}:
            return b""
        raise OSError(errno.ENOSYS, "call")

    def path(self, node: int, name: bytes) -> str:
        return f"{self.names[node]}/{name.rstrip(bytes(1)).decode()}"

    def entry(self, path: str) -> bytes:
        depth = path.count("/")
        name, _, attribute = path[1:].partition("/")
        if name not in self.tsm.entries or (depth == 2 and attribute not in self.tsm.attributes()):
            raise OSError(errno.ENOENT, path)
        node = max(self.names) + 1
        self.names[node] = path
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self.attributes(node)

    def attributes(self, node: int) -> bytes:
        path = self.names[node]
        mode = 0o100000 | self.tsm.attributes()[path.rpartition("/")[2]] if path.count("/") == 2 else 0o40755
        return struct.pack("<QQQQQQIIIIIIIIII", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def can_mount() -> bool:
    """Say whether this process may mount by FUSE, by doing it once."""
    try:
        with mounted(FakeTsm("tdx_guest", bytes)) as folder:
            return folder.is_dir()
    except OSError:
        return False


@contextlib.contextmanager
def mounted(tsm: FakeTsm) -> Iterator[Path]:
    """Mount a fake below a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="fake-tsm-") as name:
        served = FuseTsm(tsm, Path(name))
        try:
            yield Path(name)
        finally:
            served.close()
