"""Becomes Gramine: sets what must hold for the process before it is one, then executes the program.

Runs as `python -I -S start.py PARENT_PID CPU_SECONDS PROGRAM [ARGUMENTS]` on the host, outside any enclave, so that no
code has to run between fork and exec of a threaded pool. It trusts its arguments, which the launcher makes.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

EXIT_REFUSED = 70
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Prepare this process and execute the program; return only when that failed."""
    parent, cpu_seconds = int(arguments[0]), int(arguments[1])
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        return EXIT_REFUSED
    if os.getppid() != parent:  # the launcher died before the line above
        return EXIT_REFUSED
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    try:
        os.execv(arguments[2], arguments[2:])  # noqa: S606  the point of this file
    except OSError:
        return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
