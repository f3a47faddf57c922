"""The plots of a report: each belongs to a table, is drawn from its released cells, and never stands without it."""

from collections.abc import Mapping

from heartify.lab.report.plots.bars import draw_missingness, draw_stability
from heartify.lab.report.plots.calibration import draw_calibration
from heartify.lab.report.plots.decision_curve import draw_increment_net_benefit, draw_net_benefit
from heartify.lab.report.plots.drawing import Drawing, Shape
from heartify.lab.report.plots.flow_chart import draw_flow
from heartify.lab.report.plots.hospital_forests import draw_hospital_forests
from heartify.lab.report.plots.importance import (
    draw_attributable_fraction,
    draw_dominance,
    draw_partial_chi2,
    draw_per_sd,
)
from heartify.lab.report.plots.qq import draw_qq
from heartify.lab.report.plots.roc import draw_roc
from heartify.lab.report.plots.spline_curves import draw_spline_curves
from heartify.lab.report.plots.time_curves import draw_cumulative_incidence, draw_survival
from heartify.protocol.plan import Plan
from heartify.protocol.result import StudyResult

__all__ = ["Drawing", "Shape", "draw_plots"]


def draw_plots(result: StudyResult, plan: Plan, titles: Mapping[str, str]) -> Mapping[str, tuple[Drawing, ...]]:
    """Return the drawings of each table that has any; a table without the columns that a plot needs has none."""
    threshold = None if plan.selection is None else plan.selection.threshold
    calibration = draw_calibration(result)
    drawings = {
        "flow": draw_flow(result, titles),
        "missingness": draw_missingness(result, titles),
        "curves": draw_spline_curves(result, titles),
        "survival": draw_survival(result),
        "cumulative_incidence": draw_cumulative_incidence(result),
        "weights_per_sd": draw_per_sd(result, titles),
        "partial_chi2": draw_partial_chi2(result, titles),
        "dominance": draw_dominance(result, titles),
        "attributable_fraction": draw_attributable_fraction(result, titles),
        "hospital_estimates": draw_hospital_forests(result, plan, titles),
        "calibration_groups": calibration,
        "calibration_curve": () if result.table("calibration_groups") is not None else calibration,
        "roc": draw_roc(result),
        "net_benefit": draw_net_benefit(result),
        "increment_net_benefit": draw_increment_net_benefit(result),
        "stability": draw_stability(result, titles, threshold),
        "screen_qq": draw_qq(result),
    }
    return {name: drawn for name, drawn in drawings.items() if drawn}
