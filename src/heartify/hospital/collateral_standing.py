"""How the broker's collateral stands: where it comes from, how old it is, when it ends. For status pages only.

What is kept isn't verified here: a broker checks signatures whenever it uses it.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from heartify.attestation.collateral_service.collateral_age import age_of_collateral
from heartify.attestation.collateral_service.offline_bundle import load_bundle
from heartify.broker.collateral_cache import BrokerCollateralCache
from heartify.errors import AttestationError
from heartify.hospital.broker_status import CollateralStanding, KeptCollateralStanding
from heartify.party.collateral_settings import load_collateral_settings


def read_collateral_standing(home: Path, engine: sa.Engine) -> CollateralStanding | None:
    """Return how the collateral of a hospital's home stands, None when the home names no source.

    Raises:
        InputError, UsageError: the settings or the bundle are wrong.
    """
    settings = load_collateral_settings(home)
    if settings is None:
        return None
    if settings.bundle is not None:
        entries = load_bundle(home / settings.bundle)
        kept = tuple(KeptCollateralStanding(name, None, _end_of(text)) for name, text in sorted(entries.items()))
        return CollateralStanding(f"bundle {settings.bundle}", None, kept)
    services = " and ".join(url for url in (settings.pccs_url, settings.kds_url) if url is not None)
    fetched = tuple(
        KeptCollateralStanding(item.name, item.fetched_at, _end_of(item.content))
        for item in BrokerCollateralCache(engine).all_kept()
    )
    return CollateralStanding(services, settings.refresh_hours * 3600, fetched)


def _end_of(text: str) -> int:
    try:
        return age_of_collateral(text).next_update
    except AttestationError:
        return 0  # damaged: a broker doesn't use it either
