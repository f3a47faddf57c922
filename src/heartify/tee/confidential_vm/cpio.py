"""Archives in the format of the Linux initial file system: cpio "newc", the same bytes for the same content.

Entries are written in the order in which they come; times, owners and inode numbers aren't the host's.
Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Final

from heartify.errors import EnclaveError

_MAGIC: Final = "070701"
_DIRECTORY, _FILE, _LINK, _CHARACTER_DEVICE = 0o040000, 0o100000, 0o120000, 0o020000
_TRAILER: Final = "TRAILER!!!"
_BLOCK_BYTES: Final = 512
_FILE_LIMIT_BYTES: Final = 0xFFFFFFFF


@dataclass(slots=True)
class CpioWriter:
    """Writes one archive to a binary file; `finish` must be called last. Raises EnclaveError for a file over 4 GiB."""

    out: BinaryIO
    _inode: int = 0
    _written: int = 0

    def add_directory(self, path: str) -> None:
        """Add a directory that everybody may read."""
        self._entry(path, _DIRECTORY | 0o555, links=2)

    def add_file(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Add a file that nobody may write."""
        self._entry(path, _FILE | (0o555 if executable else 0o444), content)

    def add_link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._entry(path, _LINK | 0o777, target.encode())

    def add_character_device(self, path: str, major: int, minor: int) -> None:
        """Add a character device."""
        self._entry(path, _CHARACTER_DEVICE | 0o600, device=(major, minor))

    def finish(self) -> None:
        """Write the trailer and fill up the last block."""
        self._inode = -1
        self._entry(_TRAILER, 0)
        self._write(bytes(-self._written % _BLOCK_BYTES))

    def _entry(
        self, path: str, mode: int, content: bytes = b"", *, links: int = 1, device: tuple[int, int] = (0, 0)
    ) -> None:
        if len(content) > _FILE_LIMIT_BYTES:
            raise EnclaveError(f"guest image: {path} is longer than an archive can say")
        self._inode += 1
        name = path.encode() + b"\0"
        # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        fields = (self._inode, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0)
        self._write((_MAGIC + "".join(f"{field:08x}" for field in fields)).encode() + name)
        self._write(bytes(-self._written % 4))
        self._write(content)
        self._write(bytes(-self._written % 4))

    def _write(self, data: bytes) -> None:
        self.out.write(data)
        self._written += len(data)
