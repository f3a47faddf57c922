"""The embedded chain: an anvil process on the loopback interface whose state survives restarts.

It is for demonstrations, tutorials and tests: whoever reaches its port can give himself ether, so it never listens
beyond 127.0.0.1 and never holds real money. It has no unlocked accounts. One process at a time uses a state directory.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from heartify.chain import keeper
from heartify.chain.anvil_binary import Report, find_anvil
from heartify.chain.rpc import connect
from heartify.errors import ChainError

EMBEDDED_CHAIN_ID = 31337
EMBEDDED_HARDFORK = "osaka"
START_SECONDS = 30.0
LOCK_SECONDS = 2.0
STATE_INTERVAL_SECONDS = 5
_PORT_ATTEMPTS = 3


class EmbeddedChain:
    """A running anvil; made by `start`, ended by `stop` or by leaving the `with` block."""

    def __init__(self, process: subprocess.Popen[bytes], rpc_url: str, state_dir: Path, lifeline: int) -> None:
        self._process = process
        self._lifeline = lifeline
        self.rpc_url = rpc_url
        self.state_dir = state_dir

    @classmethod
    def start(
        cls,
        state_dir: Path,
        *,
        port: int = 0,
        chain_id: int = EMBEDDED_CHAIN_ID,
        binary: Path | None = None,
        report: Report | None = None,
    ) -> EmbeddedChain:
        """Start the node on 127.0.0.1 (port 0: a free one) with the state kept in `state_dir`, and wait for its answer.

        Raises:
            ChainError: no anvil, the directory or port is in use, or the node ended or stayed silent.
        """
        binary = binary or find_anvil(report=report)
        state_dir.mkdir(parents=True, exist_ok=True)
        with _lock_state(state_dir) as lock, (state_dir / "anvil.log").open("ab") as log:
            for attempt in range(_PORT_ATTEMPTS):
                chosen = port or _free_port()
                _check_port_is_free(chosen)
                chain = cls._spawn(binary, state_dir, chosen, chain_id, (lock, log))
                try:
                    chain.wait_until_ready(chain_id)
                except ChainError:
                    chain.stop()
                    # Between choosing a free port and anvil's binding it, another process may take it.
                    if port or attempt + 1 == _PORT_ATTEMPTS or _can_bind(chosen):
                        raise
                else:
                    return chain
        raise ChainError("no free port was found for the embedded chain")  # pragma: no cover - the loop ends above

    @classmethod
    def _spawn(
        cls, binary: Path, state_dir: Path, port: int, chain_id: int, inherited: tuple[IO[bytes], IO[bytes]]
    ) -> EmbeddedChain:
        lock, log = inherited
        lifeline_read, lifeline_write = os.pipe()
        command = [sys.executable, "-I", "-S", keeper.__file__, str(lifeline_read), str(binary)]
        try:
            process = subprocess.Popen(
                [*command, *_anvil_arguments(state_dir, port, chain_id)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal must not end the chain before those who use it
                pass_fds=(lifeline_read, lock.fileno()),
            )
        except OSError as exc:
            os.close(lifeline_write)
            raise ChainError("the embedded chain could not be started") from exc
        finally:
            os.close(lifeline_read)
        return cls(process, f"http://127.0.0.1:{port}", state_dir, lifeline_write)

    def wait_until_ready(self, chain_id: int) -> None:
        """Wait for the node's first answer; `start` has done so."""
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            if not self.is_running():
                raise ChainError(
                    "the embedded chain ended while starting",
                    hint=f"see {self.state_dir / 'anvil.log'}; a damaged chain.json there has to be removed",
                )
            try:
                connect(self.rpc_url, timeout_seconds=2, expected_chain_id=chain_id).close()
            except ChainError:
                time.sleep(0.03)
            else:
                return
        raise ChainError(f"the embedded chain gave no answer within {START_SECONDS:.0f} seconds")

    @property
    def pid(self) -> int:
        """Return the id of the process that keeps the node; a signal to it ends the node too."""
        return self._process.pid

    def is_running(self) -> bool:
        """Tell whether the node is alive."""
        return self._process.poll() is None

    def stop(self, timeout_seconds: float = keeper.STOP_SECONDS + 5) -> None:
        """End the node: SIGTERM, time to write its state, then SIGKILL. A second call does nothing."""
        if self.is_running():
            self._process.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def wait(self) -> int:
        """Wait until the node ends by itself and return its exit status."""
        return self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve_forever(
    state_dir: Path,
    *,
    port: int = 8545,
    chain_id: int = EMBEDDED_CHAIN_ID,
    binary: Path | None = None,
    report: Report | None = None,
    on_ready: Callable[[EmbeddedChain], None] | None = None,
) -> None:
    """Run the node in the foreground until SIGINT or SIGTERM; the main thread must call it.

    `report` gets a line for people before a download and one when the node answers.

    Raises:
        ChainError: it could not start, or the node ended by itself.
    """
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with EmbeddedChain.start(state_dir, port=port, chain_id=chain_id, binary=binary, report=report) as chain:
            if report is not None:
                report(f"the embedded chain answers at {chain.rpc_url}")
            if on_ready is not None:
                on_ready(chain)
            while not stopping and chain.is_running():
                time.sleep(0.1)
            if not stopping:
                raise ChainError("the embedded chain ended by itself", hint=f"see {state_dir / 'anvil.log'}")
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def unsafe_fund(rpc_url: str, address: str, ether: int) -> None:
    """Set an account's ether on the embedded chain; any other chain refuses the call.

    Raises:
        ChainError: the node can't be reached or isn't anvil.
    """
    connection = connect(rpc_url)
    try:
        connection.request("anvil_setBalance", [address, hex(ether * 10**18)])
    finally:
        connection.close()


def _anvil_arguments(state_dir: Path, port: int, chain_id: int) -> list[str]:
    return [
        *("--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id), "--hardfork", EMBEDDED_HARDFORK),
        *("--state", str(state_dir / "chain.json"), "--state-interval", str(STATE_INTERVAL_SECONDS)),
        *("--cache-path", str(state_dir / "states")),
        *("--accounts", "0", "--silent"),
        "--no-cors",  # else any web page that the user visits could speak to the node
    ]


def _lock_state(state_dir: Path) -> IO[bytes]:
    """Lock the directory; the node inherits the lock, which so lasts as long as it does."""
    lock = (state_dir / "lock").open("wb")
    give_up = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if time.monotonic() < give_up:  # a node whose parent died may still be writing its state
                time.sleep(0.05)
                continue
            lock.close()
            raise ChainError(
                f"another embedded chain uses {state_dir}", hint="stop it first, or give another state directory"
            ) from exc
        return lock


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _check_port_is_free(port: int) -> None:
    if not _can_bind(port):
        raise ChainError(f"port {port} on 127.0.0.1 is in use", hint="give another --port, or 0 for a free one")
