"""What a publication works with: the hospital's home and secrets, its store, its broker's state, and the registry."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from heartify.broker.kek.key_encryption_key import KeyEncryptionKey
from heartify.broker.store import BrokerStore
from heartify.broker.vault import Vault
from heartify.chain.registry import dataset_id
from heartify.cohort.changes.keys import derive_ledger_key
from heartify.cohort.changes.opt_outs import OptOuts
from heartify.cohort.storage.store import Store
from heartify.hospital.home import HospitalHome, HospitalSettings
from heartify.hospital.opt_outs import opt_outs_as_of
from heartify.hospital.publishing.journal import JournalFolder
from heartify.party.market_access import MarketAccess
from heartify.protocol.signing import keccak256


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The hospital's side of a publication. `today` and `random_bytes` are given, so that tests can choose them.

    `vault_seed` is the root of ledgers and opt-outs, and of the key that wraps master keys unless `kek` is another one.
    """

    home: HospitalHome
    settings: HospitalSettings
    vault_seed: bytes = field(repr=False)
    broker_store: BrokerStore
    store: Store
    access: MarketAccess
    today: dt.date
    random_bytes: Callable[[int], bytes] = field(default=secrets.token_bytes, repr=False)
    kek: KeyEncryptionKey | None = field(default=None, repr=False)

    @property
    def vault(self) -> Vault:
        """The vault that wraps master keys."""
        return Vault(self.kek or self.vault_seed)

    def salt(self, dataset_name: str) -> bytes:
        """Return what tells this hospital's datasets apart on chain."""
        return keccak256(dataset_name.encode())

    def dataset(self, dataset_name: str) -> str:
        """Return a dataset's id on chain."""
        return dataset_id(self.settings.account, self.salt(dataset_name))

    def versions_of(self, dataset: str) -> tuple[str, ...]:
        """Return all versions that the dataset ever had on chain, oldest first, the withdrawn ones too."""
        events = self.access.registry.version_events(dataset=dataset, to="latest")
        return tuple(str(event.version) for event in events)

    def newest_version(self, dataset: str) -> str | None:
        """Return the dataset's newest version on chain: one that was never registered is nobody's predecessor."""
        versions = self.versions_of(dataset)
        return versions[-1] if versions else None

    def opt_outs(self) -> OptOuts:
        """Return the patients who are opted out today."""
        return opt_outs_as_of(self.home.path, self.vault_seed, self.today)

    def ledger_folder(self, dataset: str) -> Path:
        """Return the folder of a dataset's change ledgers."""
        return self.home.ledgers(dataset)

    def ledger_key(self, dataset: str) -> bytes:
        """Return the key of a dataset's change ledgers."""
        return derive_ledger_key(self.vault_seed, dataset)

    def journal_folder(self, dataset: str) -> JournalFolder:
        """Return the folder of a dataset's publication under way."""
        return JournalFolder(self.home.publishing(dataset))

    def generator(self) -> np.random.Generator:
        """Return a generator of fresh randomness: what it chooses can't be foretold from the data."""
        return np.random.Generator(np.random.Philox(int.from_bytes(self.random_bytes(16), "big")))
