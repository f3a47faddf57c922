"""The app release: a content-addressed document that says which code an app is, for every kind of TEE."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heartify.protocol.canonical import Digest, digest_of, to_bytes

Measurement = Annotated[str, msgspec.Meta(pattern=r"^0x([0-9a-f]{64}|[0-9a-f]{96})\Z")]


class AppRelease(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Name, version, digest of the measured sources, and the measurements per TEE kind.

    `measurements` maps a TEE kind's name (`sgx`, `simulated-sgx`, ...) to the accepted measurements.
    """

    format: Literal["heartify.app-release/1"] = "heartify.app-release/1"
    name: str
    version: str
    source_digest: Digest
    measurements: dict[str, tuple[Measurement, ...]]

    def release_id(self) -> str:
        """Return the release's id, as grants, requests and the registry name it."""
        return digest_of(self)

    def reference_measurements(self, tee_kind: str) -> frozenset[bytes]:
        """Return the accepted measurements for one TEE kind; empty when the release doesn't run there."""
        return frozenset(to_bytes(item) for item in self.measurements.get(tee_kind, ()))
