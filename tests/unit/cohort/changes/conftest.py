"""Shared: a dictionary with a patient id, tables of patients, and ledgers of them under one key."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from heartify.cohort.changes.ledger import Ledger
from heartify.cohort.changes.ledger_writer import LedgerWriter
from heartify.cohort.rows import TableRows
from heartify.cohort.table_form import table_schema
from heartify.protocol.dictionary import Column, DataDictionary, Level

KEY = bytes(range(32))
Patient = tuple[str | None, float | None, str | None]

ID = Column(name="patient", title="Patient", datatype="category", role="id")
CHOL = Column(name="chol", title="Cholesterol", datatype="number", role="factor", unit="mg/dL")
LEVELS = (Level(code="f", label="female"), Level(code="m", label="male"))
SEX = Column(name="sex", title="Sex", datatype="category", role="factor", levels=LEVELS)
AGE = Column(name="age", title="Age", datatype="integer", role="factor", unit="a")


def dictionary(*columns: Column) -> DataDictionary:
    return DataDictionary(title="Small", description="", columns=columns)


WITH_IDS = dictionary(ID, CHOL, SEX)
WITHOUT_IDS = dictionary(CHOL, SEX)


def table(patients: Iterable[Sequence[object]], of: DataDictionary) -> pa.Table:
    """A table of rows (patient, chol, sex, ...) in the order of WITH_IDS, less what the dictionary hasn't got."""
    columns = list(zip(*patients, strict=True)) or [()] * len(of.columns)
    names = ["patient", "chol", "sex", "age"][: len(columns)]
    values = dict(zip(names, columns, strict=True)) if patients else {}
    return pa.table({c.name: _array(list(values.get(c.name, ())), c) for c in of.columns}, schema=table_schema(of))


def _array(values: list[object], column: Column) -> pa.Array:
    if column.datatype == "category" and column.role != "id":
        codes = {code: number for number, code in enumerate(column.level_codes)}
        indices = pa.array([None if value is None else codes[value] for value in values], pa.int32())
        return pa.DictionaryArray.from_arrays(indices, pa.array(column.level_codes, pa.string()))
    kind = {"number": pa.float64(), "integer": pa.int64()}.get(column.datatype, pa.string())
    return pa.array(values, kind)


def cohort(first: int, last: int) -> list[Patient]:
    """Patients `first` to `last - 1`, each with values of his own."""
    return [(f"P{i:05d}", 150.0 + i, "fm"[i % 2]) for i in range(first, last)]


@pytest.fixture
def key() -> bytes:
    return KEY


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Ledger]:
    """Write the ledger of a version; versions are numbered 1, 2, 3..."""
    numbers = itertools.count(1)

    def run(patients: Sequence[Sequence[object]], of: DataDictionary = WITH_IDS, *, key: bytes = KEY) -> Ledger:
        writer = LedgerWriter(tmp_path / "ledgers", key, of)
        for batch in TableRows(table(patients, of), of).batches():
            writer.add(batch)
        return writer.finish(f"0x{next(numbers):064x}")

    return run


class Make:
    """What tests build with, without importing this file."""

    id_column, chol, sex, age = ID, CHOL, SEX, AGE
    with_ids, without_ids = WITH_IDS, WITHOUT_IDS
    dictionary = staticmethod(dictionary)
    table = staticmethod(table)
    cohort = staticmethod(cohort)


@pytest.fixture
def make() -> type[Make]:
    return Make
