"""Where a hospital's broker gets the collateral to verify evidence with: `collateral.toml` in its home."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from heartify.attestation.collateral_service.collateral_cache import CollateralCache, MemoryCollateralCache
from heartify.attestation.collateral_service.signatures import root_keys_of
from heartify.attestation.collateral_source import CollateralSource, HostCollateral
from heartify.broker.collateral_cache import BrokerCollateralCache
from heartify.broker.database import open_database
from heartify.hospital.home import HospitalHome
from heartify.party.collateral_settings import build_collateral_source, load_collateral_settings
from heartify.party.trust import load_trust


def load_collateral_source(home_path: Path, engine: sa.Engine) -> CollateralSource:
    """Return the collateral source of a hospital's home; fetched collateral is kept in the broker's database.

    Without `collateral.toml` it is what the evidence's host sends.

    Raises:
        InputError, UsageError: the settings, the bundle or the CA file are wrong.
        PolicyError: the home's trust policy is wrong.
    """
    settings = load_collateral_settings(home_path)
    if settings is None:
        return HostCollateral()
    return build_collateral_source(
        settings, home_path, BrokerCollateralCache(engine), root_keys_of(load_trust(home_path))
    )


@contextlib.contextmanager
def collateral_cache_of(home_path: Path) -> Iterator[CollateralCache]:
    """Give the cache of a hospital's broker, for commands; one in memory for any other party's home.

    Raises:
        ServiceError: the broker's database can't be opened.
    """
    home = HospitalHome(home_path)
    if not home.settings_file.exists():
        yield MemoryCollateralCache()
        return
    engine = open_database(home.database_url)
    try:
        yield BrokerCollateralCache(engine)
    finally:
        engine.dispose()
