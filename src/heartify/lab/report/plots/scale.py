"""Axes: from values to places, and the round values that an axis is labelled with."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable

from heartify.lab.report.number_text import MINUS

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_RATIOS = (
    (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0),
    (0.1, 0.2, 0.33, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0),
    (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0),
)
_NARROW = math.log(4)  # below this span of log ratios, ticks evenly spaced as ratios read best
_LARGEST_LOG_RATIO = math.log(1000)
_TIMES_USUAL = 5.0
_SMALLEST_REACH = 1e-6
_TICK_GAP = 30.0
_INVISIBLE = 1e-4  # log ratios that differ by less have the same label
_BEYOND = 3.0  # a list of ticks may stop short of the axis' end by so much


@dataclasses.dataclass(frozen=True, slots=True)
class Tick:
    """A labelled value."""

    value: float
    label: str


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis: `low` lies at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies; beyond the axis, at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def shows(self, value: float) -> bool:
        """Return whether a value lies on the axis."""
        return self.low <= value <= self.high


def spanning_scale(values: Iterable[float], start: float, end: float, *, margin: float = 0.05) -> Scale:
    """Return an axis over all values with a margin; values that are all equal get a unit about them."""
    values = tuple(values)
    low, high = min(values), max(values)
    pad = margin * (high - low) if high > low else 0.5 * max(abs(high), 1.0)
    return Scale(low - pad, high + pad, start, end)


def linear_ticks(scale: Scale, count: int = 5) -> tuple[Tick, ...]:
    """Return about `count` round values on an axis."""
    rough = (scale.high - scale.low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in _STEPS if size * power >= rough * (1 - 1e-9))
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return tuple(Tick(index * step, _label(index * step)) for index in range(first, last + 1))


def ratio_scale(log_ratios: Iterable[float], start: float, end: float) -> Scale:
    """Return an axis of log ratios with 1 on it that follows the bulk: one extreme can't squeeze the rest."""
    values = tuple(log_ratios)
    usual = statistics.median(abs(value) for value in values)
    reach = min(max(_TIMES_USUAL * usual, _SMALLEST_REACH), _LARGEST_LOG_RATIO)
    return spanning_scale((*(min(max(value, -reach), reach) for value in values), 0.0), start, end)


def ratio_ticks(scale: Scale) -> tuple[Tick, ...]:
    """Return the ticks of an axis of log ratios, labelled with the ratios: the finest whose labels don't collide."""
    low, high = math.exp(scale.low), math.exp(scale.high)
    lists: list[tuple[float, ...]] = list(_RATIOS)
    if _INVISIBLE < scale.high - scale.low < _NARROW:
        lists.insert(0, tuple(tick.value for tick in linear_ticks(Scale(low, high, 0.0, 1.0)) if tick.value > 0))
    for ratios in lists:
        ticks = tuple(Tick(math.log(ratio), f"{ratio:.6g}") for ratio in ratios if low <= ratio <= high)
        gaps = (abs(scale.at(after.value) - scale.at(before.value)) for before, after in itertools.pairwise(ticks))
        reaches = ratios[0] <= low * _BEYOND and ratios[-1] >= high / _BEYOND
        if (reaches or ratios is lists[0] is not _RATIOS[0]) and all(gap >= _TICK_GAP for gap in gaps):
            return ticks
    return (Tick(0.0, "1"),)


def _label(value: float) -> str:
    label = f"{value:.6g}"
    return "0" if abs(value) < 1e-12 else label.replace("-", MINUS)
