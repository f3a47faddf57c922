"""The enclave's entry: one inherited socket, one job, nothing on stdout or stderr, no exception text anywhere."""

from __future__ import annotations

import os
import resource
import socket
import sys
import warnings

EXIT_OK = 0
EXIT_FAILED = 3


def main(channel_fd: int) -> None:
    """Run one job over the inherited socket and end the process.

    `os._exit` skips interpreter shutdown: nothing is left to flush, and no finaliser can print.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os._exit(serve(channel_fd))


def serve(channel_fd: int) -> int:
    """Run one job over the inherited socket and return the exit status."""
    # The text of a warning, or of an error in a finaliser, is made of values.
    warnings.simplefilter("ignore")
    sys.unraisablehook = _say_nothing
    try:
        # Late, so that a failing import is an exit status too.
        from heartify.enclave.channel import Channel
        from heartify.enclave.program import run_job
        from heartify.enclave.quoting.host import HostQuoter

        with socket.socket(fileno=channel_fd) as connection:
            channel = Channel(connection)
            run_job(channel, HostQuoter(channel))
    except Exception:  # noqa: BLE001 - a traceback could hold patient values
        return EXIT_FAILED
    return EXIT_OK


def _say_nothing(_unraisable: object) -> None:
    """Stand for printing what a finaliser raised."""
