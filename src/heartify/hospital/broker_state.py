"""What an operator does to the broker's keys and state: create and rotate the KEK, back up, restore.

Backing up needs no stop; rotating and restoring have the state alone. Blocks and withdrawals are read from the
hospital's own node, never asked of the operator.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import sqlalchemy as sa

from heartify.broker.backup.create import create_backup
from heartify.broker.backup.envelope import BackupHeader
from heartify.broker.backup.restore import Restored, RestoreTarget, acknowledge_rollback, restore_backup
from heartify.broker.database import open_database
from heartify.broker.deal_on_chain import check_clocks
from heartify.broker.kek.settings import KekSettings, KeystoreKek
from heartify.broker.rollback import Anchor
from heartify.chain.deployment import Deployment, load_deployment
from heartify.errors import KeystoreError
from heartify.hospital.home import HospitalHome
from heartify.hospital.kek import open_kek, rotate_kek
from heartify.hospital.state_lock import exchanging_state, using_state
from heartify.party.keystore import create_seed, load_secret
from heartify.party.market_access import DEPLOYMENT_FILE, MarketAccess, open_market


class NodeRestoreChain:
    """What a restore must know of the chain, from the hospital's node at its newest block."""

    def __init__(self, access: MarketAccess, now: int) -> None:
        self._access = access
        self._now = now

    def newest_block(self) -> int:
        """Return the newest block's number.

        Raises:
            PolicyError: it is old, so the node is behind and deals were matched after it.
            ChainError: the node can't be reached.
        """
        connection, deployment = self._access.connection, self._access.deployment
        number = connection.head("latest")
        check_clocks(connection.time_utc_seconds(number), self._now, chain_may_idle=deployment.embedded)
        return number

    def audit_anchor(self, broker: str) -> Anchor:
        """Return the broker's newest audit anchor; raises ChainError."""
        found = self._access.registry.audit_anchor(broker, block="latest")
        return Anchor(found.sequence, str(found.head))

    def withdrawn_versions(self) -> frozenset[str]:
        """Return every version that was ever withdrawn; raises ChainError."""
        return self._access.registry.withdrawn_versions(to="latest")


class BrokerState:
    """The keys and the state of one hospital's broker, by its home and the password of its keystores."""

    def __init__(self, home: Path, password: bytes, environ: MutableMapping[str, str]) -> None:
        self._home = HospitalHome(home)
        self._settings = self._home.settings()
        self._password = password
        self._environ = environ

    def rotate(self, settings: KekSettings) -> tuple[str, str, int]:
        """Wrap all master keys by another KEK; return both ids and the number of keys; see hospital/kek.py."""
        with exchanging_state(self._home.path), self._engine() as engine:
            return rotate_kek(self._home, engine, settings, self._open_keystore, self._environ, _now)

    def create_keystore(self) -> KeystoreKek:
        """Create a keystore with a new seed in the home, under the next free name."""
        taken = {path.name for path in self._home.path.glob("kek-*.json")}
        numbers = [int(found[1]) for name in taken if (found := re.fullmatch(r"kek-(\d{1,6})\.json", name))]
        settings = KeystoreKek(f"kek-{max(numbers, default=1) + 1}.json")
        create_seed(self._home.path / settings.file, self._password)
        return settings

    def back_up(self, path: Path) -> BackupHeader:
        """Write a backup of the state to a new file; see broker/backup/create.py."""
        with using_state(self._home.path), self._engine() as engine:
            kek = open_kek(self._home.path, engine, self._open_keystore, self._environ)
            return create_backup(
                path, engine, kek, broker=self._settings.broker, domain=self._deployment().domain, clock=_now
            )

    def restore(self, path: Path, *, replace: bool = False) -> Restored:
        """Restore a backup; see broker/backup/restore.py."""
        with exchanging_state(self._home.path), self._engine() as engine:
            return restore_backup(path, self._target(engine), self._chain(), replace=replace)

    def acknowledge_rollback(self) -> Restored:
        """Treat the database as it lies there as restored just now; see broker/backup/restore.py."""
        with exchanging_state(self._home.path), self._engine() as engine:
            return acknowledge_rollback(self._target(engine), self._chain())

    def _target(self, engine: sa.Engine) -> RestoreTarget:
        receipts = self._home.destructions.glob("*.json") if self._home.destructions.exists() else ()
        return RestoreTarget(
            engine=engine,
            kek=open_kek(self._home.path, engine, self._open_keystore, self._environ),
            broker=self._settings.broker,
            domain=self._deployment().domain,
            destroyed=frozenset(f"0x{path.stem}" for path in receipts),
            now=_now(),
        )

    def _chain(self) -> NodeRestoreChain:
        return NodeRestoreChain(open_market(self._home.path), _now())

    def _deployment(self) -> Deployment:
        return load_deployment(self._home.path / DEPLOYMENT_FILE)

    @contextlib.contextmanager
    def _engine(self) -> Iterator[sa.Engine]:
        engine = open_database(self._home.database_url)
        try:
            yield engine
        finally:
            engine.dispose()

    def _open_keystore(self, path: Path) -> bytes:
        if not self._password:
            raise KeystoreError("the password of the keystores is needed")
        return load_secret(path, self._password)


def _now() -> int:
    return int(time.time())
