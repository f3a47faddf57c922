"""Build the hospital's key broker from its home; it needs the broker key and the KEK, not the account key."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import heartify
from heartify.broker.audit.anchoring import AuditAnchoring
from heartify.broker.audit.entry import AuditEvent
from heartify.broker.audit.log import append, head
from heartify.broker.audit.submission import note_anchored
from heartify.broker.chain_view import NodeChainView
from heartify.broker.database import open_database, writing
from heartify.broker.key_broker import DEFAULT_RELEASES_PER_DEAL, BrokerSettings, KeyBroker
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault
from heartify.errors import ChainError, IntegrityError, UsageError
from heartify.hospital.anchoring import BrokerAnchoring, build_anchoring
from heartify.hospital.collateral import load_collateral_source
from heartify.hospital.home import HospitalHome
from heartify.hospital.kek import open_kek
from heartify.party.keystore import load_secret
from heartify.party.market_access import MarketAccess, open_market
from heartify.party.trust import load_trust

log = logging.getLogger("heartify.broker")


@dataclasses.dataclass(frozen=True, slots=True)
class HospitalBroker:
    """A hospital's key broker with the state that it works on, and what anchors its audit log."""

    broker: KeyBroker
    store: BrokerStore
    audit: BrokerAnchoring
    access: MarketAccess

    @property
    def anchoring(self) -> AuditAnchoring:
        """Return the signed heads of the audit log."""
        return self.audit.anchoring

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Log the start, compare the log with its anchor on chain, and anchor it while the context lasts.

        A log that doesn't continue its anchor is said loudly; the broker itself then releases nothing.
        """
        self._log_start()
        try:
            note_anchored(self.anchoring, self.access.registry)
        except IntegrityError as exc:
            log.error("%s", exc.message)  # noqa: TRY400 - a traceback tells a steward nothing
        except ChainError as exc:
            log.warning("%s", exc.message)
        with self.audit.keeper:
            yield
        self.store.refusals.close()

    def _log_start(self) -> None:
        domain, now = self.access.deployment.domain, int(time.time())
        with writing(self.store.engine) as connection:
            if head(connection) is None:
                details = {
                    "broker": self.broker.address,
                    "chain": str(domain.chain_id),
                    "registry": self.access.deployment.registry,
                    "market": domain.contract,
                }
                append(connection, now, AuditEvent.CREATED, details)
            append(connection, now, AuditEvent.STARTED, {"version": heartify.__version__})


def build_hospital_broker(
    home_path: Path, password: bytes, *, releases_per_deal: int = DEFAULT_RELEASES_PER_DEAL
) -> HospitalBroker:
    """Return the key broker of a hospital's home with everything around it.

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
    private_key = load_secret(home.broker_keystore, password)
    settings = BrokerSettings(
        domain=access.deployment.domain,
        signing_private_key=private_key,
        verifier_policy=load_trust(home.path),
        releases_per_deal=releases_per_deal,
        chain_may_idle=access.deployment.embedded,
    )
    engine = open_database(home.database_url)
    store = BrokerStore(engine)
    broker = KeyBroker(
        settings,
        store,
        Vault(open_kek(home.path, engine, lambda keystore: load_secret(keystore, password), os.environ)),
        NodeChainView(access.connection, access.deployment),
        clock=lambda: int(time.time()),
        randomness=secrets.token_bytes,
        collateral=load_collateral_source(home.path, engine),
    )
    audit = build_anchoring(engine, access.connection, access.deployment, private_key)
    return HospitalBroker(broker, store, audit, access)


def build_key_broker(
    home_path: Path, password: bytes, *, releases_per_deal: int = DEFAULT_RELEASES_PER_DEAL
) -> KeyBroker:
    """Return the key broker of a hospital's home alone; raises like `build_hospital_broker`."""
    return build_hospital_broker(home_path, password, releases_per_deal=releases_per_deal).broker
