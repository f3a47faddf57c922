"""A reader of cpio archives in the kernel's format, written from its description and not from the writer.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

NAMES = (
    "ino",
    "mode",
    "uid",
    "gid",
    "nlink",
    "mtime",
    "size",
    "devmajor",
    "devminor",
    "major",
    "minor",
    "namesize",
    "check",
)


@dataclass(frozen=True)
class CpioEntry:
    path: str
    fields: dict[str, int]
    content: bytes


def read_entries(archive: bytes) -> list[CpioEntry]:
    """Return the entries before the trailer; everything after it must be zeros."""
    entries, at = [], 0
    while True:
        assert archive[at : at + 6] == b"070701", at
        numbers = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        fields = dict(zip(NAMES, numbers, strict=True))
        start = at + 110
        name = archive[start : start + fields["namesize"]]
        assert name.endswith(b"\0")
        begin = -(-(start + fields["namesize"]) // 4) * 4
        at = -(-(begin + fields["size"]) // 4) * 4
        if name == b"TRAILER!!!\0":
            assert not any(archive[at:])
            return entries
        entries.append(CpioEntry(name[:-1].decode(), fields, archive[begin : begin + fields["size"]]))


def unpack(archive: bytes, root: Path) -> None:
    """Unpack as the kernel would, but for devices: parents must come before what is in them."""
    root.mkdir()
    for entry in read_entries(archive):
        target, mode = root / entry.path, entry.fields["mode"]
        if stat.S_ISDIR(mode):
            target.mkdir()
        elif stat.S_ISLNK(mode):
            target.symlink_to(entry.content.decode())
        elif stat.S_ISREG(mode):
            target.write_bytes(entry.content)
            target.chmod(stat.S_IMODE(mode))
        else:
            assert stat.S_ISCHR(mode)
