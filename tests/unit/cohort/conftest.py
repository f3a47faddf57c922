"""Shared: a small cohort of all datatypes, a memory store, and the dictionary of the four UCI heart files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.reader import ColumnArray, read_columns
from heartify.cohort.encrypted.writer import WrittenVersion, write_version
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import Store, open_store
from heartify.cohort.storage.version_files import build_fetch
from heartify.protocol.dictionary import Column, DataDictionary, Level

ACCEPTED = {"full-date:visit": "generated dates of a unit test"}
CSV = (
    b"patient,chol,count,smoker,cp,visit\n"
    b"p1,233.5,3,1,1,2021-03-04\n"
    b"p2,,,,,\n"
    b"p3,199,-7,0,4,1969-12-31\n"
    b"p4,250.25,3,1,4.0,2020-02-29\n"
)


def levels(*codes: str) -> tuple[Level, ...]:
    return tuple(Level(code=code, label=f"level {code}") for code in codes)


SMALL = DataDictionary(
    title="Small",
    description="All datatypes",
    columns=(
        Column(name="patient", title="Patient", datatype="category", role="id"),
        Column(name="chol", title="Cholesterol", datatype="number", role="factor", unit="mg/dL", maximum=600),
        Column(name="count", title="Count", datatype="integer", role="factor"),
        Column(name="smoker", title="Smokes", datatype="boolean", role="factor"),
        Column(name="cp", title="Chest pain", datatype="category", role="outcome", levels=levels("1", "2", "4")),
        Column(name="visit", title="Visit", datatype="date", role="time"),
    ),
)


@dataclass(frozen=True)
class Published:
    """A version in a store with everything that a test needs to read it, rightly or wrongly."""

    store: Store
    version: WrittenVersion
    keys: dict[str, bytes]
    files: dict[str, bytes]

    def read(self, *columns: str, files: dict[str, bytes] | None = None) -> dict[str, ColumnArray]:
        fetch = (files or self.files).__getitem__
        return read_columns(self.version.manifest, SMALL, columns, self.keys, fetch)


@pytest.fixture
def small_dictionary() -> DataDictionary:
    return SMALL


@pytest.fixture
def small_table() -> pa.Table:
    return parse_csv(CSV, SMALL, file="small.csv")


@pytest.fixture
def accepted() -> dict[str, str]:
    return dict(ACCEPTED)


@pytest.fixture
def memory_store() -> Iterator[Store]:
    store = open_store(f"memory://cohort-{next(_NUMBERS)}")
    yield store
    if store.filesystem.exists(store.root):
        store.filesystem.rm(store.root, recursive=True)


_NUMBERS = itertools.count()


@pytest.fixture
def publish(memory_store: Store) -> Callable[..., Published]:
    """Publish a table of the small dictionary as a version of dataset 0x1111.. unless told otherwise."""

    def run(
        table: pa.Table, *, dataset: str = "0x" + "11" * 32, previous: str | None = None, **options: object
    ) -> Published:
        version = write_version(
            table, SMALL, dataset=dataset, previous=previous, store=memory_store, accepted_findings=ACCEPTED, **options
        )
        fetch = build_fetch(memory_store, version.manifest)
        files = {entry.object_name: fetch(entry.object_name) for entry in version.manifest.columns}
        return Published(memory_store, version, column_keys(version.master_key, version.manifest), files)

    return run


@pytest.fixture
def published(publish: Callable[..., Published], small_table: pa.Table) -> Published:
    return publish(small_table)


@pytest.fixture
def long_table() -> pa.Table:
    """1,300 rows: three parts of 512."""
    rng = np.random.default_rng(7)
    rows = "".join(
        f"p{i},{rng.uniform(100, 400):.2f},{rng.integers(9)},{rng.integers(2)},{rng.choice([1, 2, 4])},"
        f"2020-01-{i % 28 + 1:02}\n"
        for i in range(1300)
    )
    return parse_csv(("patient,chol,count,smoker,cp,visit\n" + rows).encode(), SMALL, file="long.csv")


@pytest.fixture
def shared_data() -> Path:
    folder = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("third-party test data are not beside the project: ../shared/data is absent")
    return folder


@pytest.fixture
def uci_dictionary() -> DataDictionary:
    """The 14 columns of the processed UCI heart files; 0 means missing for cholesterol and blood pressure."""
    zero_missing = ("", "0")

    def number(name: str, title: str, unit: str, **more: object) -> Column:
        return Column(name=name, title=title, datatype="number", role="factor", unit=unit, **more)

    def category(name: str, title: str, *codes: str) -> Column:
        return Column(name=name, title=title, datatype="category", role="factor", levels=levels(*codes))

    return DataDictionary(
        title="UCI heart disease",
        description="Processed files of four hospitals",
        columns=(
            number("age", "Age", "a", loinc="30525-0"),
            category("sex", "Sex", "0", "1"),
            category("cp", "Chest pain type", "1", "2", "3", "4"),
            number("trestbps", "Resting blood pressure", "mm[Hg]", loinc="8480-6", missing_codes=zero_missing),
            number("chol", "Serum cholesterol", "mg/dL", loinc="2093-3", missing_codes=zero_missing),
            Column(name="fbs", title="Fasting glucose > 120 mg/dL", datatype="boolean", role="factor"),
            category("restecg", "Resting ECG", "0", "1", "2"),
            number("thalach", "Maximum heart rate", "/min"),
            Column(name="exang", title="Exercise angina", datatype="boolean", role="factor"),
            number("oldpeak", "ST depression", "mm"),
            category("slope", "Slope of ST", "1", "2", "3"),
            number("ca", "Vessels coloured", "1", minimum=0, maximum=9),
            category("thal", "Thallium scan", "3", "6", "7"),
            Column(name="num", title="Diagnosis", datatype="integer", role="outcome", minimum=0, maximum=4),
        ),
    )
