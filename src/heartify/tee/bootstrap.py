"""The first code that runs inside an enclave process: it shuts doors, then calls the enclave's entry.

It is measured, runs as `python -I -S bootstrap.py OPTIONS`, and imports the standard library only.
OPTIONS is JSON of numbers and the entry's name; no secret comes this way.
It must never print: a traceback could hold patient values, so every failure is an exit status.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import select
import sys
import threading
from typing import Any

EXIT_REFUSED = 70
EXIT_HOST_GONE = 71
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 4, 22, 2
_FILTER_LIMIT_BYTES = 65536
# <sys/mman.h>: what is mapped now, what is mapped later, each page once it is touched.
_LOCK_EVERYTHING = 1 | 2 | 4
# From this share of the processor time on the enclave is told, and can still sign that it ran out of it.
_TOLD_AT = 0.95


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog of <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _use_measured_paths_only() -> None:
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120  no pathlib needed yet
    python = os.path.join(root, "python")  # noqa: PTH118
    if sys.prefix != python or any(not path.startswith(python + os.sep) for path in sys.path):
        raise RuntimeError("the interpreter found a standard library outside the image")
    sys.path[:0] = [os.path.join(root, "app"), os.path.join(root, "site")]  # noqa: PTH118


def _limit_resources(memory_bytes: int, cpu_seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (max(1, int(cpu_seconds * _TOLD_AT)), cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _lock_memory(libc: Any, memory_bytes: int) -> bool:
    """Keep every page out of swap; only where all that may be mapped may be locked, or else mapping would fail later.

    Says whether it is in force.
    """
    _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if most != resource.RLIM_INFINITY and most < memory_bytes:
        return False
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, most))
    return bool(libc.mlockall(_LOCK_EVERYTHING) == 0)


def _hide_files() -> bool:
    """Leave the image readable, and the folder that system libraries are loaded from; says whether that is in force."""
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path.insert(0, folder)
    try:
        landlock = importlib.import_module("landlock")
    finally:
        sys.path.remove(folder)
    readable = {os.path.dirname(folder), *os.environ.get("LD_LIBRARY_PATH", "").split(":")} - {""}  # noqa: PTH120
    return bool(landlock.restrict(sorted(readable)))


def _become(user_id: int) -> None:
    os.setgroups([])
    os.setresgid(user_id, user_id, user_id)
    os.setresuid(user_id, user_id, user_id)


def _forbid_tracing(libc: Any) -> None:
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _install_filter(libc: Any, descriptor: int) -> None:
    instructions = os.read(descriptor, _FILTER_LIMIT_BYTES)
    os.close(descriptor)
    program = _FilterProgram(len(instructions) // 8, instructions)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def _report_what_is_in_force(descriptor: int, measures: dict[str, bool]) -> None:
    # One line to the launcher, which states it in evidence; this file is measured, so the line can be believed.
    os.write(descriptor, json.dumps(measures).encode() + b"\n")
    os.close(descriptor)


def _die_when_host_goes(channel_fd: int) -> None:
    # POLLRDHUP comes when the host's end closes, also when the host was killed; data still unread don't hide it.
    poll = select.poll()
    poll.register(channel_fd, select.POLLRDHUP | select.POLLHUP)
    poll.poll()
    os._exit(EXIT_HOST_GONE)


def _run(options: dict[str, Any]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    channel_fd = int(options["channel_fd"])
    _use_measured_paths_only()
    _limit_resources(int(options["memory_bytes"]), int(options["cpu_seconds"]))
    if options["user_id"] is not None:
        _become(int(options["user_id"]))
    _forbid_tracing(libc)
    # All of these are inherited by every thread that starts after them, and hold before any enclave code runs.
    measures = {
        "memory_locked": _lock_memory(libc, int(options["memory_bytes"])),
        "landlock": _hide_files(),
        "filter": options["filter_fd"] is not None,
    }
    if options["filter_fd"] is not None:
        _install_filter(libc, int(options["filter_fd"]))
    if options.get("status_fd") is not None:
        _report_what_is_in_force(int(options["status_fd"]), measures)
    threading.Thread(target=_die_when_host_goes, args=(os.dup(channel_fd),), daemon=True).start()
    module, _, function = str(options["entry"]).partition(":")
    getattr(importlib.import_module(module), function)(channel_fd)


if __name__ == "__main__":
    status = EXIT_REFUSED
    try:
        _run(json.loads(sys.argv[1]))
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else EXIT_REFUSED
    except BaseException:  # noqa: BLE001  nothing may be printed, whatever happened
        status = EXIT_REFUSED
    # No interpreter shutdown: finalisers could print.
    os._exit(status)
