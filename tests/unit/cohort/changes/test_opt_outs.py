"""The opt-out list: pseudonyms with days, the list of any day, and nothing that happens twice."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from heartify.cohort.changes.opt_outs import OptOutList
from heartify.errors import InputError

KEY = b"k" * 32


def day(number: int) -> dt.date:
    return dt.date(2026, 11, number)


def listed(opt_outs: OptOutList, number: int, *ids: str | None) -> list[bool]:
    return opt_outs.as_of(day(number)).listed(pa.array(ids, pa.string())).tolist()


def test_an_opt_out_holds_from_its_day_on():
    opt_outs = OptOutList(KEY)

    assert opt_outs.add(["p1", "p2"], day(3)) == 2
    assert listed(opt_outs, 2, "p1", "p2", "p3") == [False, False, False]
    assert listed(opt_outs, 3, "p1", "p2", "p3") == [True, True, False]


def test_any_spelling_of_the_id_is_found():
    opt_outs = OptOutList(KEY)
    opt_outs.add(["00123"], day(1))

    assert listed(opt_outs, 1, "123", " 123.0 ", "1230", None, "") == [True, True, False, False, False]


def test_adding_again_changes_nothing():
    opt_outs = OptOutList(KEY)
    opt_outs.add(["p1"], day(3))
    before = dict(opt_outs.periods)

    assert opt_outs.add(["P1 ", "p1"], day(9)) == 0
    assert opt_outs.periods == before


def test_an_earlier_day_moves_the_beginning_back():
    opt_outs = OptOutList(KEY)
    opt_outs.add(["p1"], day(9))

    assert opt_outs.add(["p1"], day(3)) == 1
    assert listed(opt_outs, 3, "p1") == [True]
    assert [len(periods) for periods in opt_outs.periods.values()] == [1]


def test_an_opt_out_that_is_taken_back_stays_in_the_list_of_its_days():
    opt_outs = OptOutList(KEY)
    opt_outs.add(["p1"], day(3))

    assert opt_outs.remove(["p1"], day(6)) == 1
    assert [listed(opt_outs, number, "p1") for number in (2, 3, 5, 6)] == [[False], [True], [True], [False]]
    assert opt_outs.remove(["p1", "stranger"], day(7)) == 0


def test_who_opts_out_again_has_two_periods():
    opt_outs = OptOutList(KEY)
    opt_outs.add(["p1"], day(3))
    opt_outs.remove(["p1"], day(6))

    assert opt_outs.add(["p1"], day(9)) == 1
    assert [listed(opt_outs, number, "p1") for number in (5, 6, 8, 9)] == [[True], [False], [False], [True]]


@pytest.mark.parametrize("again", [2, 4, 6])
def test_periods_that_overlap_are_joined(again):
    opt_outs = OptOutList(KEY)
    opt_outs.add(["p1"], day(3))
    opt_outs.remove(["p1"], day(6))
    opt_outs.add(["p1"], day(again))

    assert [len(periods) for periods in opt_outs.periods.values()] == [1]
    assert all(listed(opt_outs, number, "p1") == [True] for number in range(min(again, 3), 20))


def test_taking_back_before_the_beginning_is_refused_and_changes_nobody():
    opt_outs = OptOutList(KEY)
    opt_outs.add(["p1"], day(3))
    opt_outs.add(["p2"], day(9))

    with pytest.raises(InputError, match="before the day"):
        opt_outs.remove(["p1", "p2"], day(5))
    assert listed(opt_outs, 20, "p1", "p2") == [True, True]


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_id_is_refused(empty):
    with pytest.raises(InputError, match="empty"):
        OptOutList(KEY).add(["p1", empty], day(1))


def test_lists_are_told_apart_by_their_digest():
    one, other = OptOutList(KEY), OptOutList(KEY)
    one.add(["p1", "p2"], day(1))
    other.add(["p2"], day(1))
    other.add(["p1"], day(2))

    assert one.as_of(day(2)).digest() == other.as_of(day(2)).digest()
    assert one.as_of(day(1)).digest() != other.as_of(day(1)).digest()


def test_another_key_does_not_find_the_patient():
    opt_outs = OptOutList(KEY)
    opt_outs.add(["p1"], day(1))

    other = OptOutList(b"l" * 32, opt_outs.periods)

    assert listed(other, 1, "p1") == [False]
