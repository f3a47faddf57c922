"""The file of the opt-out list: whole, authentic, and without a patient's id."""

from __future__ import annotations

import datetime as dt

import pytest

from heartify.cohort.changes.opt_out_file import changing_opt_outs, encode_opt_outs, load_opt_outs, parse_opt_outs
from heartify.cohort.changes.opt_outs import OptOutList
from heartify.errors import InputError, IntegrityError, ServiceError

KEY = b"k" * 32
DAY = dt.date(2026, 11, 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "opt-outs.txt"


@pytest.fixture
def stored(path):
    with changing_opt_outs(path, KEY) as opt_outs:
        opt_outs.add(["PATIENT-1", "PATIENT-2"], DAY)
        opt_outs.remove(["PATIENT-2"], dt.date(2026, 11, 5))
    return path


def test_without_a_file_nobody_opted_out(path):
    assert load_opt_outs(path, KEY).periods == {}


def test_what_was_written_is_read(stored):
    opt_outs = load_opt_outs(stored, KEY)

    assert [len(opt_outs.as_of(day)) for day in (DAY, dt.date(2026, 11, 5))] == [2, 1]
    assert parse_opt_outs(encode_opt_outs(opt_outs, KEY), KEY).periods == opt_outs.periods
    assert encode_opt_outs(opt_outs, KEY) == stored.read_bytes()


def test_no_id_stands_in_the_file_and_only_the_owner_reads_it(stored):
    assert b"PATIENT" not in stored.read_bytes().upper()
    assert stored.stat().st_mode & 0o777 == 0o600


def test_a_change_that_fails_leaves_the_old_list(stored):
    before = stored.read_bytes()

    def change() -> None:
        with changing_opt_outs(stored, KEY) as opt_outs:
            opt_outs.add(["PATIENT-3"], DAY)
            opt_outs.add([""], DAY)

    with pytest.raises(InputError, match="empty"):
        change()
    assert stored.read_bytes() == before
    assert sorted(path.name for path in stored.parent.iterdir()) == [".opt-outs.txt.lock", "opt-outs.txt"]


def test_every_line_that_is_left_out_is_noticed(stored):
    lines = stored.read_bytes().splitlines(keepends=True)

    for number in range(len(lines)):
        stored.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        with pytest.raises(IntegrityError, match="opt-out list"):
            load_opt_outs(stored, KEY)


def test_every_byte_that_changes_is_noticed(stored):
    data = stored.read_bytes()

    for number in range(len(data)):
        with pytest.raises(IntegrityError, match="opt-out list"):
            parse_opt_outs(data[:number] + bytes([data[number] ^ 1]) + data[number + 1 :], KEY)


@pytest.mark.parametrize("data", [b"", b"\n", b"authentication \n", b"\xff\xfe", b"heartify.opt-outs/1\n"])
def test_what_is_no_list_is_refused(data):
    with pytest.raises(IntegrityError, match="opt-out list"):
        parse_opt_outs(data, KEY)


def test_a_list_of_another_hospital_is_refused(stored):
    with pytest.raises(IntegrityError, match="another hospital"):
        load_opt_outs(stored, b"l" * 32)


def test_an_empty_list_that_was_written_is_still_authentic(path):
    with changing_opt_outs(path, KEY):
        pass

    assert parse_opt_outs(path.read_bytes(), KEY).periods == OptOutList(KEY).periods


def test_a_list_that_cannot_be_read_stops_the_publication(path):
    path.mkdir(parents=True)

    with pytest.raises(ServiceError, match="can't be read"):
        load_opt_outs(path, KEY)
