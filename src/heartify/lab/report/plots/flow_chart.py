"""The flow of patients as a figure: those read, those left out and why, and the complete cases, over all hospitals."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from heartify.lab.report.flow_steps import COMPLETE, READ, step_words
from heartify.lab.report.number_text import count_figure
from heartify.lab.report.plots.drawing import Drawing, Shape, box, line, polygon, text
from heartify.lab.report.plots.table_rows import EVERYBODY, label, number, rows_of
from heartify.protocol.result import StudyResult

WIDTH = 720.0
_BOX_WIDTH, _BOX_HEIGHT, _MIDDLE = 220.0, 50.0, 110.0
_LIST_LEFT, _LINE, _PADDING = 270.0, 19.0, 12.0
_GAP = 16.0
_LABEL_CHARACTERS = 52

Step = tuple[str, str]


def draw_flow(result: StudyResult, titles: Mapping[str, str]) -> tuple[Drawing, ...]:
    """Return the figure; none where the patients read or the complete cases are not shown."""
    steps: dict[str, float | None] = {}
    for row in rows_of(result.table("flow")):
        if label(row, "hospital") == EVERYBODY:
            steps[label(row, "step")] = number(row, "n")
    read, complete = steps.pop(READ, None), steps.pop(COMPLETE, None)
    if read is None or complete is None:
        return ()
    reasons = [(step_words(step, titles), _count(n)) for step, n in steps.items()]
    return (_chart(_count(read), reasons, _count(complete)),)


def _count(n: float | None) -> str:
    return "—" if n is None else count_figure(int(n)).shown


def _chart(read: str, reasons: Sequence[Step], complete: str) -> Drawing:
    listed = (len(reasons) + 1) * _LINE + 2 * _PADDING - 4 if reasons else 0.0
    top = 1.0 + _BOX_HEIGHT + _GAP
    bottom = top + listed + _GAP
    shapes = [
        *_box_with(1.0, READ, read),
        line("axis", (_MIDDLE, 1.0 + _BOX_HEIGHT), (_MIDDLE, bottom - 7)),
        polygon("tip", ((_MIDDLE - 4.5, bottom - 8), (_MIDDLE + 4.5, bottom - 8), (_MIDDLE, bottom))),
        *_box_with(bottom, COMPLETE, complete),
    ]
    if reasons:
        shapes += _list_of(reasons, top, listed)
    description = f"{READ}: {read}. " + " ".join(f"{words}: {n}." for words, n in reasons) + f" {COMPLETE}: {complete}."
    return Drawing("Flow of patients, all hospitals", description, WIDTH, bottom + _BOX_HEIGHT + 1.0, tuple(shapes))


def _box_with(top: float, words: str, count: str) -> list[Shape]:
    return [
        box("frame", (1.0, top), (_BOX_WIDTH, top + _BOX_HEIGHT)),
        text("label middle", (_MIDDLE, top + 21), words),
        text("strong middle", (_MIDDLE, top + 39), f"n = {count}"),
    ]


def _list_of(reasons: Sequence[Step], top: float, height: float) -> list[Shape]:
    y = top + height / 2
    shapes = [
        line("axis", (_MIDDLE, y), (_LIST_LEFT - 7, y)),
        polygon("tip", ((_LIST_LEFT - 8, y - 4.5), (_LIST_LEFT - 8, y + 4.5), (_LIST_LEFT, y))),
        box("frame", (_LIST_LEFT, top), (WIDTH - 1, top + height)),
        text("head", (_LIST_LEFT + _PADDING, top + _PADDING + 12), "left out, each at the first reason that applies"),
    ]
    for index, (words, count) in enumerate(reasons, start=1):
        baseline = top + _PADDING + index * _LINE + 13
        shown = textwrap.shorten(words, _LABEL_CHARACTERS, placeholder="…")
        shapes += [
            text("label", (_LIST_LEFT + _PADDING, baseline), shown),
            text("label end", (WIDTH - 1 - _PADDING, baseline), count),
        ]
    return shapes
