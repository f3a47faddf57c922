"""The `tdx` and `sev-snp` entries of an app release: measurements of registered guests, one for each shape of machine.

An entry is added only to the release whose sources are those of the installed enclave. What it says beyond them
(firmware, kernel, machine) is the word of whoever measured; a hospital repeats that with the same public tools.
"""

from __future__ import annotations

from msgspec.structs import replace

from heartify.errors import IntegrityError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import to_hex
from heartify.tee.confidential_vm.build import GuestBuild


def add_guest_measurement(release: AppRelease, installed: AppRelease, build: GuestBuild) -> AppRelease:
    """Return a release with a guest's measurement; `installed` is the release of the installed enclave.

    Raises:
        IntegrityError: the release is for another app, version or other sources.
    """
    if (release.name, release.version, release.source_digest) != (
        installed.name,
        installed.version,
        installed.source_digest,
    ):
        raise IntegrityError(
            f"the app release is {release.name} {release.version} with sources {release.source_digest}, the installed"
            f" enclave is {installed.name} {installed.version} with {installed.source_digest}"
        )
    kind = build.tee_kind.wire_name
    known = {*release.measurements.get(kind, ()), to_hex(build.measurement)}
    return replace(release, measurements={**release.measurements, kind: tuple(sorted(known))})
