"""The quoter inside a confidential VM: the guest's kernel asks the processor, by configfs-tsm (Linux 6.7).

A directory made below /sys/kernel/config/tsm/report is one request: 64 bytes are written to `inblob`, the evidence is
read from `outblob`. `generation` counts writes, so that somebody else's write between the two is noticed; each request
has a directory of its own, and it is always removed. Source: Linux, Documentation/ABI/testing/configfs-tsm-report.
The processor signs; the host carries and is asked for collateral only. What it answers isn't believed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from heartify.enclave.channel import Channel
from heartify.enclave.failure import StudyFailedError
from heartify.enclave.quoting.tsm_blobs import certificates_of_table, cut_snp_report, cut_tdx_quote
from heartify.errors import AttestationError
from heartify.protocol.evidence import REPORT_DATA_BYTES, Evidence, TeeKind
from heartify.protocol.outcomes import FailureCode

TSM_FOLDER: Final = "/sys/kernel/config/tsm/report"
# The kernel's own limit of a blob is 32 KiB, and of manifests 16 MiB in later versions: nothing of ours is as long.
_BLOB_LIMIT_BYTES: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 16
_ATTEMPTS: Final = 5
# The quoting service is busy or slow, or a signal came: asking again may help.
_WORTH_ANOTHER_ATTEMPT: Final = frozenset({errno.EBUSY, errno.EINTR, errno.ETIMEDOUT, errno.EAGAIN})
_KIND_OF_PROVIDER: Final = {"tdx_guest": TeeKind.TDX, "sev_guest": TeeKind.SEV_SNP}


class TsmFiles(Protocol):
    """The four calls that the interface needs. All raise OSError."""

    def mkdir(self, path: str) -> None:
        """Make a directory; the kernel fills it with attributes."""

    def rmdir(self, path: str) -> None:
        """Remove it with its attributes."""

    def write(self, path: str, data: bytes) -> None:
        """Write an attribute whole, by one call."""

    def read(self, path: str) -> bytes:
        """Read an attribute to its end."""


class KernelFiles:
    """The guest kernel's own file system."""

    def mkdir(self, path: str) -> None:
        """Make a directory."""
        os.mkdir(path)  # noqa: PTH102 - plain paths, as the port has

    def rmdir(self, path: str) -> None:
        """Remove a directory."""
        os.rmdir(path)  # noqa: PTH106

    def write(self, path: str, data: bytes) -> None:
        """Write by one call: the kernel takes over a binary attribute when it is closed."""
        descriptor = os.open(path, os.O_WRONLY)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError(errno.EIO, "short write")

    def read(self, path: str) -> bytes:
        """Read to the end, at most _BLOB_LIMIT_BYTES."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            content = bytearray()
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                content += chunk
                if len(content) > _BLOB_LIMIT_BYTES:
                    raise OSError(errno.EFBIG, "attribute is too long")
        finally:
            os.close(descriptor)
        return bytes(content)


@dataclass(frozen=True, slots=True)
class TsmReport:
    """One answer: the TEE's kind, its quote or report cut to size, AMD's certificates as PEM if the host gave any."""

    tee_kind: TeeKind
    quote: bytes
    certificates: str


class TsmQuoter:
    """Gets evidence of this guest, and asks the host for its collateral."""

    def __init__(self, channel: Channel, files: TsmFiles, folder: str = TSM_FOLDER) -> None:
        self._channel = channel
        self._files = files
        self._folder = folder

    def evidence(self, report_data: bytes) -> Evidence | None:
        """Return evidence over 64 bytes; None when the kernel gives none, or the host no collateral.

        Raises:
            StudyFailedError: HOST_PROTOCOL when the host's collateral is no text.
        """
        try:
            report = read_report(self._files, self._folder, report_data)
        except (OSError, AttestationError):
            return None
        kind = report.tee_kind.wire_name
        reply = self._channel.call(
            "collateral", tee_kind=kind, quote=report.quote.hex(), certificates=report.certificates
        )
        if reply is None:
            return None
        collateral = reply[0].get("collateral")
        if not isinstance(collateral, str):
            raise StudyFailedError(FailureCode.HOST_PROTOCOL)
        return Evidence(kind, report.quote.hex(), collateral)


def read_report(files: TsmFiles, folder: str, report_data: bytes) -> TsmReport:
    """Ask the kernel for a report over 64 bytes of report data.

    Raises:
        AttestationError: report data of another size, an unknown provider, or a blob that is no answer to them.
        OSError: the kernel refused, or was busy or disturbed in every attempt.
    """
    # A shorter text would be padded with zeros, and could be another question's beginning.
    if len(report_data) != REPORT_DATA_BYTES:
        raise AttestationError(f"report data must have {REPORT_DATA_BYTES} bytes, got {len(report_data)}")
    for _ in range(_ATTEMPTS):
        with _own_entry(files, folder) as entry:
            try:
                answer = _ask(files, entry, report_data)
            except OSError as exc:
                if exc.errno not in _WORTH_ANOTHER_ATTEMPT:
                    raise
                continue
        if answer is not None:
            provider, blob, table = answer
            return _understand(provider, blob, table, report_data)
    raise OSError(errno.EBUSY, "configfs-tsm was busy or disturbed in every attempt")


@contextlib.contextmanager
def _own_entry(files: TsmFiles, folder: str) -> Iterator[str]:
    entry = f"{folder}/heartify-{secrets.token_hex(16)}"
    files.mkdir(entry)
    try:
        yield entry
    finally:
        # An entry that stays costs memory of the kernel; it isn't worth an answer.
        with contextlib.suppress(OSError):
            files.rmdir(entry)


def _ask(files: TsmFiles, entry: str, report_data: bytes) -> tuple[str, bytes, bytes] | None:
    """Return provider, blob and table of certificates; None when somebody else wrote to the entry meanwhile."""
    before = _generation(files, entry)
    files.write(f"{entry}/inblob", report_data)
    blob = files.read(f"{entry}/outblob")
    provider = files.read(f"{entry}/provider").decode("ascii", errors="replace").strip()
    table = _read_table(files, entry) if provider == "sev_guest" else b""
    return (provider, blob, table) if _generation(files, entry) == before + 1 else None


def _generation(files: TsmFiles, entry: str) -> int:
    text = files.read(f"{entry}/generation")
    if not text.strip().isdigit():
        raise OSError(errno.EIO, "generation is no number")
    return int(text)


def _read_table(files: TsmFiles, entry: str) -> bytes:
    try:
        return files.read(f"{entry}/auxblob")
    except OSError as exc:
        if exc.errno in _WORTH_ANOTHER_ATTEMPT:
            raise
        # A host need not provide certificates.
        return b""


def _understand(provider: str, blob: bytes, table: bytes, report_data: bytes) -> TsmReport:
    kind = _KIND_OF_PROVIDER.get(provider)
    if kind is None:
        raise AttestationError(f"configfs-tsm is provided by {provider[:32]!r}, expected tdx_guest or sev_guest")
    if kind is TeeKind.TDX:
        return TsmReport(kind, cut_tdx_quote(blob, report_data), "")
    return TsmReport(kind, cut_snp_report(blob, report_data), certificates_of_table(table))
