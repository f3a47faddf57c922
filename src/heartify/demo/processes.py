"""Child processes of the demo: the brokers and the pool, as `heartify` commands with their own logs.

Each is ended by its process id when the demo ends, however it ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from heartify.errors import ServiceError
from heartify.party.http_client import get_json
from heartify.party.keystore import PASSWORD_FILE_VARIABLE

START_SECONDS = 60.0
STOP_SECONDS = 10.0


class Services:
    """The running services of a demo; leaving the context ends them all."""

    def __init__(self, log_folder: Path, password_file: Path) -> None:
        self._logs = log_folder
        self._password_file = password_file
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, arguments: list[str]) -> None:
        """Start `heartify <arguments>` in the background, logging to <name>.log."""
        self._logs.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, PASSWORD_FILE_VARIABLE: str(self._password_file)}
        with (self._logs / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "heartify", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def wait_until_ready(self, name: str, url: str) -> None:
        """Wait until a started service answers.

        Raises:
            ServiceError: it ended, or doesn't answer in time; the message has the end of its log.
        """
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            if self._running[name].poll() is not None:
                break
            try:
                get_json(f"{url}/v1/health", timeout_seconds=2)
            except ServiceError:
                time.sleep(0.1)
                continue
            return
        raise ServiceError(f"{name} did not start", hint=self._log_end(name))

    def process_id(self, name: str) -> int:
        """Return the process id of a running service."""
        return self._running[name].pid

    def stop(self, name: str) -> None:
        """End one service."""
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._running.values():
            process.terminate()  # all at once, so that they end side by side
        for name in list(self._running):
            self.stop(name)

    def _log_end(self, name: str) -> str:
        lines = (self._logs / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-3:]) or "its log is empty"


def free_port() -> int:
    """Return a port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
