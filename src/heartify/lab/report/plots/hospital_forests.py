"""Forest plots of heterogeneity: each factor's estimates by hospital, their pooling, and the prediction interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heartify.lab.report.number_text import ratio_decimals, ratio_interval, ratio_of_log_odds
from heartify.lab.report.plots.drawing import Drawing
from heartify.lab.report.plots.line_forest import ForestAxis, ForestLine, axis_ends, build_forest
from heartify.lab.report.plots.scale import ratio_scale, ratio_ticks
from heartify.lab.report.plots.table_rows import Row, groups, label, number, numbers, rows_of
from heartify.protocol.plan import Plan
from heartify.protocol.result import StudyResult

MAX_FACTORS = 24


def draw_hospital_forests(result: StudyResult, plan: Plan, titles: Mapping[str, str]) -> tuple[Drawing, ...]:
    """Return one forest for each column that a hospital has an estimate of, but for the pieces of curves."""
    curved = {factor.name for factor in plan.factors if factor.spline is not None}
    pieces = {weight.factor for weight in result.weights if weight.term in curved}
    pooled = groups(rows_of(result.table("meta_analysis")), "factor")
    own = groups(rows_of(result.table("hospital_estimates")), "factor")
    ratio = "hazard ratio" if result.model == "cox" else "odds ratio"
    drawings = (
        _forest(titles.get(factor, factor), rows, pooled.get(factor, ()), ratio)
        for factor, rows in own.items()
        if factor not in pieces
    )
    return tuple(drawing for drawing in drawings if drawing is not None)[:MAX_FACTORS]


def _forest(title: str, own: Sequence[Row], pooled: Sequence[Row], ratio: str) -> Drawing | None:
    lines = [_hospital_line(row) for row in own] + [line for row in pooled for line in _pooled_lines(row)]
    bounds = [value for line in lines for value in (line.low, line.high) if value is not None]
    if not bounds:
        return None
    scale = ratio_scale([*bounds, *(end for line in lines if line.prediction for end in line.prediction)], *axis_ends())
    axis = ForestAxis(scale, ratio_ticks(scale), f"{title}: {ratio} per unit (log scale)", 0.0)
    return build_forest(title, ("hospital", f"{ratio} (95 % CI)"), lines, axis)


def _hospital_line(row: Row) -> ForestLine:
    found = numbers(row, "estimate", "ci_low", "ci_high")
    if found is None:
        return ForestLine(label(row, "hospital"), label(row, "status") or "—")
    estimate, low, high = found
    return ForestLine(label(row, "hospital"), ratio_words(estimate, low, high), estimate, low, high)


def _pooled_lines(row: Row) -> list[ForestLine]:
    found = numbers(row, "estimate", "ci_low", "ci_high")
    if found is None:
        return []
    estimate, low, high = found
    words = ratio_words(estimate, low, high)
    lines = [ForestLine(_pooled_label(row), words, estimate, low, high, pooled=True)]
    prediction = numbers(row, "prediction_low", "prediction_high")
    if prediction is not None:
        bounds = ratio_words(estimate, *prediction).partition("(")[2].rstrip(")")
        lines.append(ForestLine("prediction interval", bounds, prediction=(prediction[0], prediction[1])))
    return lines


def _pooled_label(row: Row) -> str:
    i2 = number(row, "i2")
    return label(row, "model") + ("" if i2 is None else f", I² {i2:.0%}".replace("%", " %"))


def ratio_words(log_ratio: float, low: float, high: float) -> str:
    """Return a ratio with its interval from their logarithms, such as `1.05 (1.03 to 1.07)`."""
    ratios = (ratio_of_log_odds(log_ratio), ratio_of_log_odds(low), ratio_of_log_odds(high))
    return ratio_interval(log_ratio, ratios, ratio_decimals(ratios)).shown
