"""Geometry of the forest plot: ratios per SD with 95 % intervals on a log scale, to be drawn as inline SVG.

Pure arithmetic on the rows of the weights table. The scale follows the bulk of the factors: what lies beyond it ends in
an arrow at the edge, so that one extreme odds ratio can't squeeze the others into a point; its value is printed anyway.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Literal

from heartify.lab.report.number_text import Interval
from heartify.lab.report.weights_table import WeightRow

End = Literal["bar", "arrow", "none"]
"""How an interval ends: at a bound, beyond the scale on that side, or (all of it beyond the other side) not at all."""

WIDTH = 800.0
LABEL_WIDTH = 250.0
_AXIS_LEFT, _AXIS_RIGHT = 268.0, 620.0
_LABEL_CHARACTERS, _VALUE_CHARACTERS = 34, 24
_HEAD, _ROW, _FOOT = 44.0, 36.0, 46.0
_SMALLEST_REACH = 0.25  # log odds: the scale always shows 0.78 to 1.28, so that a null finding looks like one
_LARGEST_REACH = math.log(1000)
_TICK_GAP = 34.0
_TICKS: tuple[tuple[float, ...], ...] = (
    (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2),
    (0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 1.75, 2, 2.5, 3),
    (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10),
    (0.125, 0.25, 0.5, 1, 2, 4, 8),
    (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
    (0.001, 0.01, 0.1, 1, 10, 100, 1000),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Tick:
    """A labelled odds ratio on the axis."""

    x: float
    label: str


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """One line of a factor's title; `is_wide` when it would run into the axis and must be squeezed."""

    text: str
    is_wide: bool


@dataclasses.dataclass(frozen=True, slots=True)
class ForestRow:
    """One factor's line; `x_point` and `x_true` are None beyond the scale, where a triangle marks the side."""

    y: float
    title: str
    labels: tuple[Label, ...]
    x_low: float
    x_high: float
    low_end: End
    high_end: End
    x_point: float | None
    x_true: float | None
    x_true_edge: float | None
    value: str
    value_lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ForestPlot:
    """The whole plot in user units of its viewBox."""

    width: float
    height: float
    label_width: float
    axis_left: float
    axis_right: float
    axis_y: float
    x_reference: float
    rows: tuple[ForestRow, ...]
    ticks: tuple[Tick, ...]
    has_truth: bool
    has_arrows: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def x(self, log_odds: float) -> float:
        share = (log_odds - self.low) / (self.high - self.low)
        return round(_AXIS_LEFT + share * (_AXIS_RIGHT - _AXIS_LEFT), 1)

    def clipped(self, log_odds: float) -> float:
        return self.x(min(max(log_odds, self.low), self.high))

    def end(self, bound: float, *, beyond: bool) -> End:
        return "arrow" if beyond else "bar" if self.shows(bound) else "none"

    def shows(self, log_odds: float) -> bool:
        return self.low <= log_odds <= self.high


def build_forest_plot(rows: Sequence[WeightRow]) -> ForestPlot:
    """Lay out a plot of one line for each row, in their order."""
    scale = _scale(rows)
    drawn = tuple(_forest_row(row, scale, _HEAD + (index + 0.5) * _ROW) for index, row in enumerate(rows))
    axis_y = _HEAD + len(rows) * _ROW
    return ForestPlot(
        width=WIDTH,
        height=axis_y + _FOOT,
        label_width=LABEL_WIDTH,
        axis_left=_AXIS_LEFT,
        axis_right=_AXIS_RIGHT,
        axis_y=axis_y,
        x_reference=scale.x(0.0),
        rows=drawn,
        ticks=_ticks(scale),
        has_truth=any(row.true_per_sd is not None for row in rows),
        has_arrows=any("arrow" in {row.low_end, row.high_end} or row.x_true_edge is not None for row in drawn),
    )


def _scale(rows: Sequence[WeightRow]) -> _Scale:
    truths = [row.true_per_sd for row in rows if row.true_per_sd is not None]
    bounds = [bound for row in rows for bound in (row.low_per_sd, row.high_per_sd)]
    usual = statistics.median(max(abs(row.low_per_sd), abs(row.high_per_sd)) for row in rows)
    reach = min(max(4 * usual, math.log(4)), _LARGEST_REACH)
    low = max(min(*bounds, *truths, -_SMALLEST_REACH), -reach)
    high = min(max(*bounds, *truths, _SMALLEST_REACH), reach)
    margin = 0.03 * (high - low)
    return _Scale(low - margin, high + margin)


def _forest_row(row: WeightRow, scale: _Scale, y: float) -> ForestRow:
    estimate, truth, interval = row.weight.beta_per_sd, row.true_per_sd, row.ratio_per_sd
    return ForestRow(
        y=y,
        title=row.title,
        labels=_labels(row.title),
        x_low=scale.clipped(row.low_per_sd),
        x_high=scale.clipped(row.high_per_sd),
        low_end=scale.end(row.low_per_sd, beyond=row.low_per_sd < scale.low),
        high_end=scale.end(row.high_per_sd, beyond=row.high_per_sd > scale.high),
        x_point=scale.x(estimate) if scale.shows(estimate) else None,
        x_true=None if truth is None or not scale.shows(truth) else scale.x(truth),
        x_true_edge=None if truth is None or scale.shows(truth) else scale.clipped(truth),
        value=interval.shown,
        value_lines=_value_lines(interval),
    )


def _labels(title: str) -> tuple[Label, ...]:
    lines = textwrap.wrap(title, width=_LABEL_CHARACTERS, max_lines=2, placeholder="…")
    return tuple(Label(line, is_wide=sum(map(_character_width, line)) > LABEL_WIDTH) for line in lines)


def _character_width(character: str) -> float:
    """Return about how wide a character is at 13 units: the viewer's font isn't known here."""
    if unicodedata.east_asian_width(character) in {"W", "F"}:
        return 13.0
    return 9.5 if character.isupper() else 7.2


def _value_lines(interval: Interval) -> tuple[str, ...]:
    one_line = len(interval.shown) <= _VALUE_CHARACTERS
    return (interval.shown,) if one_line else (interval.estimate.shown, interval.bounds)


def _ticks(scale: _Scale) -> tuple[Tick, ...]:
    """Return the finest of the tick lists that spans the axis and whose labels don't collide; every list has 1."""
    for values in _TICKS[:-1]:
        ticks = _ticks_of(values, scale)
        gaps = (after.x - before.x for before, after in itertools.pairwise(ticks))
        first, last = scale.x(math.log(values[0])), scale.x(math.log(values[-1]))
        spans = first <= _AXIS_LEFT + 2 * _TICK_GAP and last >= _AXIS_RIGHT - 2 * _TICK_GAP
        if spans and all(gap >= _TICK_GAP for gap in gaps):
            return ticks
    return _ticks_of(_TICKS[-1], scale)


def _ticks_of(values: tuple[float, ...], scale: _Scale) -> tuple[Tick, ...]:
    return tuple(Tick(scale.x(math.log(value)), f"{value:g}") for value in values if scale.shows(math.log(value)))
