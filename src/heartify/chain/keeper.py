"""Keep one child process alive exactly as long as its parent: run as a program, never imported by the package.

    python -I -S keeper.py PARENT_FD COMMAND...

PARENT_FD is the read end of a pipe whose write end only the parent holds. End of file on it means that the parent is
gone, however it died; then, or on SIGTERM and SIGINT, the child gets SIGTERM and time to write its state. A prctl
"parent death signal" alone won't do: it fires when the thread that started the child ends. It only guards the child
against the death of this program, which has one thread. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

STOP_SECONDS = 20
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run the command until it ends, the parent dies or a signal comes; return the command's exit status."""
    parent_fd, command = int(arguments[0]), arguments[1:]
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)
    # The child keeps what was passed on to this program, so that the parent's file lock lasts until the child's end.
    child = subprocess.Popen(command, close_fds=False, preexec_fn=_die_with_keeper)  # noqa: PLW1509 - one thread here
    while child.poll() is None:
        ready, _, _ = select.select([parent_fd, wake_read], [], [])
        if parent_fd in ready or set(os.read(wake_read, 64)) & {signal.SIGTERM, signal.SIGINT}:
            break
    return _stop(child)


def _stop(child: subprocess.Popen[bytes]) -> int:
    if child.poll() is None:
        child.terminate()
    try:
        return child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _die_with_keeper() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
