"""A fake of the kernel's configfs-tsm that keeps to its ABI, behind the port that the quoter uses.

Linux, Documentation/ABI/testing/configfs-tsm-report, and drivers/virt/coco: attributes are write-only or read-only for
root too, `generation` counts writes of `inblob` and options, a report is made when `outblob` is read, one of more than
the kernel's limit is EFBIG, and TDX asks for exactly 64 bytes and pads its quote with zeros.
`fuse_tsm` mounts it, so that the quoter's own file calls are tested too.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

INBLOB_LIMIT_BYTES = 64
OUTBLOB_LIMIT_BYTES = 32 * 1024
WRITE_ONLY = ("inblob",)
READ_ONLY = ("generation", "outblob", "provider")


@dataclass
class Entry:
    """One request."""

    generation: int = 0
    inblob: bytes = b""
    privlevel: int = 0
    report: tuple[int, bytes] | None = None


@dataclass
class FakeTsm:
    """`quote` makes the blob of an inblob. `padding` zeros follow it. `table` is auxblob, of sev_guest only.

    `disturbances`: how many reports somebody else still disturbs by writing to the entry between write and read.
    `failures`: errors that the next readings of outblob end with.
    """

    provider: str
    quote: Callable[[bytes], bytes]
    padding: int = 0
    table: bytes | None = None
    disturbances: int = 0
    failures: list[int] = field(default_factory=list)
    privlevel_floor: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    made: int = 0

    def attributes(self) -> dict[str, int]:
        """Return names and modes of the attributes that every entry has."""
        names = dict.fromkeys(WRITE_ONLY, 0o200) | dict.fromkeys(READ_ONLY, 0o400)
        if self.provider == "sev_guest":
            names |= {"auxblob": 0o400, "privlevel": 0o200, "privlevel_floor": 0o400}
        return names

    def mkdir(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if name in self.entries:
            raise OSError(errno.EEXIST, name)
        self.entries[name] = Entry()
        self.made += 1

    def rmdir(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if name not in self.entries:
            raise OSError(errno.ENOENT, name)
        del self.entries[name]

    def write(self, path: str, data: bytes) -> None:
        entry, attribute = self._find(path, 0o200)
        if attribute == "privlevel":
            if not data.strip().isdigit() or int(data) < self.privlevel_floor:
                raise OSError(errno.EINVAL, attribute)
            entry.privlevel = int(data)
        else:
            if len(data) > INBLOB_LIMIT_BYTES:
                raise OSError(errno.EFBIG, attribute)
            entry.inblob = data
        entry.generation += 1

    def read(self, path: str) -> bytes:
        entry, attribute = self._find(path, 0o400)
        readers = {
            "generation": lambda: b"%d\n" % entry.generation,
            "provider": lambda: self.provider.encode() + b"\n",
            "privlevel_floor": lambda: b"%d\n" % self.privlevel_floor,
            "outblob": lambda: self._report(entry),
            "auxblob": lambda: (self._report(entry), self._table())[1],
        }
        return readers[attribute]()

    def _find(self, path: str, mode: int) -> tuple[Entry, str]:
        name, attribute = path.split("/")[-2:]
        if name not in self.entries or attribute not in self.attributes():
            raise OSError(errno.ENOENT, attribute)
        if not self.attributes()[attribute] & mode:
            raise OSError(errno.EACCES, attribute)
        return self.entries[name], attribute

    def _report(self, entry: Entry) -> bytes:
        if not entry.inblob:
            raise OSError(errno.EINVAL, "no inblob")
        if self.disturbances:
            self.disturbances -= 1
            entry.inblob = b"\x5a" * 64
            entry.generation += 1
        if entry.report is None or entry.report[0] != entry.generation:
            if self.failures:
                raise OSError(self.failures.pop(0), "outblob")
            if self.provider == "tdx_guest" and len(entry.inblob) != 64:
                raise OSError(errno.EINVAL, "TDX asks for 64 bytes")
            # SEV-SNP takes less, and fills up with zeros.
            blob = self.quote(entry.inblob.ljust(64, b"\0")) + bytes(self.padding)
            if len(blob) > OUTBLOB_LIMIT_BYTES:
                raise OSError(errno.EFBIG, "outblob")
            entry.report = (entry.generation, blob)
        return entry.report[1]

    def _table(self) -> bytes:
        if self.table is None:
            raise OSError(errno.EINVAL, "the host provides no certificates")
        return self.table
