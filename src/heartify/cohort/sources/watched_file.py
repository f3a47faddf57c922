"""A file of the hospital that is read more than once and must be the same each time.

It is known by name, size and time of change; publication reads it twice, and a resumed one days later. Messages name
it without its folder.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from heartify.errors import InputError


class WatchedFile:
    """A regular file, as it is now. Raises InputError when it cannot be read or is no regular file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stat = _check_readable(path)

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return self._stat.st_size

    def fingerprint(self) -> str:
        """Return a digest of name, size and time of change."""
        return digest_of_parts(self.name, str(self._stat.st_size), str(self._stat.st_mtime_ns))

    def check_unchanged(self) -> None:
        """Raise InputError when the file is not the one that it was at first."""
        found = _check_readable(self.path)
        if (found.st_size, found.st_mtime_ns) != (self._stat.st_size, self._stat.st_mtime_ns):
            raise InputError(
                f"{self.name}: the file has changed since it was first read",
                hint="begin anew, with a file that nobody writes to",
            )


def digest_of_parts(*parts: str) -> str:
    """Return the SHA-256 of texts, each with its length, as hexadecimal digits."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()


def _check_readable(path: Path) -> os.stat_result:
    try:
        found = path.stat()
    except OSError as exc:
        raise InputError(f"{path.name}: cannot read the file: {exc.strerror}", hint="check the path") from exc
    except ValueError as exc:  # a NUL in the path
        raise InputError("cannot read the file: its path is not usable", hint="check the path") from exc
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"{path.name}: cannot read the file: it is no regular file",
            hint="a source is read more than once: write it to a file first",
        )
    if not os.access(path, os.R_OK):
        raise InputError(f"{path.name}: cannot read the file: no permission", hint="check its permissions")
    return found
