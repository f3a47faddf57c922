"""Real data: the four UCI heart files go from CSV to an encrypted version and back unchanged."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.lint.publication import lint_cohort
from heartify.cohort.sources.csv_source import load_csv
from heartify.cohort.storage.store import Store
from heartify.cohort.storage.version_files import build_fetch
from heartify.protocol.dictionary import DataDictionary, normalise_code


@pytest.mark.parametrize(
    ("hospital", "rows"), [("cleveland", 303), ("hungarian", 294), ("switzerland", 123), ("va", 200)]
)
def test_a_hospital_round_trips(
    hospital: str, rows: int, shared_data: Path, uci_dictionary: DataDictionary, memory_store: Store
) -> None:
    path = shared_data / f"uci_heart_{hospital}.csv"
    table = load_csv(path, uci_dictionary)
    version = write_version(table, uci_dictionary, dataset="0x" + "22" * 32, previous=None, store=memory_store)
    manifest = version.manifest
    names = [column.name for column in uci_dictionary.columns]

    columns = read_columns(
        manifest,
        uci_dictionary,
        names,
        column_keys(version.master_key, manifest),
        build_fetch(memory_store, manifest),
    )

    assert {len(values) for values in columns.values()} == {rows}
    assert lint_cohort(table, uci_dictionary) == ()
    with path.open(encoding="utf-8", newline="") as file:
        for row, cells in enumerate(csv.DictReader(file)):
            for column in uci_dictionary.columns:
                text, value = normalise_code(cells[column.name]), columns[column.name][row]
                if text in column.missing_codes:
                    assert value == -1 if column.datatype == "category" else np.isnan(value)
                elif column.datatype == "category":
                    assert column.level_codes[int(value)] == text
                else:
                    assert value == float(text)


def test_cholesterol_of_zero_would_be_found_if_it_were_not_declared_missing(
    shared_data: Path, uci_dictionary: DataDictionary
) -> None:
    import msgspec

    naive = msgspec.structs.replace(
        uci_dictionary,
        columns=tuple(msgspec.structs.replace(column, missing_codes=("",)) for column in uci_dictionary.columns),
    )
    table = load_csv(shared_data / "uci_heart_va.csv", naive)

    found = {finding.name for finding in lint_cohort(table, naive)}

    assert found == {"zero-as-missing:chol", "zero-as-missing:trestbps"}
