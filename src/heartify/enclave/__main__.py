"""The enclave's entry: one inherited socket, one job, nothing on stdout or stderr, no exception text anywhere."""

from __future__ import annotations

import os
import resource
import socket

from heartify.enclave.channel import Channel
from heartify.enclave.program import run_job
from heartify.enclave.quoting.host import HostQuoter

EXIT_OK = 0
EXIT_FAILED = 3


def main(channel_fd: int) -> None:
    """Run one job over the inherited socket and end the process.

    `os._exit` skips interpreter shutdown: nothing is left to flush, and no finaliser can print.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = EXIT_OK
    try:
        with socket.socket(fileno=channel_fd) as connection:
            channel = Channel(connection)
            run_job(channel, HostQuoter(channel))
    except Exception:  # noqa: BLE001 - a traceback could hold patient values
        code = EXIT_FAILED
    os._exit(code)
