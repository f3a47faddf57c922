"""A forest: one line for each estimate with its interval, words on the left, the numbers on the right.

For ratios the axis is logarithmic with a reference at 1; for other measures it is linear. A pooled estimate is a
diamond, a prediction interval a thin dashed line under it. What lies beyond the scale ends in an arrow.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence

from heartify.lab.report.plots.drawing import Drawing, Shape, diamond, dot, line, polygon, text
from heartify.lab.report.plots.scale import Scale, Tick

WIDTH = 720.0
_AXIS_LEFT, _AXIS_RIGHT = 235.0, 525.0
_HEAD, _ROW, _FOOT = 32.0, 25.0, 44.0
_LABEL_CHARACTERS = 33


@dataclasses.dataclass(frozen=True, slots=True)
class ForestLine:
    """One estimate; an interval of None is not shown, an estimate of None shows its words only."""

    label: str
    value: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    pooled: bool = False
    prediction: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ForestAxis:
    """The common axis of a forest."""

    scale: Scale
    ticks: tuple[Tick, ...]
    name: str
    reference: float | None


def axis_ends() -> tuple[float, float]:
    """Return where a forest's axis starts and ends."""
    return _AXIS_LEFT, _AXIS_RIGHT


def build_forest(title: str, heads: tuple[str, str], lines: Sequence[ForestLine], axis: ForestAxis) -> Drawing:
    """Lay out a forest; `heads` name the columns of words and of numbers."""
    bottom = _HEAD + _ROW * len(lines)
    shapes: list[Shape] = [text("head", (0, 16), heads[0]), text("head end", (WIDTH, 16), heads[1])]
    for tick in axis.ticks:
        x = axis.scale.at(tick.value)
        shapes += [line("grid", (x, _HEAD - 6), (x, bottom)), text("tick middle", (x, bottom + 18), tick.label)]
    if axis.reference is not None:
        x = axis.scale.at(axis.reference)
        shapes.append(line("reference", (x, _HEAD - 8), (x, bottom)))
    for index, item in enumerate(lines):
        shapes += _line_shapes(item, axis.scale, _HEAD + (index + 0.5) * _ROW)
    shapes += [
        line("axis", (_AXIS_LEFT, bottom), (_AXIS_RIGHT, bottom)),
        text("head middle", ((_AXIS_LEFT + _AXIS_RIGHT) / 2, bottom + 36), axis.name),
    ]
    description = f"{axis.name}. " + " ".join(f"{item.label}: {item.value}." for item in lines)
    return Drawing(title, description, WIDTH, bottom + _FOOT, tuple(shapes))


def _line_shapes(item: ForestLine, scale: Scale, y: float) -> list[Shape]:
    style = "strong" if item.pooled else "label"
    shapes = [
        text(style, (0, y + 4.5), textwrap.shorten(item.label, _LABEL_CHARACTERS, placeholder="…")),
        text(f"{style} end", (WIDTH, y + 4.5), item.value),
    ]
    if item.prediction is not None:
        low, high = item.prediction
        shapes += _bar("prediction", low, high, scale, y)
    if item.estimate is None:
        return shapes
    if item.low is not None and item.high is not None and item.pooled:
        centre = (scale.at(item.estimate), y)
        return [*shapes, diamond("pooled", scale.at(item.low), scale.at(item.high), centre)]
    if item.low is not None and item.high is not None:
        shapes += _bar("ci", item.low, item.high, scale, y)
    return [*shapes, dot("mark", (scale.at(item.estimate), y), 4.0)] if scale.shows(item.estimate) else shapes


def _bar(style: str, low: float, high: float, scale: Scale, y: float) -> list[Shape]:
    """Return an interval with an arrow where it goes on beyond the scale."""
    shapes = [line(style, (scale.at(low), y), (scale.at(high), y))]
    if low < scale.low:
        shapes.append(polygon("mark", ((scale.start, y), (scale.start + 8, y - 4.5), (scale.start + 8, y + 4.5))))
    if high > scale.high:
        shapes.append(polygon("mark", ((scale.end, y), (scale.end - 8, y - 4.5), (scale.end - 8, y + 4.5))))
    return shapes
