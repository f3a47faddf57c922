"""Landlock rules of a process: from here on it may read what lies below the given paths, and touch no other file.

Measured, of the standard library only, and called by the bootstrap before any enclave code; it trusts the kernel. Three
raw system calls, since every wrapper library looks for libc in ways that a sandbox denies.
It must never loosen anything: the kernel lets a process only add rules to those that it has.
Source: Linux Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Sequence

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# What a ruleset may handle: all that the kernel's version knows, so that nothing is left open by omission.
_FILE_RIGHTS_FROM_VERSION = ((1, 0x1FFF), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_NETWORK_RIGHTS_FROM_VERSION = ((4, 0b11),)  # TCP bind and connect
_SCOPES_FROM_VERSION = ((6, 0b11),)  # abstract sockets and signals out of the domain


def landlock_version() -> int:
    """Return the version of the kernel's interface, 0 where it has none or it is switched off."""
    version = _syscall(ctypes.CDLL(None, use_errno=True), _CREATE_RULESET, None, 0, _VERSION_FLAG)
    return max(version, 0)


def restrict(paths: Sequence[str]) -> bool:
    """Let this thread, and those that it starts later, read below `paths` and use no other file by name.

    Descriptors that are open already stay usable, and the kernel has no rule for looking at names and modes. TCP and
    signals to other processes are denied where the kernel can.
    Returns whether the rules are in force: False only where the kernel has no Landlock.

    Raises:
        OSError: the kernel has it and refuses these rules, or a path doesn't exist. Then nothing may go on.
    """
    version = landlock_version()
    if version == 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    ruleset = _create_ruleset(libc, version)
    try:
        for path in paths:
            _allow_reading(libc, ruleset, path)
        _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
        _check(_syscall(libc, _RESTRICT_SELF, ruleset, 0), "restrict")
    finally:
        os.close(ruleset)
    return True


def _create_ruleset(libc: ctypes.CDLL, version: int) -> int:
    members = [_handled(table, version) for table in _TABLES]
    # Older kernels refuse members that they don't know unless these are zero; all that aren't zero are known.
    attributes = struct.pack("<QQQ", *members)
    descriptor = _syscall(libc, _CREATE_RULESET, attributes, len(attributes), 0)
    _check(descriptor, "ruleset")
    return descriptor


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rights = _READ_FILE | (_READ_DIR if is_folder else 0)
        rule = struct.pack("<Qi", rights, descriptor)
        _check(_syscall(libc, _ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0), "rule")
    finally:
        os.close(descriptor)


def _handled(table: tuple[tuple[int, int], ...], version: int) -> int:
    rights = 0
    for since, added in table:
        if version >= since:
            rights |= added
    return rights


_TABLES = (_FILE_RIGHTS_FROM_VERSION, _NETWORK_RIGHTS_FROM_VERSION, _SCOPES_FROM_VERSION)


def _syscall(libc: ctypes.CDLL, number: int, *arguments: int | bytes | None) -> int:
    # A plain int would be passed as 32 bits of an argument that the kernel reads as 64.
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(libc.syscall(ctypes.c_long(number), *wide))


def _check(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"landlock {what}")
