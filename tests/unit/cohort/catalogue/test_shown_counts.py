"""Counts of a column: small ones hidden, and none that follows from the others by subtraction."""

from __future__ import annotations

import itertools

import numpy as np

from heartify.cohort.catalogue.shown_counts import ShownCells, are_protected, show_cells


def test_counts_of_ten_or_more_are_shown_to_the_nearest_five() -> None:
    shown = show_cells(260, (101, 123), 36)

    assert shown == ShownCells((100, 125), 35)


def test_a_count_under_ten_is_hidden() -> None:
    shown = show_cells(309, (100, 100, 100), 9)

    assert shown.missing is None


def test_an_empty_cell_is_hidden_as_a_small_one_is() -> None:
    shown = show_cells(300, (100, 100, 100, 0), 0)

    assert shown.levels[3] is None


def test_a_single_hidden_level_takes_another_with_it_where_it_follows_by_subtraction() -> None:
    # 120 - 98 - 12 - 10 = 0 to 4 with the exact numbers, and 120 - 100 - 10 - 10 with the rounded ones.
    alone = ShownCells((100, None), 20)

    assert not are_protected(110, alone)
    assert show_cells(110, (88, 2), 20).levels == (None, None)


def test_a_level_is_never_shown_alone() -> None:
    shown = show_cells(503, (495, 3, 5), 0)

    assert shown.levels == (None, None, None)


def test_an_outcome_hides_all_its_levels_with_the_first() -> None:
    shown = show_cells(700, (300, 391, 9), 0, all_or_none=True)

    assert shown.levels == (None, None, None)


def test_an_outcome_with_enough_of_each_is_shown() -> None:
    shown = show_cells(700, (300, 400), 0, all_or_none=True)

    assert shown.levels == (300, 400)


def test_missing_values_are_hidden_when_fewer_than_ten_are_known() -> None:
    assert show_cells(1000, (), 991).missing is None
    assert show_cells(1000, (), 990).missing == 990


def test_what_is_shown_leaves_each_hidden_level_five_numbers_of_patients() -> None:
    """Over all small tables: search every table of exact counts that would round to what is shown."""
    for a, b, c in itertools.product(range(0, 34, 4), range(1, 34, 3), range(0, 25, 3)):
        rows = a + b + c
        if rows < 10:
            continue
        shown = show_cells(rows, (a, b), c)
        _check_two_levels(rows, shown)


def _check_two_levels(rows: int, shown: ShownCells) -> None:
    n = (rows + 2) // 5 * 5
    numbers = np.arange(n + 3)
    possible = np.abs(numbers[:, None, None] + numbers[None, :, None] + numbers[None, None, :] - n) <= 2
    for axis, count in enumerate((*shown.levels, shown.missing)):
        if count is not None:
            allowed = np.abs(numbers - count) <= 2
            possible &= np.expand_dims(allowed, tuple({0, 1, 2} - {axis}))
    for axis, count in enumerate(shown.levels):
        if count is None:
            assert np.count_nonzero(possible.any(axis=tuple({0, 1, 2} - {axis}))[:10]) >= 5
    if shown.missing is None:
        assert possible.any(axis=(0, 1))[0]
