"""Counted changes against a plain model of dictionaries, for any two versions of few values."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.cohort.changes.comparison import count_changes
from heartify.cohort.changes.ledger import Ledger
from heartify.cohort.changes.ledger_writer import LedgerWriter
from heartify.cohort.table_form import table_schema
from heartify.protocol.dictionary import Column, DataDictionary

KEY = bytes(32)
DICTIONARY = DataDictionary(
    title="Small",
    description="",
    columns=(
        Column(name="patient", title="Patient", datatype="category", role="id"),
        Column(name="value", title="Value", datatype="integer", role="factor"),
    ),
)
ROWS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([None, 0, 1, 2])), max_size=12)


def ledger(folder: Path, rows: list[tuple[str, int | None]], batch_rows: int) -> Ledger:
    writer = LedgerWriter(folder, KEY, DICTIONARY)
    columns = [pa.array([row[0] for row in rows], pa.string()), pa.array([row[1] for row in rows], pa.int64())]
    for batch in pa.Table.from_arrays(columns, schema=table_schema(DICTIONARY)).to_batches(max_chunksize=batch_rows):
        writer.add(batch)
    return writer.finish("0x" + "11" * 32)


def by_patient(rows: list[tuple[str, int | None]]) -> dict[str, Counter[int | None]]:
    found: dict[str, Counter[int | None]] = defaultdict(Counter)
    for patient, value in rows:
        found[patient][value] += 1
    return found


@settings(max_examples=60, deadline=None)
@given(before=ROWS, after=ROWS, batch_rows=st.integers(1, 5))
def test_changes_are_those_of_the_model(before, after, batch_rows):
    with tempfile.TemporaryDirectory() as folder:
        changes = count_changes(
            ledger(Path(folder) / "before", before, batch_rows), ledger(Path(folder) / "after", after, 100)
        )

    old, new = by_patient(before), by_patient(after)
    common = old.keys() & new.keys()
    old_rows, new_rows = (Counter(value for _, value in rows) for rows in (before, after))
    assert changes.added == len(new.keys() - old.keys())
    assert changes.removed == len(old.keys() - new.keys())
    assert changes.altered == sum(old[patient] != new[patient] for patient in common)
    assert (changes.common, changes.smaller) == (len(common), min(len(old), len(new)))
    assert changes.rows_added == (new_rows - old_rows).total()
    assert changes.rows_removed == (old_rows - new_rows).total()
    assert 0 <= changes.provable <= len(old.keys() ^ new.keys()) + changes.altered
