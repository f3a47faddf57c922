"""The four registers of a simulated trust domain, which together say everything that decides what runs in it.

    MRTD    the firmware: there is none, so SHA-384("Heartify simulated firmware, not Intel")
    RTMR0   its configuration: entry, arguments, environment, debug flag, loader folder, Python version
    RTMR1   what a kernel is to a real domain: system libraries with the loader, interpreter, bootstrap
    RTMR2   everything else: standard library, third-party packages, our own modules

Each RTMR has been extended once from zeros, SHA-384(48 zeros || digest), by the SHA-384 of the RFC 8785 encoding of a
document with its name and, for RTMR1 and RTMR2, of [[role, path, SHA-256], ...] sorted by role, then path. Every file
of an image is in one of the two, so `td_measurement` over the registers commits to every byte that is executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import rfc8785

from heartify.attestation.td_measurement import TD_REGISTER_BYTES
from heartify.tee.image import EnclaveImage, FileRole

SIMULATED_MR_TD: Final = hashlib.sha384(b"Heartify simulated firmware, not Intel").digest()
_KERNEL_ROLES: Final = frozenset({FileRole.SYSTEM, FileRole.INTERPRETER, FileRole.BOOTSTRAP})


def simulated_td_registers(image: EnclaveImage, digests: Sequence[bytes]) -> tuple[bytes, bytes, bytes, bytes]:
    """Return MRTD, RTMR0, RTMR1, RTMR2, 48 bytes each, of an image whose files, in order, have these SHA-256 digests.

    Raises ValueError when their number is not the files'.
    """
    configuration = {
        "register": "rtmr0",
        "entry": image.entry,
        "arguments": list(image.arguments),
        "environment": dict(image.environment),
        "debug": image.debug,
        "loader_folder": image.loader_folder,
        "python_version": image.python_version,
    }
    kernel: list[list[str]] = []
    programs: list[list[str]] = []
    for file, digest in zip(image.files, digests, strict=True):
        part = kernel if file.role in _KERNEL_ROLES else programs
        part.append([file.role.value, file.path, digest.hex()])
    return (
        SIMULATED_MR_TD,
        _extended(configuration),
        _extended({"register": "rtmr1", "files": sorted(kernel)}),
        _extended({"register": "rtmr2", "files": sorted(programs)}),
    )


def _extended(document: dict[str, Any]) -> bytes:
    digest = hashlib.sha384(rfc8785.dumps(document)).digest()
    return hashlib.sha384(bytes(TD_REGISTER_BYTES) + digest).digest()
