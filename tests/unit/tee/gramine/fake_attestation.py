"""Gramine's /dev/attestation as named pipes, true to its ABI (Documentation/attestation.rst, libos/src/fs/dev).

Report data are taken over when their file is closed: cut at 64 bytes, and padded with zeros when there are fewer. A
quote is made when its file is opened, over whatever report data are there then. Reads give as many bytes as they like.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

REPORT_DATA_BYTES = 64


class FakeAttestation:
    """One /dev/attestation. `quote_of` is the quoting enclave: it gets 64 bytes and returns a quote."""

    def __init__(
        self, folder: Path, quote_of: Callable[[bytes], bytes], *, kind: str = "dcap", chunk_bytes: int = 1000
    ) -> None:
        self.folder = folder
        self.written: list[bytes] = []
        self._quote_of = quote_of
        self._chunk_bytes = chunk_bytes
        folder.mkdir()
        (folder / "attestation_type").write_text(kind)  # without a newline, as Gramine writes it
        os.mkfifo(folder / "user_report_data")
        if kind != "none":
            os.mkfifo(folder / "quote")

    def start(self) -> None:
        """Serve questions one after the other in a thread, until the program ends."""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            data = (self.folder / "user_report_data").read_bytes()
            self.written.append(data)
            answer = self._quote_of(data[:REPORT_DATA_BYTES].ljust(REPORT_DATA_BYTES, b"\0"))
            with contextlib.suppress(BrokenPipeError), (self.folder / "quote").open("wb", buffering=0) as file:
                for start in range(0, len(answer), self._chunk_bytes):
                    file.write(answer[start : start + self._chunk_bytes])
