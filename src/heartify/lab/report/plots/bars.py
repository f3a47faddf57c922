"""Horizontal bars of shares from 0 to 1: missing values by factor and hospital, and selection frequencies."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from heartify.lab.report.plots.drawing import Drawing, Shape, box, line, text
from heartify.lab.report.plots.scale import Scale, linear_ticks
from heartify.lab.report.plots.table_rows import EVERYBODY, Row, label, number, rows_of
from heartify.protocol.result import StudyResult

MAX_BARS = 60
WIDTH = 720.0
_AXIS_LEFT, _AXIS_RIGHT = 270.0, 640.0
_HEAD, _ROW, _FOOT = 8.0, 21.0, 42.0
_LABEL_CHARACTERS = 40

Bar = tuple[str, float]


def draw_missingness(result: StudyResult, titles: Mapping[str, str]) -> tuple[Drawing, ...]:
    """Return the shares of missing values that are known, the largest first; of all hospitals where they are shown."""
    known = [
        (row, share)
        for row in rows_of(result.table("missingness"))
        if (share := _missing_share(row)) is not None and share > 0
    ]
    pooled = [item for item in known if label(item[0], "hospital") == EVERYBODY]
    bars = [
        (f"{titles.get(label(row, 'factor'), label(row, 'factor'))}, {label(row, 'hospital')}", share)
        for row, share in pooled or known
    ]
    bars.sort(key=lambda bar: -bar[1])
    return _bars("Missing values", "share missing", bars[:MAX_BARS], None)


def draw_stability(result: StudyResult, titles: Mapping[str, str], threshold: float | None) -> tuple[Drawing, ...]:
    """Return how often each factor was selected, the most often first, with the plan's threshold."""
    bars = [
        (titles.get(label(row, "factor"), label(row, "factor")), frequency)
        for row in rows_of(result.table("stability"))
        if (frequency := number(row, "frequency")) is not None
    ]
    bars.sort(key=lambda bar: -bar[1])
    return _bars("Selection frequencies", "share of random halves that select it", bars[:MAX_BARS], threshold)


def _missing_share(row: Row) -> float | None:
    """Return the released share, or the ratio of the released counts."""
    for name in ("share", "missing_share", "share_missing"):
        if (share := number(row, name)) is not None:
            return min(share, 1.0)
    missing, read = number(row, "missing"), number(row, "rows")
    return min(missing / read, 1.0) if missing is not None and read else None


def _bars(title: str, axis_name: str, bars: Sequence[Bar], threshold: float | None) -> tuple[Drawing, ...]:
    if not bars:
        return ()
    largest = max(value for _, value in bars)
    scale = Scale(
        0.0, 1.0 if largest > 0.5 or threshold is not None else max(1.1 * largest, 0.05), _AXIS_LEFT, _AXIS_RIGHT
    )
    bottom = _HEAD + _ROW * len(bars)
    shapes: list[Shape] = []
    for tick in linear_ticks(scale):
        x = scale.at(tick.value)
        shapes += [line("grid", (x, _HEAD), (x, bottom)), text("tick middle", (x, bottom + 17), tick.label)]
    for index, (words, value) in enumerate(bars):
        y = _HEAD + (index + 0.5) * _ROW
        shapes += [
            text("label", (0, y + 4.5), textwrap.shorten(words, _LABEL_CHARACTERS, placeholder="…")),
            box("bar", (_AXIS_LEFT, y - 6.5), (scale.at(value), y + 6.5)),
            text("label", (scale.at(value) + 6, y + 4.5), f"{value:.2f}"),
        ]
    if threshold is not None:
        shapes.append(line("reference", (scale.at(threshold), _HEAD - 4), (scale.at(threshold), bottom)))
    shapes += [
        line("axis", (_AXIS_LEFT, bottom), (_AXIS_RIGHT, bottom)),
        text("head middle", ((_AXIS_LEFT + _AXIS_RIGHT) / 2, bottom + 35), axis_name),
    ]
    description = f"{axis_name}. " + " ".join(f"{words}: {value:.2f}." for words, value in bars)
    return (Drawing(title, description, WIDTH, bottom + _FOOT, tuple(shapes)),)
