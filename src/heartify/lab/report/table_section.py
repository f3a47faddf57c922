"""The part of the page with every table of the result: grouped by analysis, each with its words and its plots.

A table is laid out from the kinds of its columns, so that one that the closed list gains later is shown before anybody
has drawn a plot for it or arranged it otherwise than row by row. Within a group, tables come in the group's order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from heartify.lab.report.arrangements import arrange
from heartify.lab.report.plots import Drawing, draw_plots
from heartify.lab.report.plots.table_rows import rows_of
from heartify.lab.report.table_cells import build_layout
from heartify.lab.report.table_groups import GROUPS, SKIPPED, Group, analysis_words
from heartify.lab.report.table_views import Source, TableView
from heartify.lab.report.table_words import table_words
from heartify.lab.report.weights_table import column_title
from heartify.protocol.plan import Plan
from heartify.protocol.result import StudyResult, Table


@dataclasses.dataclass(frozen=True, slots=True)
class ShownTable:
    """One table as shown."""

    anchor: str
    title: str
    explanation: str
    lead: str
    views: tuple[TableView, ...]
    drawings: tuple[Drawing, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ShownGroup:
    """The tables of one analysis."""

    anchor: str
    title: str
    caution: str
    tables: tuple[ShownTable, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class SkippedAnalysis:
    """An analysis that the plan asked for and the data don't bear."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class TableSection:
    """All tables of a result."""

    groups: tuple[ShownGroup, ...]
    skipped: tuple[SkippedAnalysis, ...]


def build_table_section(result: StudyResult, plan: Plan, titles: Mapping[str, str]) -> TableSection:
    """Build the section; a table that no group knows comes last, under a group of its own."""
    titles = _all_titles(result, titles)
    drawings = draw_plots(result, plan, titles)
    curved = tuple(factor.name for factor in plan.factors if factor.spline is not None)
    grouped = {name for group in GROUPS for name in group.tables}
    others = tuple(table.name for table in result.tables if table.name not in grouped)
    groups = (*GROUPS, Group("others", "Other tables", others))
    shown = (_group(group, result, titles, drawings, curved) for group in groups)
    return TableSection(
        groups=tuple(group for group in shown if group.tables),
        skipped=tuple(SkippedAnalysis(analysis_words(item.analysis), SKIPPED[item.reason]) for item in result.skipped),
    )


def table_anchor(name: str) -> str:
    """Return the id of a table's heading."""
    return f"table-{name.replace('_', '-')}"


def _group(
    group: Group,
    result: StudyResult,
    titles: Mapping[str, str],
    drawings: Mapping[str, tuple[Drawing, ...]],
    curved: tuple[str, ...],
) -> ShownGroup:
    tables = _present(result, group.tables)
    return ShownGroup(
        anchor=f"group-{group.anchor}",
        title=group.title,
        caution=group.caution,
        tables=tuple(_table(table, result, titles, drawings.get(table.name, ()), curved) for table in tables),
    )


def _present(result: StudyResult, names: Iterable[str]) -> list[Table]:
    found = (result.table(name) for name in names)
    return [table for table in found if table is not None and table.rows]


def _table(
    table: Table,
    result: StudyResult,
    titles: Mapping[str, str],
    drawings: tuple[Drawing, ...],
    curved: tuple[str, ...],
) -> ShownTable:
    words = table_words(table.name)
    ratio = "hazard ratio" if words.hazard or result.model == "cox" else "odds ratio"
    layout = build_layout(table.name, table.columns, words, ratio)
    source = Source(rows_of(table), layout, titles, ratio)
    arranged = arrange(table.name, words.title, source, has_plots=bool(drawings))
    alone = words.ratio and curved and "factor" in table.columns and "at" not in table.columns
    caution = f" The columns of a spline ({', '.join(curved)}) are not to be read one by one." if alone else ""
    explanation = words.explanation + caution
    anchor = table_anchor(table.name)
    return ShownTable(anchor, words.title, explanation, arranged.lead, arranged.views, drawings)


def _all_titles(result: StudyResult, titles: Mapping[str, str]) -> dict[str, str]:
    """Return the titles with those of the model's levels and products, as the table of weights has them."""
    names = [name for weight in result.weights for name in (weight.term, weight.factor)]
    return {name: column_title(name, titles) for name in names} | dict(titles)
