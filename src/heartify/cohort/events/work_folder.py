"""A private folder for what doesn't fit into memory, gone with its owner, or with the next run if the owner was killed.

What stands in it is patients' data. So only its owner can read it (mode 0700), it is locked while in use, and every run
first removes the folders of earlier runs whose lock nobody holds any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

from heartify.errors import InputError

_PREFIX = "events-"
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class PrivateFolder:
    """A locked folder inside the work folder; `close`, the garbage collector or the interpreter's end remove it."""

    def __init__(self, work_folder: Path) -> None:
        try:
            work_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            remove_leftovers(work_folder)
            with _locked(work_folder):
                self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=work_folder))  # mode 0700
                lock = os.open(self.path, _OPEN_FOLDER)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise InputError(
                f"the work folder cannot be used: {exc.strerror}", hint="give a folder that you may write to"
            ) from exc
        self._close = weakref.finalize(self, _remove, self.path, lock)

    def close(self) -> None:
        """Remove the folder and what stands in it."""
        self._close()


def remove_leftovers(work_folder: Path) -> int:
    """Remove the folders that killed runs left behind, and return how many. Folders in use are left alone."""
    removed = 0
    with _locked(work_folder):
        for folder in work_folder.glob(f"{_PREFIX}*"):
            lock = _take(folder)
            if lock is not None:
                _remove(folder, lock)
                removed += 1
    return removed


@contextlib.contextmanager
def _locked(work_folder: Path) -> Iterator[None]:
    """Hold the work folder's own lock: nobody removes a folder between its making and its locking."""
    lock = os.open(work_folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _take(folder: Path) -> int | None:
    """Lock a folder that nobody holds; None when somebody does, or when it is no folder."""
    try:
        lock = os.open(folder, _OPEN_FOLDER)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
