"""A hospital that publishes a generated cohort to a folder, beside a registry in memory."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from heartify.broker.database import open_database
from heartify.broker.store import BrokerStore
from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.rows import TableRows
from heartify.cohort.steward_dictionary import StewardDictionary
from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.version_files import build_fetch, load_manifest, load_stored_dictionary
from heartify.cohort.table_form import table_schema
from heartify.errors import ChainError
from heartify.hospital.home import HospitalHome, HospitalSettings
from heartify.hospital.publishing.ports import Ports
from heartify.hospital.publishing.publish import Published, publish
from heartify.hospital.publishing.terms import REGISTER, Decisions, PublishTerms
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.eip712 import ZERO_ADDRESS

BATCH, PART_ROWS = 512, 1024
DICTIONARY = DataDictionary(
    title="Clinic",
    description="generated",
    columns=(
        Column(name="patient", title="Patient", datatype="category", role="id"),
        Column(name="age", title="Age", datatype="integer", role="factor", unit="a", minimum=18, maximum=89),
        Column(
            name="systolic",
            title="Systolic blood pressure",
            datatype="integer",
            role="factor",
            unit="mm[Hg]",
            loinc="8480-6",
            minimum=60,
            maximum=260,
        ),
        Column(name="cvd", title="CVD", datatype="boolean", role="outcome"),
    ),
)
VAULT_SEED = bytes(range(32))


class Killed(BaseException):
    """The process dies here: nothing may catch it."""


@dataclasses.dataclass
class Event:
    version: str
    dataset: str


class MemoryRegistry:
    """The registry's answers; `refuses` makes the next registration fail."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.owners: dict[str, str] = {}
        self.refuses = False
        self.urls: list[str] = []

    def version_events(self, *, dataset: str, to: str) -> list[Event]:
        return [event for event in self.events if event.dataset == dataset]

    def owner_of_dataset(self, dataset: str, *, block: str) -> str:
        return self.owners.get(dataset, ZERO_ADDRESS)

    def register_dataset(self, salt: bytes, broker: str, url: str) -> None:
        self.salt = salt

    def publish_version(self, dataset: str, version: str, url: str) -> None:
        if self.refuses:
            self.refuses = False
            raise ChainError("the chain is away")
        self.events.append(Event(version, dataset))
        self.urls.append(url)
        self.owners[dataset] = "0x" + "11" * 20


@dataclasses.dataclass
class Access:
    registry: MemoryRegistry


class FileLike(TableRows):
    """A table that behaves as a file: small batches, a fingerprint of its content, rows that can be begun anywhere."""

    def fingerprint(self) -> str | None:
        return str(hash(str(self._table.to_pydict())))

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        yield from self._table.slice(start_row).to_batches(max_chunksize=BATCH)


def patients(first: int, last: int) -> pa.Table:
    """Patients `first` to `last - 1`: the same number is always the same patient."""
    numbers = np.arange(first, last)
    columns = {
        "patient": pa.array([f"P{number:06}" for number in numbers]),
        "age": pa.array(30 + numbers * 7 % 50, pa.int64()),
        "systolic": pa.array(100 + numbers * 13 % 80, pa.int64()),
        "cvd": pa.array(numbers * 11 % 10 < 3),
    }
    return pa.Table.from_arrays(list(columns.values()), schema=table_schema(DICTIONARY))


class Clinic:
    def __init__(self, folder: Path) -> None:
        self.home = HospitalHome(folder / "home")
        self.home.path.mkdir()
        self.registry = MemoryRegistry()
        self.ports = Ports(
            home=self.home,
            settings=HospitalSettings(
                name="clinic",
                account="0x" + "11" * 20,
                broker="0x" + "12" * 20,
                store_url=str(folder / "store"),
                broker_url="http://127.0.0.1:8701",
            ),
            vault_seed=VAULT_SEED,
            broker_store=BrokerStore(open_database(self.home.database_url)),
            store=open_store(str(folder / "store")),
            access=Access(self.registry),  # type: ignore[arg-type]
            today=dt.date(2026, 11, 22),
        )

    def publish(
        self, table: pa.Table, *, report=None, dictionary=DICTIONARY, registration=REGISTER, **decisions
    ) -> Published:
        rows = table if not isinstance(table, pa.Table) else FileLike(table, dictionary)
        terms = PublishTerms(
            rows=rows,
            steward=StewardDictionary(dictionary=dictionary),
            decisions=Decisions(**decisions),
            registration=registration,
        )
        options = {} if report is None else {"report": report}
        return publish(self.ports, terms, part_rows=PART_ROWS, **options)

    def read(self, published: Published, *columns: str) -> dict[str, np.ndarray]:
        """Read a version as an enclave does that was given all keys."""
        store = self.ports.store
        manifest = load_manifest(store, published.version)
        held = self.ports.broker_store.live_version(published.version)
        keys = column_keys(self.ports.vault.unwrap(published.version, held.wrapped_master_key), manifest)
        dictionary = load_stored_dictionary(store, published.version, manifest)
        return read_columns(manifest, dictionary, columns, keys, build_fetch(store, manifest))

    def journal(self) -> Path:
        (folder,) = [path for path in (self.home.path / "publishing").iterdir() if path.is_dir()]
        return folder / "journal.json"

    def under_way(self) -> bool:
        return any(path.is_dir() for path in (self.home.path / "publishing").iterdir())


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)
