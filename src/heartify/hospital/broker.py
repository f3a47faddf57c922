"""Build the hospital's key broker from its home; it needs the broker key and the KEK, not the account key."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from heartify.broker.chain_view import NodeChainView
from heartify.broker.database import open_database
from heartify.broker.key_broker import DEFAULT_RELEASES_PER_DEAL, BrokerSettings, KeyBroker
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault
from heartify.errors import UsageError
from heartify.hospital.home import HospitalHome
from heartify.hospital.kek import open_kek
from heartify.party.keystore import load_secret
from heartify.party.market_access import open_market
from heartify.party.trust import load_trust


def build_key_broker(
    home_path: Path, password: bytes, *, releases_per_deal: int = DEFAULT_RELEASES_PER_DEAL
) -> KeyBroker:
    """Return the key broker of a hospital's home.

    Raises:
        UsageError, KeystoreError: the home isn't initialised, the limit is under 1, the password is wrong, or the
            key-encryption key is not the database's.
        ChainError: the hospital's node can't be reached.
    """
    home = HospitalHome(home_path)
    home.settings()
    if releases_per_deal < 1:
        raise UsageError(f"{releases_per_deal} releases a deal release nothing", hint="give 1 or more")
    access = open_market(home.path)
    settings = BrokerSettings(
        domain=access.deployment.domain,
        signing_private_key=load_secret(home.broker_keystore, password),
        verifier_policy=load_trust(home.path),
        releases_per_deal=releases_per_deal,
        chain_may_idle=access.deployment.embedded,
    )
    engine = open_database(home.database_url)
    kek = open_kek(home.path, engine, lambda keystore: load_secret(keystore, password), os.environ)
    return KeyBroker(
        settings,
        BrokerStore(engine),
        Vault(kek),
        NodeChainView(access.connection, access.deployment),
        clock=lambda: int(time.time()),
        randomness=secrets.token_bytes,
    )
