"""Make the app release of the enclave that is installed here: what an author publishes and a hospital compares."""

from __future__ import annotations

import hashlib

from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import digest_of, to_hex
from heartify.protocol.evidence import TeeKind
from heartify.tee.image import EnclaveImage, FileRole
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.measurement import measure


def measure_installed_enclave() -> bytes:
    """Return the measurement of the enclave that is installed here, 32 bytes.

    Raises:
        EnclaveError: a file of it can't be read.
    """
    return measure(build_enclave_image())


def build_app_release(version: str) -> AppRelease:
    """Return the app release of the installed enclave for the simulated TEE.

    Raises:
        EnclaveError: a file of it can't be read.
    """
    image = build_enclave_image()
    return AppRelease(
        name="heartify",
        version=version,
        source_digest=_source_digest(image),
        measurements={TeeKind.SIMULATED_SGX.wire_name: (to_hex(measure(image)),)},
    )


def _source_digest(image: EnclaveImage) -> str:
    """Return the digest of our own files: [[path, SHA-256], ...] in canonical JSON, sorted by path."""
    own = sorted((file.path, file.source) for file in image.files if file.role is FileRole.APP)
    return digest_of([[path, hashlib.sha256(source.read_bytes()).hexdigest()] for path, source in own])
