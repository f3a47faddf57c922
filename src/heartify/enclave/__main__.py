"""The enclave's entry: one inherited socket, one job, nothing on stdout or stderr, no exception text anywhere."""

from __future__ import annotations

import os
import resource
import socket
import warnings

from heartify.enclave.lean_numpy import hide_unused_numpy

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
    # A warning's text is made of values, and what isn't shown needn't be made.
    warnings.simplefilter("ignore")
    try:
        # Late, because the statistics import scipy.
        hide_unused_numpy()
        from heartify.enclave.channel import Channel
        from heartify.enclave.program import run_job
        from heartify.enclave.quoting.host import HostQuoter

        with socket.socket(fileno=channel_fd) as connection:
            channel = Channel(connection)
            run_job(channel, HostQuoter(channel))
    except Exception:  # noqa: BLE001 - a traceback could hold patient values
        return EXIT_FAILED
    return EXIT_OK
