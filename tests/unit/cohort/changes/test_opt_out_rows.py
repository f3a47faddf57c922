"""Rows without the patients who opted out: nobody slips through, and rows stay numbered."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from heartify.cohort.changes.opt_out_rows import OptOutRows
from heartify.cohort.changes.opt_outs import OptOutList
from heartify.cohort.rows import BATCH_ROWS, TableRows
from heartify.errors import InputError
from heartify.protocol.dictionary import Column

DAY = dt.date(2026, 11, 3)


def opted_out(*ids: str):
    opt_outs = OptOutList(b"k" * 32)
    opt_outs.add(ids, DAY)
    return opt_outs.as_of(DAY)


class SourceWithFingerprint(TableRows):
    """Rows of a file that says which file it is."""

    def fingerprint(self):
        return "file of Tuesday"

    def fraction_read(self):
        return 0.5


def rows_of(make, patients, opt_outs, of=None):
    of = of or make.with_ids
    return OptOutRows(SourceWithFingerprint(make.table(patients, of), of, name="cohort.csv"), opt_outs)


def names(batches) -> list[str]:
    return [name for batch in batches for name in batch.column("patient").to_pylist()]


def test_patients_on_the_list_are_left_out_and_counted(make):
    rows = rows_of(make, make.cohort(0, 6), opted_out("p00001", " P00004 ", "stranger"))

    assert names(rows.batches()) == ["P00000", "P00002", "P00003", "P00005"]
    assert rows.left_out == 2
    assert (rows.name, rows.dictionary, rows.fraction_read()) == ("cohort.csv", make.with_ids, 0.5)


@pytest.mark.parametrize("start", range(6))
def test_a_later_start_gives_the_same_rows_without_the_first(make, start):
    rows = rows_of(make, make.cohort(0, 6), opted_out("P00000", "P00003"))

    assert names(rows.batches(start)) == ["P00001", "P00002", "P00004", "P00005"][start:]
    assert rows.left_out == 2


def test_all_rows_of_a_repeated_patient_are_left_out(make):
    rows = rows_of(make, make.cohort(0, 3) * 2, opted_out("P00001"))

    assert names(rows.batches()) == ["P00000", "P00002"] * 2


def test_a_batch_of_which_nothing_is_left_is_not_delivered(make):
    patients = make.cohort(0, BATCH_ROWS + 2)

    batches = list(rows_of(make, patients, opted_out(f"P{BATCH_ROWS:05d}", f"P{BATCH_ROWS + 1:05d}")).batches())

    assert [batch.num_rows for batch in batches] == [BATCH_ROWS]


def test_with_an_empty_list_rows_pass_as_they_are(make):
    rows = rows_of(make, [(None, 1.0, "f"), ("a", 2.0, "m")], opted_out())

    assert names(rows.batches()) == [None, "a"]
    assert names(rows.batches(1)) == ["a"]
    assert rows.left_out == 0


def test_without_an_id_column_only_an_empty_list_is_possible(make):
    assert rows_of(make, make.cohort(0, 3), opted_out(), make.without_ids).left_out == 0
    with pytest.raises(InputError, match="no column tells which rows"):
        rows_of(make, make.cohort(0, 3), opted_out("P00001"), make.without_ids)


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_a_row_without_an_id_is_refused_by_its_number(make, missing):
    rows = rows_of(make, [*make.cohort(0, 3), (missing, 1.0, "f")], opted_out("P00001"))

    with pytest.raises(InputError, match="row 4 has no patient id"):
        list(rows.batches())


def test_any_of_several_ids_is_enough_to_be_left_out(make):
    national = Column(name="national", title="National number", datatype="category", role="id")
    both = make.dictionary(make.id_column, national, make.chol)
    table = pa.table({"patient": ["a", "b", None], "national": ["1", None, "3"], "chol": [1.0, 2.0, 3.0]})

    rows = OptOutRows(TableRows(table, both), opted_out("b", "3"))

    assert names(rows.batches()) == ["a"]
    assert rows.fingerprint() is None


def test_the_fingerprint_changes_with_source_and_list(make):
    one, other = (rows_of(make, make.cohort(0, 3), opted_out(name)) for name in ("P00001", "P00002"))

    assert one.fingerprint() == rows_of(make, make.cohort(0, 3), opted_out("P00001")).fingerprint()
    assert one.fingerprint() != other.fingerprint()
