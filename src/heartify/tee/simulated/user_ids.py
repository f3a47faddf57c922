"""User ids of processes that belong to nobody: one for each simulated enclave, one for each quoting service.

They lie in the range that systemd gives to dynamic users, where no account of people or services is, and in two parts
of it, so that no enclave ever runs as a user who owns quoting keys. Only root can use them.
"""

from __future__ import annotations

import os
import pwd
import secrets
from pathlib import Path

from heartify.errors import EnclaveError

_QUOTERS = range(61184, 61440)
_ENCLAVES = range(61440, 65520)


def choose_enclave_user_id() -> int:
    """Return a user id for one enclave that no account has and no process runs as. Raises EnclaveError if none."""
    return _choose(_ENCLAVES)


def choose_quoter_user_id() -> int:
    """Return a user id for one quoting service, as `choose_enclave_user_id`; it is kept as the owner of its keys."""
    return _choose(_QUOTERS)


def is_quoter_user_id(user_id: int) -> bool:
    """Say whether a user id is one of those for quoting services, and no account has it."""
    return user_id in _QUOTERS and not _has_account(user_id)


def is_enclave_user_id(user_id: int) -> bool:
    """Say whether a user id is one of those for enclaves, and no account has it."""
    return user_id in _ENCLAVES and not _has_account(user_id)


def processes_of(user_id: int) -> frozenset[int]:
    """Return the ids of the processes that run as a user, seen from this process."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _real_user_id(folder) == user_id:
            found.add(int(folder.name))
    return frozenset(found)


def _choose(allowed: range) -> int:
    for _ in range(64):
        user_id = allowed[secrets.randbelow(len(allowed))]
        if not _has_account(user_id) and not processes_of(user_id):
            return user_id
    raise EnclaveError("no free user id for a process of the simulated TEE")


def _has_account(user_id: int) -> bool:
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True


def _real_user_id(folder: Path) -> int | None:
    # The folder's own owner is root for processes that can't be dumped, so the status is read.
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError:
        return None  # it ended meanwhile
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), None)


def runs_as_root() -> bool:
    """Say whether this process may take on other user ids."""
    return os.geteuid() == 0
