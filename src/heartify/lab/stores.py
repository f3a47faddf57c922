"""Open the stores that the chain names, within what this lab's operator lets their addresses lead to."""

from __future__ import annotations

import os

from heartify.cohort.storage.store import Store, open_registered_store
from heartify.cohort.storage.store_access import StoreAccess, read_store_access
from heartify.party.market_access import MarketAccess


def lab_store_access(access: MarketAccess) -> StoreAccess:
    """Return the settings of the environment; on an embedded chain, whose parties share a machine, folders are allowed.

    Raises UsageError for a setting that makes no sense.
    """
    return read_store_access(os.environ, embedded=access.deployment.embedded)


def open_dataset_store(access: MarketAccess, url: str) -> Store:
    """Open a store by its address on chain; raises UsageError, PolicyError."""
    return open_registered_store(url, lab_store_access(access))
