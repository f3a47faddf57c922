"""The frame of a plot with two axes: grid, labels, legend. What is drawn inside it is the plot's own business."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from heartify.lab.report.plots.drawing import Shape, line, polyline, text
from heartify.lab.report.plots.scale import Scale, Tick, linear_ticks, spanning_scale

LEFT, RIGHT, TOP, BOTTOM = 58.0, 16.0, 30.0, 46.0
LEGEND_LINE = 17.0
SERIES = ("s0", "s1", "s2", "s3")
"""Styles of lines: they differ in colour and in dash, so that a grey print tells them apart."""


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """The plotting area of a drawing of `width` and `height`."""

    width: float
    height: float
    x: Scale
    y: Scale

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pair of values lies."""
        return self.x.at(x), self.y.at(y)

    def axes(
        self, x_label: str, y_label: str, x_ticks: Sequence[Tick] = (), y_ticks: Sequence[Tick] = ()
    ) -> list[Shape]:
        """Return grid lines, ticks and the axes' names; ticks of their own where none are given."""
        bottom, left = self.y.start, self.x.start
        shapes: list[Shape] = []
        for tick in y_ticks or linear_ticks(self.y):
            y = self.y.at(tick.value)
            shapes += [line("grid", (left, y), (self.x.end, y)), text("tick end", (left - 7, y + 4), tick.label)]
        for tick in x_ticks or linear_ticks(self.x):
            x = self.x.at(tick.value)
            shapes += [line("axis", (x, bottom), (x, bottom + 5)), text("tick middle", (x, bottom + 19), tick.label)]
        middle = (left + self.x.end) / 2
        return [
            *shapes,
            line("axis", (left, bottom), (self.x.end, bottom)),
            text("head middle", (middle, bottom + 37), x_label),
            text("head", (4.0, self.y.end - 11), y_label),
        ]


def frame(
    x_values: Sequence[float],
    y_values: Sequence[float],
    *,
    width: float = 440.0,
    height: float = 340.0,
    legend: int = 0,
) -> Frame:
    """Return a frame over the values, with room for so many lines of legend above it."""
    top = TOP + legend * LEGEND_LINE
    return Frame(
        width,
        height + legend * LEGEND_LINE,
        spanning_scale(x_values, LEFT, width - RIGHT, margin=0.02),
        spanning_scale(y_values, height + legend * LEGEND_LINE - BOTTOM, top, margin=0.02),
    )


def legend(entries: Sequence[tuple[str, str]]) -> list[Shape]:
    """Return a legend of (style, words) from the top of the drawing, a line each."""
    shapes: list[Shape] = []
    for index, (style, words) in enumerate(entries):
        y = 10.0 + index * LEGEND_LINE
        shapes += [polyline(style, ((4.0, y), (34.0, y))), text("legend", (41.0, y + 4), words)]
    return shapes
