"""Make the app release of the enclave that is installed here: what an author publishes and a hospital compares."""

from __future__ import annotations

import hashlib

from heartify.attestation.td_measurement import td_measurement
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import digest_of, to_hex
from heartify.protocol.evidence import TeeKind
from heartify.tee.image import EnclaveImage, FileRole
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.measurement import combine_digests, hash_files
from heartify.tee.simulated.td_registers import simulated_td_registers


def measure_installed_enclave() -> frozenset[bytes]:
    """Return every measurement that this machine can compute of the enclave that is installed here.

    They are of the simulated kinds, 32 bytes of SGX and 48 of TDX; those of hardware come from signed builds.

    Raises:
        EnclaveError: a file of it can't be read.
    """
    return frozenset(_measure(build_enclave_image()).values())


def build_app_release(version: str) -> AppRelease:
    """Return the app release of the installed enclave for the simulated kinds of TEE.

    Raises:
        EnclaveError: a file of it can't be read.
    """
    image = build_enclave_image()
    return AppRelease(
        name="heartify",
        version=version,
        source_digest=_source_digest(image),
        measurements={kind.wire_name: (to_hex(measurement),) for kind, measurement in _measure(image).items()},
    )


def _measure(image: EnclaveImage) -> dict[TeeKind, bytes]:
    digests = hash_files(image)
    mr_td, rtmr0, rtmr1, rtmr2 = simulated_td_registers(image, digests)
    return {
        TeeKind.SIMULATED_SGX: combine_digests(image, digests),
        TeeKind.SIMULATED_TDX: td_measurement(mr_td=mr_td, rtmr0=rtmr0, rtmr1=rtmr1, rtmr2=rtmr2),
    }


def _source_digest(image: EnclaveImage) -> str:
    """Return the digest of our own files: [[path, SHA-256], ...] in canonical JSON, sorted by path."""
    own = sorted((file.path, file.source) for file in image.files if file.role is FileRole.APP)
    return digest_of([[path, hashlib.sha256(source.read_bytes()).hexdigest()] for path, source in own])
