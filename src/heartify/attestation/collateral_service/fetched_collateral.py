"""The collateral source of a relying party with a service of its own: what the evidence's host sent is ignored.

A host could pick the oldest collateral that is still valid, from before its platform's key was revoked. Asked by the
relying party itself, the service gives the newest. Only the certificate of a VLEK, which AMD gives to clouds alone,
is taken from the host, and it proves itself by AMD's signature.
"""

from __future__ import annotations

import logging

from heartify.attestation.collateral_service.collateral_cache import CollateralCache
from heartify.attestation.collateral_service.collateral_keeper import (
    REFRESH_SECONDS,
    CollateralKeeper,
    CollateralReading,
)
from heartify.attestation.collateral_service.fetch_restraint import FetchRestraint
from heartify.attestation.collateral_service.kds_client import KdsClient
from heartify.attestation.collateral_service.needs import CollateralNeed, SnpNeed, need_of
from heartify.attestation.collateral_service.pccs_client import PccsClient
from heartify.attestation.snp.tcb import SnpProduct
from heartify.errors import ServiceError
from heartify.protocol.evidence import Evidence

log = logging.getLogger("heartify.collateral")


class FetchedCollateral:
    """Fetches from a PCCS (SGX, TDX) and a KDS (SEV-SNP); one that isn't given means that its kinds can't be had."""

    def __init__(
        self,
        cache: CollateralCache,
        *,
        pccs: PccsClient | None = None,
        kds: KdsClient | None = None,
        root_keys: frozenset[bytes] | None,
        snp_product: SnpProduct | None = None,
        refresh_seconds: int = REFRESH_SECONDS,
        restraint: FetchRestraint | None = None,
    ) -> None:
        self._pccs = pccs
        self._kds = kds
        self._snp_product = snp_product
        self._keeper = CollateralKeeper(
            self._fetch, cache, root_keys=root_keys, refresh_seconds=refresh_seconds, restraint=restraint
        )

    def collateral_for(self, evidence: Evidence, now_utc_seconds: int) -> str:
        """Return the newest collateral that can be had. Raises as `CollateralSource` says."""
        return self.reading_for(need_of(evidence, self._snp_product), now_utc_seconds).text

    def reading_for(self, need: CollateralNeed, now_utc_seconds: int) -> CollateralReading:
        """Return collateral with its age. Raises ServiceError when it can't be had."""
        reading = self._keeper.reading(need, now_utc_seconds)
        if reading.problem is not None:
            log.warning(
                "collateral for %s is %d seconds old and was not refreshed: %s",
                need.name,
                reading.age_seconds,
                reading.problem,
            )
        return reading

    def _fetch(self, need: CollateralNeed) -> str:
        if isinstance(need, SnpNeed):
            if self._kds is None:
                raise ServiceError("no service for SEV-SNP is configured", hint="set kds_url in collateral.toml")
            return self._kds.collateral(need)
        if self._pccs is None:
            raise ServiceError("no service for SGX and TDX is configured", hint="set pccs_url in collateral.toml")
        return self._pccs.collateral(need)
