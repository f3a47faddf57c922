"""The `sgx` entry of an app release: MRENCLAVE values of one size class each.

A release names the sources once and the measurements per TEE kind. So an entry is added only to the release whose
sources are those of the build; a hospital that approved the release approved these bytes.
"""

from __future__ import annotations

from msgspec.structs import replace

from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import to_hex
from heartify.protocol.evidence import TeeKind
from heartify.tee.gramine.build import SignedBuild
from heartify.tee.gramine.trusted_files import TrustedFile, name_differences

_SGX = TeeKind.SGX.wire_name
_SHOWN = 20


def add_sgx_measurement(release: AppRelease, installed: AppRelease, build: SignedBuild) -> AppRelease:
    """Return a release with the build's MRENCLAVE; `installed` is the release of what was built.

    Raises:
        IntegrityError: the release is for another version or other sources.
    """
    for what, named, built in (
        ("app", release.name, installed.name),
        ("version", release.version, installed.version),
        ("source digest", release.source_digest, installed.source_digest),
    ):
        if named != built:
            raise IntegrityError(f"the app release names {what} {named}, the build has {built}")
    known = {*release.measurements.get(_SGX, ()), to_hex(build.sigstruct.mr_enclave)}
    return replace(release, measurements={**release.measurements, _SGX: tuple(sorted(known))})


def check_sgx_measurement(
    release: AppRelease, build: SignedBuild, published_files: tuple[TrustedFile, ...] | None
) -> None:
    """Check that a release names a build's MRENCLAVE.

    Raises:
        DocumentError: the release names no enclave for SGX.
        IntegrityError: it names others; the message lists the files that differ from `published_files`.
    """
    named = release.reference_measurements(_SGX)
    if not named:
        raise DocumentError("the app release names no enclave for SGX")
    if build.sigstruct.mr_enclave in named:
        return
    raise IntegrityError(
        f"this build measures {to_hex(build.sigstruct.mr_enclave)}, which the app release does not name: "
        + _describe(build, published_files),
        hint="same version of heartify, Python, distribution, Gramine, size class and EDMM setting?",
    )


def _describe(build: SignedBuild, published_files: tuple[TrustedFile, ...] | None) -> str:
    if published_files is None:
        return "give the published heartify.manifest.sgx to see which files differ"
    differences = name_differences(build.trusted_files, published_files)
    if not differences:
        return "all files are equal, so Gramine itself or another line of the manifest differs"
    more = f", and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    return f"{len(differences)} files differ: {', '.join(differences[:_SHOWN])}{more}"
