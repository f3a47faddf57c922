"""Ledgers: whole or not at all, useless without the key, refused when they aren't what was written."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.changes.comparison import count_changes
from heartify.cohort.changes.ledger import RUN_ROWS, load_ledgers, open_ledger
from heartify.cohort.changes.ledger_writer import LedgerWriter, finish_draft, load_draft
from heartify.cohort.table_form import table_schema
from heartify.errors import IntegrityError, UsageError

VERSION = "0x" + "ab" * 32
EVERYTHING = (0, 2**64 - 1)


def batches(make, patients):
    return make.table(patients, make.with_ids).to_batches(max_chunksize=7)


def test_a_finished_ledger_is_found_with_all_its_rows(make, write, key, tmp_path):
    ledger = write(make.cohort(0, 30))

    (found,) = load_ledgers(tmp_path / "ledgers", key)

    assert found == ledger
    assert found.header.rows == 30
    persons, contents = found.persons(*EVERYTHING)
    assert len(set(persons.tolist())) == 30
    assert sorted(contents.tolist()) == sorted(found.contents(*EVERYTHING).tolist())


def test_a_folder_that_is_not_there_has_no_ledgers(key, tmp_path):
    assert load_ledgers(tmp_path / "nothing", key) == ()


def test_an_empty_version_has_a_ledger(make, write):
    ledger = write([])

    assert ledger.header.rows == 0
    assert count_changes(ledger, write(make.cohort(0, 3))).added == 3


def test_no_id_and_no_value_stands_in_the_files(make, write):
    ledger = write([("PATIENT-7", 123456.5, "f")])

    stored = b"".join(path.read_bytes() for path in ledger.folder.iterdir())

    assert b"PATIENT-7" not in stored
    assert b"patient-7" not in stored
    assert np.float64(123456.5).tobytes() not in stored


def test_without_id_columns_there_are_no_persons(make, write):
    ledger = write(make.cohort(0, 5), make.without_ids)

    assert ledger.header.id_columns is None
    assert not (ledger.folder / "persons.bin").exists()


def test_many_runs_hold_the_same_rows_as_one(make, write, tmp_path, key):
    rows = RUN_ROWS + 70_000
    chol = np.arange(rows, dtype=np.float64)
    arrays = [pa.array(chol.astype("U7")), pa.array(chol)]
    arrays.append(pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), ["f", "m"]))
    long = pa.Table.from_arrays(arrays, schema=table_schema(make.with_ids))
    ledgers = []
    for name, start in (("a", 0), ("b", 25)):
        writer = LedgerWriter(tmp_path / name, key, make.with_ids)
        for batch in long.slice(start).to_batches(max_chunksize=65536):
            writer.add(batch)
        ledgers.append(writer.finish(VERSION))

    changes = count_changes(*ledgers)

    assert (changes.added, changes.removed, changes.altered) == (0, 25, 0)
    assert (changes.common, changes.rows_added, changes.rows_removed) == (rows - 25, 0, 25)


# ---- drafts


def test_a_draft_that_was_discarded_leaves_nothing(make, key, tmp_path):
    writer = LedgerWriter(tmp_path, key, make.with_ids)
    writer.add(batches(make, make.cohort(0, 5))[0])
    writer.discard()

    assert list(tmp_path.iterdir()) == []
    assert load_draft(tmp_path, key) is None


def test_a_draft_is_no_ledger_until_it_is_finished(make, key, tmp_path):
    writer = LedgerWriter(tmp_path, key, make.with_ids)
    draft = writer.seal()

    assert draft.version is None
    assert load_ledgers(tmp_path, key) == ()
    assert writer.finish(VERSION).version == VERSION
    assert [ledger.version for ledger in load_ledgers(tmp_path, key)] == [VERSION]


def test_a_sealed_draft_is_finished_by_another_process(make, key, tmp_path):
    writer = LedgerWriter(tmp_path, key, make.with_ids)
    for batch in batches(make, make.cohort(0, 20)):
        writer.add(batch)
    writer.seal()

    assert load_draft(tmp_path, key).header.rows == 20
    finished = finish_draft(tmp_path, key, VERSION)

    assert finish_draft(tmp_path, key, VERSION) == finished
    assert finished == load_ledgers(tmp_path, key)[0]


def test_a_draft_that_was_killed_before_its_seal_is_none(make, key, tmp_path):
    LedgerWriter(tmp_path, key, make.with_ids).add(batches(make, make.cohort(0, 5))[0])

    assert load_draft(tmp_path, key) is None
    with pytest.raises(UsageError, match="no sealed change ledger"):
        finish_draft(tmp_path, key, VERSION)


def test_a_new_writer_removes_an_old_draft(make, key, tmp_path):
    LedgerWriter(tmp_path, key, make.with_ids).seal()
    LedgerWriter(tmp_path, key, make.with_ids)

    assert load_draft(tmp_path, key) is None


def test_a_sealed_ledger_takes_no_more_rows(make, key, tmp_path):
    writer = LedgerWriter(tmp_path, key, make.with_ids)
    writer.seal()

    with pytest.raises(UsageError, match="takes no more rows"):
        writer.add(batches(make, make.cohort(0, 5))[0])


# ---- damage


@pytest.mark.parametrize("file", ["header.json", "persons.bin", "contents.bin"])
@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "gone"])
def test_a_damaged_ledger_is_refused(make, write, key, file, damage):
    path = write(make.cohort(0, 30)).folder / file
    data = path.read_bytes()
    changed = {"flip": bytes([data[0] ^ 1]) + data[1:], "cut": data[:-8], "longer": data + bytes(8), "gone": None}
    if changed[damage] is None:
        path.unlink()
    else:
        path.write_bytes(changed[damage])

    with pytest.raises(IntegrityError, match="change-ledger"):
        load_ledgers(path.parent.parent, key)


def test_a_ledger_of_another_key_is_refused(make, write):
    ledger = write(make.cohort(0, 3))

    with pytest.raises(IntegrityError, match="not authentic"):
        open_ledger(ledger.folder, b"another key of thirty-two bytes!")


def test_a_ledger_in_the_place_of_another_versions_is_refused(make, write, key):
    first, second = write(make.cohort(0, 3)), write(make.cohort(0, 30))
    shutil.rmtree(first.folder)
    second.folder.rename(first.folder)

    with pytest.raises(IntegrityError, match="another version"):
        load_ledgers(first.folder.parent, key)
