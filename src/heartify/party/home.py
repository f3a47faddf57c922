"""A party's home folder: its settings, keystores and working files, each written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TypeVar

from heartify.errors import UsageError
from heartify.protocol.canonical import encode_canonical, parse_json

T = TypeVar("T")


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        UsageError: it can't be written there; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data, mode)
    except OSError as exc:
        raise UsageError(f"{path} can't be written: {exc.strerror or type(exc).__name__}") from exc


def store_document(path: Path, document: object) -> None:
    """Write a document as canonical JSON."""
    write_atomically(path, encode_canonical(document))


def load_document(path: Path, kind: type[T], *, hint: str) -> T:
    """Read a document.

    Raises:
        UsageError: there is no such file, or it can't be read.
        DocumentError: it is not of this kind.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise UsageError(f"there is no {path}", hint=hint) from exc
    except OSError as exc:
        raise UsageError(f"{path} can't be read: {exc.strerror or type(exc).__name__}", hint=hint) from exc
    return parse_json(data, kind)


def _replace(path: Path, data: bytes, mode: int) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
