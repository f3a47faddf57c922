"""The port through which a pool starts enclaves, whichever TEE it has.

Every launcher gives something that behaves as `Enclave`, so the pool's code doesn't know which TEE it uses.
What a launcher says of itself is for the pool's own eyes; a broker believes evidence only.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, Self

from heartify.protocol.evidence import Evidence, TeeKind
from heartify.tee.limits import EnclaveLimits


class Enclave(Protocol):
    """A running enclave as its host sees it; `RunningEnclave` is one in a process of this machine.

    `isolation` says in words what surrounds it, for status pages.
    """

    @property
    def measurement(self) -> bytes:
        """Return the measurement that its evidence states."""

    @property
    def isolation(self) -> str:
        """Return what surrounds it."""

    def send_frame(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Send one frame. Raises EnclaveError."""

    def receive_frame(self, timeout_seconds: float) -> tuple[dict[str, Any], bytes]:
        """Wait for one frame. Raises EnclaveError."""

    def quote(self, report_data: bytes) -> Evidence:
        """Return evidence over 64 bytes of report data. Raises EnclaveError, also where the enclave quotes itself."""

    def terminate(self) -> None:
        """End it at once, with everything that belongs to it."""

    def __enter__(self) -> Self:
        """Use it as a context that leaves nothing running."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """End it."""


class Launcher(Protocol):
    """What a pool needs of any TEE."""

    @property
    def tee_kind(self) -> TeeKind:
        """Return the kind of TEE that the evidence will claim."""

    @property
    def measurement(self) -> bytes:
        """Return the measurement that the evidence will state."""

    @property
    def isolation(self) -> str:
        """Return in words what will surround the enclaves."""

    def launch(self, limits: EnclaveLimits | None = None) -> Enclave:
        """Start one enclave, within the given limits or the launcher's own. Raises EnclaveError when it can't."""

    def close(self) -> None:
        """Give back what the launcher holds on this machine."""
