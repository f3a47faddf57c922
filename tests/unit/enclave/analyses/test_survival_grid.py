"""The rule of the grid, counted by hand on many cohorts: nothing shown, and no difference of it, is of few events."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from heartify.disclosure.rounding import round_significant
from heartify.enclave.analyses.survival_grid import ALL, SHOWN, candidate_times, choose_grid
from heartify.enclave.analyses.survival_groups import Group, joined
from heartify.stats.competing import FollowUp

ONE = [frozenset({1})]
BOTH = [frozenset({1}), frozenset({2})]


def _group(name, rng, n, *, event=0.5, competing=0.0, scale=1000.0, delayed=False):
    time = np.ceil(rng.exponential(scale, n))
    codes = rng.choice(3, n, p=[1 - event - competing, event, competing])
    entry = np.floor(time * rng.uniform(0.0, 0.6, n)) if delayed else None
    return Group(name, FollowUp(time, codes, entry), 2)


def _cohort(seed, *, delayed):
    rng = np.random.Generator(np.random.PCG64(seed))
    sizes = rng.choice([15, 40, 120, 400, 1500], rng.integers(1, 6))
    return [
        _group(f"h{number}", rng, size, event=rng.uniform(0.05, 0.6), competing=0.2, delayed=delayed)
        for number, size in enumerate(sizes.tolist())
    ]


def _events(group, causes, start, end):
    inside = (group.rows.time > start) & (group.rows.time <= end)
    return min(int((inside & np.isin(group.rows.event, list(cause))).sum()) for cause in causes)


def _event_free(group, time):
    entered = True if group.rows.entry is None else group.rows.entry < time
    here = (group.rows.time == time) & (group.rows.event > 0)
    return int((entered & (group.rows.time >= time) & ~here).sum())


def _steps(origin, times):
    return itertools.pairwise([origin, *times.tolist()])


@pytest.mark.parametrize("causes", [ONE, BOTH], ids=["outcome", "both"])
@pytest.mark.parametrize("delayed", [False, True], ids=["from zero", "delayed"])
@pytest.mark.parametrize("seed", range(12))
def test_no_step_of_any_part_is_of_fewer_than_ten_events(seed, delayed, causes):
    hospitals = _cohort(seed, delayed=delayed)

    grid = choose_grid(hospitals, causes, None)

    if grid is None:
        assert not joined(hospitals, ALL).can_be_shown(causes) or delayed
        return
    for part in grid.parts if grid.times.size else ():
        assert all(_events(part, causes, *step) >= 10 for step in _steps(grid.origin, grid.times))
        assert all(_event_free(part, time) >= 10 for time in grid.times.tolist())
    assert all(_events(grid.pooled, causes, *step) >= 10 for step in _steps(grid.origin, grid.pooled_times))
    assert all(_event_free(grid.pooled, time) >= 10 for time in grid.pooled_times.tolist())


@pytest.mark.parametrize("seed", range(12))
def test_what_the_pooled_curve_holds_beyond_the_shown_hospitals_could_be_shown_itself(seed):
    hospitals = _cohort(seed, delayed=False)

    grid = choose_grid(hospitals, ONE, None)

    if grid is None or not grid.shown:
        return
    assert set(grid.times) <= set(grid.pooled_times)
    rest = [part for part in grid.parts if part.name not in {group.name for group in grid.shown}]
    assert sum(part.rows.n for part in grid.parts) == grid.pooled.rows.n
    assert len(rest) <= 1
    assert all(part.can_be_shown(ONE) for part in rest)
    assert (grid.pooled.name == ALL) == (grid.pooled.rows.n == sum(group.rows.n for group in hospitals))


@pytest.mark.parametrize("seed", range(6))
def test_delayed_entry_leaves_no_risk_set_of_fewer_than_ten_at_an_event(seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    hospitals = [_group(name, rng, 500, competing=0.1, delayed=True) for name in "ab"]

    grid = choose_grid(hospitals, ONE, None)

    for group in (*grid.shown, grid.pooled):
        times = grid.pooled_times if group is grid.pooled else grid.times
        at = np.unique(group.rows.time[group.rows.event > 0])
        at = at[(at > grid.origin) & (at <= times[-1])]
        assert group.at_risk(at).min() >= 10


def test_patients_of_a_hospital_that_is_left_out_change_nothing():
    rng = np.random.Generator(np.random.PCG64(3))
    large = [_group(name, rng, 600) for name in "ab"]
    tiny = FollowUp(np.arange(1.0, 31.0), np.repeat([1, 0], [8, 22]))
    other = FollowUp(np.arange(1.0, 31.0) * 3, np.repeat([0, 1], [25, 5]))

    grids = [choose_grid([*large, Group("c", rows, 2)], ONE, None) for rows in (tiny, other)]

    assert [grid.pooled.name for grid in grids] == [SHOWN, SHOWN]
    assert [grid.hidden for grid in grids] == [("c",), ("c",)]
    assert np.array_equal(grids[0].pooled_times, grids[1].pooled_times)
    assert np.array_equal(grids[0].pooled.rows.time, grids[1].pooled.rows.time)


@pytest.mark.parametrize("horizon", [None, 500.0])
@pytest.mark.parametrize("seed", range(8))
def test_hospitals_whose_counts_are_hidden_are_pooled_only_if_they_are_enough_together(seed, horizon):
    hospitals = _cohort(seed, delayed=False)
    unable = [group for group in hospitals if not group.can_be_shown(ONE)]

    grid = choose_grid(hospitals, ONE, horizon)

    if grid is None or not unable or len(unable) == len(hospitals):
        return
    everyone = sum(group.rows.n for group in hospitals)
    assert (grid.pooled.rows.n == everyone) == joined(unable, "unable").can_be_shown(ONE)


def test_one_hospital_that_passes_is_pooled_without_one_that_does_not():
    rng = np.random.Generator(np.random.PCG64(3))
    tiny = Group("b", FollowUp(np.arange(1.0, 31.0), np.repeat([1, 0], [8, 22])), 2)

    grid = choose_grid([_group("a", rng, 600), tiny], ONE, None)

    assert (grid.shown, grid.pooled.name, grid.pooled.rows.n) == ((), SHOWN, 600)
    assert grid.hidden == ("a", "b")


def test_small_hospitals_that_are_enough_together_are_in_the_pooled_curve_alone():
    rng = np.random.Generator(np.random.PCG64(4))
    hospitals = [_group("a", rng, 600), *(_group(f"s{number}", rng, 18) for number in range(20))]

    grid = choose_grid(hospitals, ONE, None)

    assert [group.name for group in grid.shown] == ["a"]
    assert grid.pooled.name == ALL
    assert len(grid.hidden) == 20


def test_the_pooled_curve_reaches_the_horizon_where_ten_are_left():
    rng = np.random.Generator(np.random.PCG64(6))
    hospitals = [_group(name, rng, 300) for name in "abc"]

    assert choose_grid(hospitals, ONE, 1000.0).pooled_times[-1] == 1000.0
    assert choose_grid(hospitals, ONE, 1234.0).pooled_times[-1] != 1234.0  # four digits can't be said
    assert choose_grid(hospitals, ONE, 9000.0).pooled_times[-1] < 9000.0


def test_a_horizon_of_another_scale_has_round_times_too():
    rng = np.random.Generator(np.random.PCG64(7))
    group = _group("a", rng, 3000, scale=2000.0)

    assert candidate_times(group, 1.0).tolist() == pytest.approx(np.arange(11) / 10)
    assert candidate_times(group, 730.0).tolist() == [0, 100, 200, 300, 400, 500, 600, 700, 730]


@pytest.mark.parametrize("scale", [0.003, 0.7, 12.0, 365.25, 40_000.0])
def test_candidates_are_a_dozen_steps_of_three_digits(scale):
    rng = np.random.Generator(np.random.PCG64(8))
    time = rng.exponential(scale, 500)
    group = Group("a", FollowUp(time, rng.integers(0, 2, 500)), 2)

    times = candidate_times(group, None)

    assert 5 <= times.size <= 13
    assert all(round_significant(at, 3) == at for at in times.tolist())
    assert np.all(np.diff(times) > 0)


def test_there_is_no_grid_without_ten_left_at_any_time():
    rows = FollowUp(np.full(30, 5.0), np.repeat([1, 0], [25, 5]))

    assert choose_grid([Group("a", rows, 2)], ONE, None) is None


def test_at_most_two_dozen_curves_are_shown():
    rng = np.random.Generator(np.random.PCG64(9))

    grid = choose_grid([_group(f"h{number}", rng, 200) for number in range(30)], ONE, None)

    assert len(grid.shown) + 1 <= 24
    assert grid.pooled.rows.n == 6000
