from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.lab.report.plots.hospital_forests import ratio_words
from heartify.lab.report.plots.line_forest import ForestAxis, ForestLine, axis_ends, build_forest
from heartify.lab.report.plots.scale import Scale, linear_ticks, ratio_scale, ratio_ticks, spanning_scale
from heartify.lab.report.plots.table_rows import complete, groups, rows_of
from heartify.protocol.result import Table

LOG_RATIOS = st.lists(st.floats(-8, 8), min_size=2, max_size=12)
VALUES = st.lists(st.floats(-1e4, 1e4).map(lambda value: round(value, 3)), min_size=1, max_size=12)


def forest(*lines, low=-1.0, high=1.0):
    scale = Scale(low, high, *axis_ends())
    return build_forest("plot", ("hospital", "OR"), lines, ForestAxis(scale, ratio_ticks(scale), "odds ratio", 0.0))


def shapes(drawing, style):
    return [shape for shape in drawing.shapes if shape.style == style]


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_a_spanning_axis_shows_every_value_in_its_order(values):
    scale = spanning_scale(values, 10.0, 110.0)

    assert all(scale.shows(value) for value in values)
    assert [scale.at(value) for value in sorted(values)] == sorted(scale.at(value) for value in values)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_ticks_lie_on_the_axis_and_are_few(values):
    scale = spanning_scale(values, 0.0, 100.0)

    ticks = linear_ticks(scale)

    assert 2 <= len(ticks) <= 11
    assert all(scale.low - 1e-6 <= tick.value <= scale.high + 1e-6 for tick in ticks)


@given(LOG_RATIOS)
@settings(max_examples=60, deadline=None)
def test_an_axis_of_ratios_has_1_and_labels_that_do_not_collide(log_ratios):
    scale = ratio_scale(log_ratios, 235.0, 535.0)

    ticks = ratio_ticks(scale)

    assert scale.shows(0.0)
    assert all(math.exp(tick.value) == pytest.approx(float(tick.label), rel=1e-3) for tick in ticks)
    assert all(scale.at(b.value) - scale.at(a.value) >= 29.9 for a, b in itertools.pairwise(ticks))


def test_an_extreme_ratio_does_not_squeeze_the_others():
    scale = ratio_scale([0.1, -0.1, 0.2, 0.15, -0.2, 25.0], 0.0, 100.0)

    assert scale.at(0.2) - scale.at(-0.2) > 20


def test_an_estimate_and_its_interval_lie_where_the_scale_says():
    drawing = forest(ForestLine("aspen", "1.28", 0.25, -0.5, 0.75))
    left, right = axis_ends()

    (interval,), (mark,) = shapes(drawing, "ci"), shapes(drawing, "mark")

    def place(value):
        return left + (value + 1) / 2 * (right - left)

    assert [x for x, _ in interval.points] == pytest.approx([place(-0.5), place(0.75)], abs=0.06)
    assert mark.points[0][0] == pytest.approx(place(0.25), abs=0.06)


def test_an_interval_beyond_the_scale_ends_in_an_arrow_at_its_edge():
    drawing = forest(ForestLine("aspen", "8", 0.25, -0.5, 7.0))

    arrows = [shape for shape in shapes(drawing, "mark") if shape.tag == "polygon"]

    assert [arrow.points[0][0] for arrow in arrows] == [axis_ends()[1]]


def test_a_pooled_estimate_is_a_diamond_as_wide_as_its_interval():
    drawing = forest(ForestLine("random effects", "1.1", 0.1, -0.2, 0.4, pooled=True))

    (pooled,) = shapes(drawing, "pooled")

    xs = [x for x, _ in pooled.points]
    left, right = axis_ends()
    assert (min(xs), max(xs)) == pytest.approx((left + 0.4 * (right - left), left + 0.7 * (right - left)), abs=0.06)


def test_a_suppressed_hospital_has_its_words_and_no_mark():
    drawing = forest(ForestLine("dogwood", "suppressed"))

    assert [shape.text for shape in shapes(drawing, "label")] == ["dogwood"]
    assert shapes(drawing, "mark") == shapes(drawing, "ci") == []
    assert "dogwood: suppressed." in drawing.description


def test_ratios_are_those_of_the_released_logarithms():
    assert ratio_words(math.log(1.25), math.log(1.1), math.log(1.42)) == "1.25 (1.10 to 1.42)"


def test_rows_without_a_number_are_left_out_of_a_plot():
    table = Table(name="roc", columns=("group", "x", "y"), rows=(("a", 1, 0.5), ("a", None, 0.5), ("b", 2, 0.25)))

    rows = rows_of(table)

    assert complete(rows, "x", "y") == [(1.0, 0.5), (2.0, 0.25)]
    assert complete(rows, "x", "absent") == []
    assert [len(found) for found in groups(rows, "group").values()] == [2, 1]
    assert rows_of(None) == ()
