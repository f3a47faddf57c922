"""One Gramine process: started in a build's folder, with one socket behind stdin and stdout, and dead with its host.

Gramine itself runs outside the enclave and is not trusted; its own messages go to stderr, where nothing of the program
inside goes. Nothing of the pool's environment reaches it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from heartify.errors import EnclaveError
from heartify.tee.gramine import start
from heartify.tee.gramine.build import NAME
from heartify.tee.limits import EnclaveLimits


class GramineProcesses:
    """Starts processes of one program, `gramine-sgx` or `gramine-direct`, for the build in `folder`.

    `log_file` takes Gramine's own errors, such as why the hardware refused an enclave; else they go where this
    process's do, as a service's to the journal.
    """

    def __init__(self, program: str, folder: Path, log_file: Path | None) -> None:
        self._program = program
        self._folder = folder.resolve()
        self._log_file = log_file
        # A process that dies with its parent dies with the thread that started it, so one thread outlives all.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gramine-starter")

    def start(self, limits: EnclaveLimits) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Return a started process and the host's end of its channel. Raises EnclaveError when it can't be started."""
        host_end, enclave_end = socket.socketpair()
        try:
            with enclave_end, self._open_log() as log:
                process = self._starter.submit(self._start, enclave_end.fileno(), log, limits).result()
        except (OSError, RuntimeError) as exc:
            host_end.close()
            raise EnclaveError(f"Gramine can't be started: {type(exc).__name__}") from exc
        return process, host_end

    def close(self) -> None:
        """End the starting thread, and with it every process that still runs."""
        self._starter.shutdown(wait=True)

    def _open_log(self) -> contextlib.AbstractContextManager[IO[bytes] | None]:
        return contextlib.nullcontext() if self._log_file is None else self._log_file.open("ab")

    def _start(self, channel_fd: int, log: IO[bytes] | None, limits: EnclaveLimits) -> subprocess.Popen[bytes]:
        # No memory limit here: the manifest fixes how much address space an enclave takes.
        starter = [sys.executable, "-I", "-S", str(Path(start.__file__)), str(os.getpid()), str(limits.cpu_seconds)]
        return subprocess.Popen(
            [*starter, self._program, NAME],
            stdin=channel_fd,
            stdout=channel_fd,
            stderr=log,
            env={"PATH": os.defpath},
            cwd=self._folder,
            start_new_session=True,
        )
