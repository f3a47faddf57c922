"""Merging of units: nothing under 10 is shown, alone or by subtraction, and no more is merged than must be."""

from __future__ import annotations

import numpy as np
import pytest

from heartify.disclosure.merging import Merging, add_cells, can_show_all, gather_hidden, merge_units


def test_units_of_large_cells_all_stand_alone():
    assert merge_units([(20, 30), (10, 10), (50, 11)], (0, 1, 2), {0, 1, 2}) == Merging((0, 1, 2), ())


def test_a_single_small_unit_is_hidden_behind_the_smallest_other():
    assert merge_units([(200, 300), (20, 30), (50, 4)], (0, 1, 2), {0, 1, 2}) == Merging((0,), (1, 2))


def test_small_units_that_hide_one_another_need_no_third():
    assert merge_units([(200, 300), (20, 6), (50, 4)], (0, 1, 2), {0, 1, 2}) == Merging((0,), (1, 2))


def test_small_units_that_add_up_to_too_little_take_another_in():
    assert merge_units([(200, 300), (90, 90), (20, 2), (50, 4)], (0, 1, 2, 3), {0, 1, 2, 3}) == Merging((0,), (1, 2, 3))


def test_a_unit_that_may_not_stand_alone_is_merged_however_large():
    assert merge_units([(200, 300), (90, 90), (80, 80)], (0, 1, 2), {0, 2}) == Merging((0,), (1, 2))


def test_two_units_of_which_one_is_small_are_shown_only_together():
    merging = merge_units([(20, 30), (50, 4)], (0, 1), {0, 1})

    assert merging == Merging((), (0, 1))
    assert merging.parts == ((0, 1),)


@pytest.mark.parametrize("cells", [[(20, 3), (50, 4)], [(20, 0), (50, 0)], [(9,)]])
def test_nothing_is_shown_where_even_all_together_are_few(cells):
    assert merge_units(cells, tuple(range(len(cells))), set(range(len(cells)))) is None


def test_one_unit_alone_is_shown_only_if_it_may_stand_alone():
    assert merge_units([(20, 30)], (0,), {0}) == Merging((0,), ())
    assert merge_units([(20, 30)], (0,), set()) is None


def test_of_any_cells_every_part_is_large_and_no_part_hides_a_single_small_unit():
    random = np.random.default_rng(8)

    for _ in range(500):
        cells = random.poisson(random.uniform(3, 30, (random.integers(1, 7), 3))).tolist()
        merging = merge_units(cells, tuple(range(len(cells))), set(range(len(cells))))

        if merging is not None:
            assert merging.units == tuple(range(len(cells)))
            assert all(can_show_all(add_cells(cells, part)) for part in merging.parts)
            assert len(merging.merged) != 1


@pytest.mark.parametrize(
    ("counts", "gathered"), [((3, 8, 40), 11), ((3, 6, 40), None), ((9, 40), None), ((20, 40), None), ((), None)]
)
def test_hidden_counts_are_gathered_only_where_they_hide_one_another(counts, gathered):
    assert gather_hidden(counts) == gathered
