from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.disclosure.released import build_released_weight
from heartify.lab.report.forest_plot import LABEL_WIDTH, WIDTH, build_forest_plot
from heartify.lab.report.weights_table import build_weight_rows
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose
from heartify.protocol.result import Weight

UCI = {"cp4": (1.564, 0.203, 0.5), "thalach": (-0.0101, 0.00488, 25.9), "age": (0.0251, 0.0126, 9.43)}


def rows_of(estimates, titles=None, true_weights=None):
    released = [build_released_weight(name, *numbers) for name, numbers in estimates.items()]
    weights = tuple(Weight(term=item.factor, unit="1", **dataclasses.asdict(item)) for item in released)
    plan = Plan(
        title="plot",
        purpose=Purpose.STATISTICS,
        outcome=OutcomeSpec(column="y", equals="1"),
        factors=tuple(FactorSpec(name=name, column=name) for name in estimates),
    )
    return build_weight_rows(weights, plan, titles or {}, true_weights or {})


def x_of(plot, ratio):
    """Return where a ratio lies by the plot's own ticks: an independent reading of its scale."""
    first, last = plot.ticks[0], plot.ticks[-1]
    low, high = math.log(float(first.label)), math.log(float(last.label))
    return first.x + (math.log(ratio) - low) / (high - low) * (last.x - first.x)


def test_estimates_and_intervals_lie_where_the_ticks_say():
    rows = rows_of(UCI)

    plot = build_forest_plot(rows)

    for row, drawn in zip(rows, plot.rows, strict=True):
        beta, se = row.weight.beta_per_sd, row.weight.se_per_sd
        assert drawn.x_point == pytest.approx(x_of(plot, math.exp(beta)), abs=0.5)
        assert drawn.x_low == pytest.approx(x_of(plot, math.exp(beta - 1.959964 * se)), abs=0.5)
        assert drawn.x_high == pytest.approx(x_of(plot, math.exp(beta + 1.959964 * se)), abs=0.5)
        assert (drawn.low_end, drawn.high_end) == ("bar", "bar")
    assert plot.x_reference == pytest.approx(x_of(plot, 1.0), abs=0.5)
    assert not plot.has_arrows


def test_true_weights_are_converted_to_log_odds_per_standard_deviation():
    plot = build_forest_plot(rows_of(UCI, true_weights={"age": 0.02, "cp4": 1.4}))

    places = {row.title: row.x_true for row in plot.rows}
    assert places["age"] == pytest.approx(x_of(plot, math.exp(0.02 * 9.43)), abs=0.5)
    assert places["cp4"] == pytest.approx(x_of(plot, math.exp(1.4 * 0.5)), abs=0.5)
    assert places["thalach"] is None
    assert plot.has_truth


def test_an_extreme_ratio_ends_in_an_arrow_and_leaves_the_others_room():
    plot = build_forest_plot(rows_of({**UCI, "tiny": (-20.7, 0.5, 1.0), "huge": (30.0, 0.5, 2.0)}))

    by_name = {row.title: row for row in plot.rows}
    assert (by_name["tiny"].x_point, by_name["tiny"].low_end, by_name["tiny"].high_end) == (None, "arrow", "none")
    assert (by_name["huge"].x_point, by_name["huge"].low_end, by_name["huge"].high_end) == (None, "none", "arrow")
    assert by_name["huge"].value == "over 10¹²"
    assert by_name["cp4"].x_high - by_name["cp4"].x_low > 15
    assert plot.has_arrows


def test_a_true_weight_beyond_the_scale_is_marked_at_its_edge():
    plot = build_forest_plot(rows_of(UCI, true_weights={"cp4": 40.0}))

    row = next(row for row in plot.rows if row.title == "cp4")
    assert row.x_true is None
    assert row.x_true_edge == plot.axis_right


def test_a_null_finding_looks_like_one():
    plot = build_forest_plot(rows_of({"x": (0.001, 0.002, 1.0)}))

    assert plot.rows[0].x_high - plot.rows[0].x_low < 0.05 * (plot.axis_right - plot.axis_left)


@pytest.mark.parametrize(
    ("title", "lines", "wide"),
    [
        ("ST depression induced by exercise relative to rest", 2, False),
        ("W" * 63, 2, True),
        ("血圧" * 17, 1, True),
        ("word " * 40, 2, False),
    ],
)
def test_a_long_title_takes_two_lines_at_most_and_never_the_axis(title, lines, wide):
    row = build_forest_plot(rows_of({"x": (0.1, 0.1, 1.0)}, titles={"x": title})).rows[0]

    assert row.title == title
    assert len(row.labels) == lines
    assert row.labels[0].is_wide is wide


def test_a_value_too_long_for_one_line_takes_two():
    row = build_forest_plot(rows_of({"tiny": (-20.7, 0.5, 1.0)})).rows[0]

    assert row.value_lines == ("1.0 × 10⁻⁹", "(3.8 × 10⁻¹⁰ to 2.7 × 10⁻⁹)")


@given(
    st.lists(
        st.tuples(st.floats(-25, 25), st.floats(1e-3, 8), st.floats(0.01, 50), st.none() | st.floats(-9, 9)),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_result_is_drawn_inside_the_axis_with_readable_ticks(estimates):
    numbers = {f"f{index}": item[:3] for index, item in enumerate(estimates)}
    truths = {f"f{index}": item[3] for index, item in enumerate(estimates) if item[3] is not None}

    plot = build_forest_plot(rows_of(numbers, true_weights=truths))

    assert LABEL_WIDTH < plot.axis_left < plot.x_reference < plot.axis_right < WIDTH
    assert "1" in [tick.label for tick in plot.ticks]
    assert 2 <= len(plot.ticks) <= 12
    assert all(after.x - before.x >= 30 for before, after in itertools.pairwise(plot.ticks))
    for row in plot.rows:
        assert plot.axis_left <= row.x_low <= row.x_high <= plot.axis_right
        assert row.x_point is None or row.x_low <= row.x_point <= row.x_high
        assert row.y < plot.axis_y < plot.height
