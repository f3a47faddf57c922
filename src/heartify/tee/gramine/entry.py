"""The first code inside a Gramine enclave: it takes the channel out of the standard streams, then calls the program.

It is measured, runs as `python -I -S entry.py MODULE:FUNCTION ATTESTATION_FOLDER`, and these arguments are measured
too. Gramine hands an enclave only its standard streams; the launcher puts one socket behind stdin and stdout.
It must never print: a traceback could hold patient values, so every failure is an exit status. What the simulation's
bootstrap does beside (limits, seccomp) the enclave's hardware and the manifest do here.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings

EXIT_REFUSED = 70
_STDIN, _STDOUT, _STDERR = 0, 1, 2


class StandardStreams:
    """The channel's two directions, as a connection: bytes come on one descriptor and go on the other."""

    def __init__(self, reader_fd: int, writer_fd: int) -> None:
        self._reader_fd = reader_fd
        self._writer_fd = writer_fd

    def recv(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end. Raises OSError."""
        return os.read(self._reader_fd, size)

    def sendall(self, data: bytes, /) -> None:
        """Write every byte. Raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._writer_fd, rest) :]


def take_standard_streams() -> StandardStreams:
    """Move the channel away from stdin and stdout, so that nothing that prints reaches it, or stderr."""
    streams = StandardStreams(os.dup(_STDIN), os.dup(_STDOUT))
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    return streams


def use_measured_paths_only(root: str) -> None:
    """Let modules come from the image alone. Raises RuntimeError when the interpreter found others."""
    python = os.path.join(root, "python")  # noqa: PTH118
    if sys.prefix != python or any(not path.startswith(python + os.sep) for path in sys.path):
        raise RuntimeError("the interpreter found a standard library outside the image")
    sys.path[:0] = [os.path.join(root, "app"), os.path.join(root, "site")]  # noqa: PTH118


def serve(streams: StandardStreams, entry: str, attestation_folder: str) -> None:
    """Call the program with a channel and a quoter."""
    # The text of a warning, or of an error in a finaliser, is made of values; what isn't shown needn't be made.
    warnings.simplefilter("ignore")
    sys.unraisablehook = _say_nothing
    from heartify.enclave.channel import Channel
    from heartify.enclave.lean_numpy import hide_unused_numpy
    from heartify.enclave.quoting.gramine import GramineQuoter

    hide_unused_numpy()  # before the program imports scipy: the image has no more of numpy than it calls
    channel = Channel(streams)
    module, _, function = entry.partition(":")
    getattr(importlib.import_module(module), function)(channel, GramineQuoter(channel, attestation_folder))


def _say_nothing(_unraisable: object) -> None:
    """Stand for printing what a finaliser raised."""


if __name__ == "__main__":
    status = EXIT_REFUSED
    try:
        own_streams = take_standard_streams()
        use_measured_paths_only(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
        serve(own_streams, *sys.argv[1:3])
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else EXIT_REFUSED
    except BaseException:  # noqa: BLE001  nothing may be printed, whatever happened
        status = EXIT_REFUSED
    # No interpreter shutdown: finalisers could print.
    os._exit(status)
