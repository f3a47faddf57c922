"""Runs the enclave's job as its entry does, and then tells the host what the process had loaded.

It lies in the image of a test beside the product's files and runs inside the enclave process as `process_probe:main`.
"""

# The process has no pathlib.
# ruff: noqa: PTH100, PTH117, PTH120, PTH208
from __future__ import annotations

import ctypes
import os
import resource
import socket
import sys

from heartify.enclave.__main__ import serve
from heartify.protocol.frames import encode_frame


def main(channel_fd: int) -> None:
    copy = os.dup(channel_fd)
    status = serve(channel_fd)
    with socket.socket(fileno=copy) as channel:
        channel.sendall(encode_frame({"op": "report", "status": status, **describe()}))
        channel.recv(1)  # until the host has looked at the process
    os._exit(status)


OUTSIDE = ("/etc/passwd", "/etc/hostname", "/proc/self/status", "/proc/self/environ", "/usr/bin/env", "/", "/tmp")


def describe() -> dict[str, object]:
    libc = ctypes.CDLL(None)
    return {
        "files": loaded_files(),
        "core_limit": list(resource.getrlimit(resource.RLIMIT_CORE)),
        "dumpable": libc.prctl(3, 0, 0, 0, 0),
        "hash": hash("heartify"),
        "threads": os.environ["OPENBLAS_NUM_THREADS"],
        "readable": [path for path in OUTSIDE if can_read(path)],
    }


def can_read(path: str) -> bool:
    try:
        os.listdir(path) if path in {"/", "/tmp"} else os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        return False
    return True


def loaded_files() -> dict[str, str]:
    """Name of every loaded module with its file below the image, "" for what the interpreter has built in."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(getattr(module, "__spec__", None), "origin", None) or getattr(module, "__file__", None) or ""
        found[name] = os.path.relpath(file, root) if os.path.isabs(file) else ""
    return found
