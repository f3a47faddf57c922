"""Where a hospital's broker gets the collateral to verify evidence with: `collateral.toml` in its home."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from heartify.attestation.collateral_service.signatures import root_keys_of
from heartify.attestation.collateral_source import CollateralSource, HostCollateral
from heartify.broker.collateral_cache import BrokerCollateralCache
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
