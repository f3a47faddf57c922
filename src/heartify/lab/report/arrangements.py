"""Which tables are arranged otherwise than row by row; every other, and one that doesn't fit, is shown as released."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from heartify.disclosure.tables import TABLES
from heartify.lab.report import cohort_views, model_views, screen_views
from heartify.lab.report.table_views import Arrangement, Source, folded, plain_view

FOLD_FROM, FOLD_UNDER_PLOT_FROM = 60, 16
"""A view of so many rows is folded away, under a plot sooner than without one; it opens with a click and in print."""

ARRANGEMENTS: Mapping[str, Callable[[Source], Arrangement | None]] = {
    "flow": cohort_views.flow,
    "table1_numbers": cohort_views.table1_numbers,
    "table1_levels": cohort_views.table1_levels,
    "missingness": cohort_views.missingness,
    "plausibility": cohort_views.plausibility,
    "tests": model_views.tests,
    "robust": model_views.robust,
    "hazards": model_views.hazards,
    "attributable_fraction": model_views.attributable_fraction,
    "hospital_estimates": model_views.hospital_estimates,
    "meta_analysis": model_views.meta_analysis,
    "discrimination": model_views.by_evaluation,
    "accuracy": model_views.by_evaluation,
    "screen_summary": screen_views.screen_summary,
    "screen_hits": screen_views.screen_hits,
    "calibration": model_views.by_evaluation,
}


def arrange(name: str, title: str, source: Source, *, has_plots: bool) -> Arrangement:
    """Return a table's own arrangement, or its rows as released where it has none or lacks a column of it."""
    own = ARRANGEMENTS.get(name)
    found = own(source) if own is not None and _is_whole(name, source) else None
    if found is not None:
        return found
    view, fold_from = plain_view(source), FOLD_UNDER_PLOT_FROM if has_plots else FOLD_FROM
    summary = f"{title}: {len(view.rows)} rows"
    return Arrangement((folded(view, summary) if len(view.rows) >= fold_from else view,))


def _is_whole(name: str, source: Source) -> bool:
    """Return whether the table has the columns of the closed list, which the arrangements read."""
    return name in TABLES and all(TABLES[name].names == row.keys() for row in source.rows)
