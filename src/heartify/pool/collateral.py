"""Collateral that a pool sends along with the quotes of its enclaves, from `collateral.toml` in its home.

Brokers with a service of their own ignore it; for the others, and for the public receipt, the pool has it fetched. The
pool judges no evidence, so every root counts here, and its cache ends with its process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from heartify.attestation.collateral_service.collateral_cache import MemoryCollateralCache
from heartify.attestation.collateral_service.fetched_collateral import FetchedCollateral
from heartify.attestation.collateral_service.offline_bundle import OfflineBundle
from heartify.errors import ServiceError
from heartify.party.collateral_settings import COLLATERAL_FILE, build_collateral_source, load_collateral_settings
from heartify.protocol.evidence import Evidence


class PoolCollateral:
    """Answers an enclave's `collateral` frames; simulated enclaves send none, since theirs comes with the quote."""

    def __init__(
        self, source: FetchedCollateral | OfflineBundle | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._source = source
        self._clock = clock

    @classmethod
    def load(cls, home_path: Path) -> PoolCollateral:
        """Return the collateral source of a pool's home. Raises InputError or UsageError for wrong settings."""
        settings = load_collateral_settings(home_path)
        if settings is None:
            return cls(None)
        return cls(build_collateral_source(settings, home_path, MemoryCollateralCache(), None))

    def collateral_for_quote(self, tee_kind: str, quote: bytes, *, certificates: str = "") -> str:
        """Return collateral for a quote or report, as the text of `Evidence.collateral`.

        `certificates` is SEV-SNP collateral, or bare PEM, that the machine itself holds; a VLEK is found nowhere else.

        Raises:
            AttestationError, DocumentError: the quote or its kind can't be read.
            ServiceError: the home names no source, or it is away.
        """
        if self._source is None:
            raise ServiceError(
                f"this pool has no source of collateral for {tee_kind}",
                hint=f"write {COLLATERAL_FILE} with pccs_url or kds_url into the pool's home",
            )
        evidence = Evidence(tee_kind=tee_kind, quote_hex=quote.hex(), collateral=certificates)
        return self._source.collateral_for(evidence, int(self._clock()))
