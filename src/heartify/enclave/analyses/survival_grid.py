"""Which round times, and which groups, the curves of a study are shown at and for.

The danger is a step: a curve at two times with the numbers at risk tells how many events lie between them, and a pooled
curve less those of the shown hospitals tells the same of the hidden ones. So all shown hospitals share one grid; from
one of its times to the next (and before the first) each has ten events of every shown cause, and so have the hidden
hospitals together where they are in the pooled curve; at every time ten are at risk and event-free in each. The pooled
curve has these times too, and others by the same rule for itself, where there is nothing to subtract. Deterministic.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from heartify.disclosure.cohort_rules import MIN_CELL
from heartify.disclosure.rounding import round_significant
from heartify.enclave.analyses.survival_groups import Causes, Floats, Group, joined

MAX_TIMES = 12
MAX_GROUPS = 24
ALL, SHOWN = "all hospitals", "hospitals shown"
_STEPS = (Fraction(1), Fraction(2), Fraction(5, 2), Fraction(5))
_DIGITS = 3  # those of a MAGNITUDE


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Grid:
    """The shown hospitals at `times` (t,), and the pooled group at `pooled_times` (u,), among which the former are.

    All curves begin at `origin`. The pooled group is made of `parts`: disjoint, and each could be shown by itself at
    `times`. `hidden` are the names of hospitals without a curve.
    """

    shown: tuple[Group, ...]
    pooled: Group
    parts: tuple[Group, ...]
    hidden: tuple[str, ...]
    origin: float
    times: Floats
    pooled_times: Floats


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class _Question:
    hospitals: Sequence[Group]
    pooled: Sequence[Group]
    causes: Causes
    candidates: Floats
    horizon: float | None


def choose_grid(hospitals: Sequence[Group], causes: Causes, horizon: float | None) -> Grid | None:
    """Return the grid that shows the most points of hospitals; None if not even the pooled curve can be shown.

    Hospitals that pass alone are tried from all of them down to none, the one with the fewest events leaving first.
    """
    able = [group for group in hospitals if group.can_be_shown(causes)]
    pooled = _poolable(hospitals, able, causes)
    question = _Question(hospitals, pooled, causes, candidate_times(joined(pooled, ALL), horizon), horizon)
    able.sort(key=lambda group: -_fewest(group, causes))  # stable: ties stay in the deal's order
    best: Grid | None = None
    for number in range(min(len(able), MAX_GROUPS - 1), -1, -1):
        grid = _grid(question, {group.name for group in able[:number]})
        if grid is not None and (best is None or _points(grid) > _points(best)):
            best = grid
    return best


def _poolable(hospitals: Sequence[Group], able: Sequence[Group], causes: Causes) -> Sequence[Group]:
    """Return the hospitals of the pooled curve: all, or those that pass alone where the others don't pass together.

    The pooled curve tells of the pooled events, and the result shows those of each hospital that has enough: what is
    left must be enough too (rule 9).
    """
    others = [group for group in hospitals if group not in able]
    enough = not others or not able or joined(others, ALL).can_be_shown(causes)
    return hospitals if enough else [group for group in hospitals if group in able]


def candidate_times(everyone: Group, horizon: float | None) -> Floats:
    """Return up to a dozen round times after 0 (t,), as fine as three digits can say, and the horizon if it is one."""
    last = everyone.last_time()
    first = everyone.thin_until(last) if everyone.has_entry else 0.0
    end = last if horizon is None else min(last, horizon)
    if not end > max(first, 0.0):
        return np.zeros(0)
    step = _round_step(Fraction(end) - Fraction(first), Fraction(end))
    from_, to = math.ceil(Fraction(first) / step), math.floor(Fraction(end) / step)
    times = [float(step * k) for k in range(max(from_, 0), to + 1)]
    if horizon is not None and horizon <= last and round_significant(horizon, _DIGITS) == horizon:
        times.append(horizon)
    return np.unique(times)


def _round_step(span: Fraction, end: Fraction) -> Fraction:
    """Return the smallest of 1, 2, 2.5 and 5 times a power of ten that cuts the span into at most a dozen pieces.

    Also at least a hundredth of the power of ten of `end`, so that all multiples have three digits.
    """
    finest = max(span / MAX_TIMES, Fraction(10) ** (math.floor(math.log10(float(end))) - 2))
    power = math.floor(math.log10(float(finest))) - 1
    steps = (step * Fraction(10) ** exponent for exponent in range(power, power + 4) for step in _STEPS)
    return next(step for step in steps if step >= finest and _has_three_digits(step, end))


def _has_three_digits(step: Fraction, end: Fraction) -> bool:
    multiples = (float(step * k) for k in range(1, math.floor(end / step) + 1))
    return all(round_significant(time, _DIGITS) == time for time in multiples)


def _fewest(group: Group, causes: Causes) -> int:
    return min(int(np.isin(group.rows.event, list(cause)).sum()) for cause in causes)


def _points(grid: Grid) -> int:
    return grid.times.size * len(grid.shown)


def _grid(question: _Question, chosen: set[str]) -> Grid | None:
    pooled, causes = question.pooled, question.causes
    everyone = joined(pooled, ALL if len(pooled) == len(question.hospitals) else SHOWN)
    # A single hospital is the pooled curve itself.
    shown = tuple(group for group in pooled if group.name in chosen and len(pooled) > 1)
    others = [group for group in pooled if group.name not in chosen]
    rest = (joined(others, ALL),) if others else ()
    parts: tuple[Group, ...] = (*shown, *rest) if shown else (everyone,)
    origin = _origin(parts, question.candidates)
    if origin is None or not all(part.can_be_shown(causes) for part in parts):
        return None
    later = question.candidates[question.candidates > origin]
    near = _short_of(question.horizon, everyone, causes, later)
    times = common_times(parts, causes, near, origin) if shown else np.zeros(0)
    pooled_times = refined_times(everyone, causes, later, origin, times)
    if not pooled_times.size or (shown and not times.size):
        return None
    names = {group.name for group in (shown if len(question.hospitals) > 1 else pooled)}
    hidden = tuple(group.name for group in question.hospitals if group.name not in names)
    return Grid(shown, everyone, parts, hidden, origin, times, pooled_times)


def _short_of(horizon: float | None, pooled: Group, causes: Causes, candidates: Floats) -> Floats:
    """Return the candidates that leave the pooled curve ten events on the way to the horizon, if it can get there."""
    if horizon is None or horizon not in candidates or pooled.event_free(np.array([horizon]))[0] < MIN_CELL:
        return candidates
    return np.array([time for time in candidates.tolist() if time == horizon or _step(pooled, causes, time, horizon)])


def _origin(parts: Sequence[Group], candidates: Floats) -> float | None:
    """Return the time from which curves begin: 0, or under delayed entry the first with ten at risk from then on."""
    if not any(group.has_entry for group in parts):
        return 0.0
    thin = max(group.thin_until(group.last_time()) for group in parts)
    starts = [start for start in (0.0, *candidates.tolist()) if start >= thin]
    return next((start for start in starts if all(part.followed_beyond(start) >= MIN_CELL for part in parts)), None)


def common_times(parts: Sequence[Group], causes: Causes, candidates: Floats, origin: float) -> Floats:
    """Return those of the increasing candidates (t,), all after the origin, that all parts can be shown at.

    From the left, a time is taken as soon as all parts have ten events of each cause since the last one; then the last
    one is moved as far right as ten stay at risk.
    """
    last = min(part.last_time() for part in parts)
    free = np.min([part.event_free(candidates) for part in parts], axis=0)
    able = candidates[(free >= MIN_CELL) & (candidates <= last)].tolist()
    taken: list[float] = []
    for time in able:
        before = taken[-1] if taken else origin
        if all(_step(part, causes, before, time) for part in parts):
            taken.append(time)
    taken = taken[:MAX_TIMES]
    return np.array([*taken[:-1], able[-1]]) if taken else np.zeros(0)


def refined_times(pooled: Group, causes: Causes, candidates: Floats, origin: float, fixed: Floats) -> Floats:
    """Return the fixed times (t,) and those of the candidates between and after them that the pooled group can have."""
    found: list[float] = []
    start = origin
    for end in fixed.tolist():
        inside = candidates[(candidates > start) & (candidates <= end)]
        found += common_times([pooled], causes, inside, start).tolist()
        start = end
    found += common_times([pooled], causes, candidates[candidates > start], start).tolist()
    return np.array(found)


def _step(part: Group, causes: Causes, start: float, end: float) -> bool:
    """Return whether a part has ten events of each cause after `start` and until `end`."""
    edges = np.array([start, end])
    return all(int(np.diff(part.events_until(cause, edges))[0]) >= MIN_CELL for cause in causes)
