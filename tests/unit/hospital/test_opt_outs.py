"""The steward's way to the opt-out list: a file of ids in, pseudonyms in the home, and a refusal for anything else."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from heartify.errors import InputError
from heartify.hospital.opt_outs import (
    OptOutChange,
    opt_outs_as_of,
    read_patient_ids,
    record_opt_outs,
    take_back_opt_outs,
)

SEED = b"\x13" * 32
TODAY = dt.date(2026, 11, 22)


@pytest.fixture
def ids_file(tmp_path):
    def write(content: str | bytes):
        path = tmp_path / "ids.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def is_listed(home, patient: str, day: dt.date = TODAY) -> bool:
    return opt_outs_as_of(home, SEED, day).listed(pa.array([patient])).tolist() == [True]


def test_patients_of_a_file_are_opted_out_from_today(home, ids_file):
    change = record_opt_outs(home, SEED, ids_file("p1\n\n  P2 \r\np3"), today=TODAY)

    assert change == OptOutChange(given=3, changed=3, listed=3)
    assert is_listed(home, "p2")
    assert not is_listed(home, "p2", TODAY - dt.timedelta(days=1))
    assert not is_listed(home, "p4")


def test_the_same_file_again_changes_nothing(home, ids_file):
    record_opt_outs(home, SEED, ids_file("p1\np2\n"), today=TODAY)
    stored = (home / "opt-outs.txt").read_bytes()

    change = record_opt_outs(home, SEED, ids_file("p1\np2\n"), today=TODAY + dt.timedelta(days=5))

    assert change == OptOutChange(given=2, changed=0, listed=2)
    assert (home / "opt-outs.txt").read_bytes() == stored


def test_an_opt_out_that_was_told_earlier_counts_from_then(home, ids_file):
    record_opt_outs(home, SEED, ids_file("p1"), today=TODAY, day=dt.date(2026, 11, 2))

    assert [is_listed(home, "p1", dt.date(2026, 11, day)) for day in (1, 2)] == [False, True]


def test_an_opt_out_can_be_taken_back(home, ids_file):
    record_opt_outs(home, SEED, ids_file("p1\np2"), today=TODAY)

    change = take_back_opt_outs(home, SEED, ids_file("p1"), today=TODAY + dt.timedelta(days=1))

    assert change == OptOutChange(given=1, changed=1, listed=1)
    assert is_listed(home, "p1", TODAY)
    assert not is_listed(home, "p1", TODAY + dt.timedelta(days=1))


@pytest.mark.parametrize("use", [record_opt_outs, take_back_opt_outs])
def test_a_day_that_lies_ahead_is_refused(home, ids_file, use):
    with pytest.raises(InputError, match="lies ahead"):
        use(home, SEED, ids_file("p1"), today=TODAY, day=TODAY + dt.timedelta(days=1))
    assert not home.exists()


def test_another_hospitals_seed_finds_nobody_and_opens_nothing(home, ids_file):
    record_opt_outs(home, SEED, ids_file("p1"), today=TODAY)

    with pytest.raises(Exception, match="opt-out list"):
        opt_outs_as_of(home, b"\x14" * 32, TODAY)


@pytest.mark.parametrize(
    "content",
    [
        "id,told\nP1,2026-11-01\nP2,2026-11-02\n",
        "told;id\n2026-11-01;P1\n2026-11-02;P2\n",
        "told\tid\n2026-11-01\tP1\n\n2026-11-02\tP2\n",
        "\ufeffid|told\r\n P1 |x\r\nP2|y\r\n",
        'id,remark\nP1,"moved, again"\nP2,\n',
        "id\nP1\nP2\n",
    ],
)
def test_ids_are_read_from_a_column_of_a_table(ids_file, content):
    assert read_patient_ids(ids_file(content), "id") == ("P1", "P2")


@pytest.mark.parametrize(
    ("content", "column", "words"),
    [
        ("", None, "no patient id"),
        ("\n \n", None, "no patient id"),
        ("id,told\nSECRET,1\n", None, "line 1: this is a table"),
        ("SECRET\nSECRET;1\n", None, "line 2: this is a table"),
        ("SECRET" * 50, None, "row 1: the patient id is empty or longer"),
        ("id,told\nSECRET,1\n", "patient", "no column 'patient'"),
        ("id,id\nSECRET,1\n", "id", "no column 'id', or has it twice"),
        ("id,told\nSECRET\n", "id", "row 2: it has 1 fields, expected 2"),
        ("id,told\n,SECRET\n", "id", "row 2: the patient id is empty"),
        ('id,told\nx,"SECRET\n', "id", "can't be read"),
        ("id,told\n", "id", "no patient id"),
        (b"\xff\xfeSECRET", None, "can't be read"),
    ],
)
def test_what_is_no_list_of_ids_is_refused_without_a_word_of_it(home, ids_file, content, column, words):
    with pytest.raises(InputError, match=words) as caught:
        record_opt_outs(home, SEED, ids_file(content), today=TODAY, column=column)
    assert "SECRET" not in f"{caught.value.message} {caught.value.hint}"
    assert not home.exists()


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="can't be read"):
        read_patient_ids(tmp_path / "nothing.txt")
