"""Where a verifier's collateral comes from.

Evidence brings collateral along, which its host chose: signed and dated, but perhaps the oldest that is still valid. A
relying party that fetches its own leaves the host no choice. Whatever the source, `verify` believes only signatures.
"""

from __future__ import annotations

from typing import Protocol

from heartify.protocol.evidence import Evidence


class CollateralSource(Protocol):
    """Gives the collateral to verify evidence with."""

    def collateral_for(self, evidence: Evidence, now_utc_seconds: int) -> str:
        """Return collateral as the text of `Evidence.collateral`.

        Raises:
            AttestationError: the evidence doesn't say which collateral it needs.
            ServiceError: it can't be had now.
        """


class HostCollateral:
    """The collateral that the evidence's host sent along."""

    def collateral_for(self, evidence: Evidence, now_utc_seconds: int) -> str:  # noqa: ARG002 - the port's argument
        """Return what the evidence holds."""
        return evidence.collateral
