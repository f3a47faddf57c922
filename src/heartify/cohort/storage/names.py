"""Names inside a store: `objects/<64 hex>` for encrypted files, `<version id hex>/...` for a version's documents.

A name is checked before it is joined to any folder or address, so that none leads out of the store, whoever wrote it.
"""

from __future__ import annotations

import re

from heartify.errors import UsageError

OBJECTS_FOLDER = "objects"

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,3}")
_DIGEST = re.compile(r"(?:0x)?([0-9a-f]{64})")
_VERSION_FOLDER = re.compile(r"[0-9a-f]{64}")


def check_name(name: str) -> str:
    """Return a name that stays inside a store.

    Raises UsageError for any other.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("a name in the store may have letters, digits, . _ - and / between folders only")
    return name


def object_name(digest: str) -> str:
    """Return where the file of this SHA-256 lies in a store.

    Raises UsageError when it is not 64 lower-case hexadecimal digits, with or without 0x.
    """
    return f"{OBJECTS_FOLDER}/{digest_hex(digest)}"


def digest_hex(digest: str) -> str:
    """Return a SHA-256 as 64 hexadecimal digits; raises UsageError for anything else."""
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise UsageError("a file in a store is named by its SHA-256: 64 lower-case hexadecimal digits")
    return found[1]


def version_folder(version_id: str) -> str:
    """Return the folder of a version in a store: its id without 0x."""
    return version_id.removeprefix("0x")


def is_version_folder(name: str) -> bool:
    """Tell whether a folder's name is that of a version."""
    return bool(_VERSION_FOLDER.fullmatch(name))
