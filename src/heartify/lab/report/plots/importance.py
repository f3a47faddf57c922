"""Weights on one scale, term by term: the value with its bootstrap interval, and the rank with its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heartify.lab.report.number_text import fixed_text
from heartify.lab.report.plots.drawing import Drawing
from heartify.lab.report.plots.line_forest import ForestAxis, ForestLine, axis_ends, build_forest
from heartify.lab.report.plots.scale import linear_ticks, spanning_scale
from heartify.lab.report.plots.table_rows import Row, groups, label, number, rows_of
from heartify.protocol.result import StudyResult


def draw_dominance(result: StudyResult, titles: Mapping[str, str]) -> tuple[Drawing, ...]:
    """Return the shares of the explained variation."""
    return _scale_plot(result, titles, "dominance", "share", "share of the explained variation (general dominance)")


def draw_partial_chi2(result: StudyResult, titles: Mapping[str, str]) -> tuple[Drawing, ...]:
    """Return the partial chi-squares beyond their degrees of freedom."""
    return _scale_plot(result, titles, "partial_chi2", "chi2_minus_df", "partial χ² less its degrees of freedom")


def draw_per_sd(result: StudyResult, titles: Mapping[str, str]) -> tuple[Drawing, ...]:
    """Return the weights per standard deviation."""
    log_ratio = "log hazard ratio" if result.model == "cox" else "log odds ratio"
    return _scale_plot(result, titles, "weights_per_sd", "estimate", f"{log_ratio} per standard deviation")


def draw_attributable_fraction(result: StudyResult, titles: Mapping[str, str]) -> tuple[Drawing, ...]:
    """Return the attributable fractions, a plot for each method."""
    rows = groups(rows_of(result.table("attributable_fraction")), "method")
    return tuple(
        drawing
        for method, own in rows.items()
        for drawing in _rows_plot(own, titles, "fraction", f"attributable fraction by {method or 'the model'}")
    )


def _scale_plot(
    result: StudyResult, titles: Mapping[str, str], name: str, column: str, axis_name: str
) -> tuple[Drawing, ...]:
    return _rows_plot(rows_of(result.table(name)), titles, column, axis_name)


def _rows_plot(
    table_rows: Sequence[Row], titles: Mapping[str, str], column: str, axis_name: str
) -> tuple[Drawing, ...]:
    found = [row for row in table_rows if number(row, column) is not None]
    rows = sorted(found, key=lambda row: -abs(number(row, column) or 0.0))
    if not rows:
        return ()
    lines = [_line(row, column, titles) for row in rows]
    ends = [value for line in lines for value in (line.estimate, line.low, line.high) if value is not None]
    scale = spanning_scale((*ends, 0.0), *axis_ends())
    axis = ForestAxis(scale, linear_ticks(scale), axis_name, 0.0)
    has_ranks = any(number(row, "rank") is not None for row in rows)
    heads = ("term", "value; rank (95 % CI)" if has_ranks else "value (95 % CI)")
    return (build_forest(axis_name[0].upper() + axis_name[1:], heads, lines, axis),)


def _line(row: Row, column: str, titles: Mapping[str, str]) -> ForestLine:
    title = titles.get(label(row, "term"), label(row, "term"))
    estimate, low, high = number(row, column), number(row, "ci_low"), number(row, "ci_high")
    return ForestLine(title, _value(row, (estimate or 0.0, low, high)), estimate, low, high)


def _value(row: Row, interval: tuple[float, float | None, float | None]) -> str:
    estimate, low, high = interval
    rank, rank_low, rank_high = (number(row, name) for name in ("rank", "rank_low", "rank_high"))
    if rank is None:
        bounds = "" if low is None or high is None else f" ({_short(low)} to {_short(high)})"
        return _short(estimate) + bounds
    ranks = "" if rank_low is None or rank_high is None else f" ({rank_low:g} to {rank_high:g})"
    return f"{_short(estimate)}; rank {rank:g}{ranks}"


def _short(value: float) -> str:
    return fixed_text(value, 2 if abs(value) < 10 else 0)
