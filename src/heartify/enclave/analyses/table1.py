"""Table 1: the factors of the complete cases by hospital and outcome group, numbers and levels.

Numbers of few values are summarised from rounded counts, as an exact mean would give exact counts back. A table that
would be too long shows less detail, by hospital first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.merging import Merging
from heartify.disclosure.tables import TABLES, ExactTable
from heartify.enclave.analyses.table1_cells import (
    ALL,
    EVERYBODY,
    OutcomeGroups,
    Table1Cell,
    outcome_groups,
    shown_counts,
    shown_n,
    table1_cells,
)
from heartify.enclave.analyses.table1_factors import (
    MAX_FEW_VALUES,
    DescribedFactor,
    cell_counts,
    describe_factors,
)
from heartify.enclave.analyses.table1_parts import Table1Parts, choose_parts
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.stats.description import NumberSummary, is_concentrated, summarise, summarise_counts

Row = Mapping[str, Cell]
_FIGURES = ("mean", "sd", "median", "p05", "p95")


def table1(data: StudyData) -> tuple[ExactTable, ExactTable]:
    """Return the tables of numbers and of levels."""
    groups = outcome_groups(data)
    factors = describe_factors(data)
    levels = [factor for factor in factors if not factor.is_number]
    numbers = [factor for factor in factors if factor.is_number]
    return (
        ExactTable("table1_numbers", _bounded("table1_numbers", data, numbers, groups, _number_rows)),
        ExactTable("table1_levels", _bounded("table1_levels", data, levels, groups, _level_rows)),
    )


RowMaker = Callable[[StudyData, DescribedFactor, OutcomeGroups, Table1Parts], Iterator[Row]]


def _bounded(
    name: str, data: StudyData, factors: Sequence[DescribedFactor], groups: OutcomeGroups, rows_of: RowMaker
) -> tuple[Row, ...]:
    """Return the rows in the most detail that fits the table; factors beyond it are left out."""
    limit = TABLES[name].max_rows
    chosen = [_parts(factor, groups) for factor in factors]
    for detail in (_full, _split_together, _together):
        made = [
            tuple(rows_of(data, factor, groups, detail(parts))) for factor, parts in zip(factors, chosen, strict=True)
        ]
        if sum(map(len, made)) <= limit:
            break
    rows: list[Row] = []
    for part in made:
        rows += part if len(rows) + len(part) <= limit else ()
    return tuple(rows)


def _full(parts: Table1Parts) -> Table1Parts:
    return parts


def _split_together(parts: Table1Parts) -> Table1Parts:
    return dataclasses.replace(parts, split=_merged(parts.split))


def _together(parts: Table1Parts) -> Table1Parts:
    return Table1Parts(_merged(parts.overall), _merged(parts.split))


def _merged(merging: Merging | None) -> Merging | None:
    return None if merging is None else Merging((), merging.units)


def _parts(factor: DescribedFactor, groups: OutcomeGroups) -> Table1Parts:
    cells = cell_counts(groups.codes, factor.judged, (len(groups.names), factor.cells))
    return choose_parts(cells, groups.hidden)


def _level_rows(data: StudyData, factor: DescribedFactor, groups: OutcomeGroups, parts: Table1Parts) -> Iterator[Row]:
    counts = cell_counts(groups.codes, factor.codes, (len(groups.names), len(factor.levels)))
    if parts.overall is None:
        yield from (_level_row(EVERYBODY, ALL, factor.name, level, None) for level in factor.levels)
    for cell in table1_cells(data, groups, parts):
        group = ALL if cell.group is None else groups.names[cell.group]
        for level, count in zip(factor.levels, shown_counts(counts, cell, parts), strict=True):
            yield _level_row(cell.label, group, factor.name, level, count)


def _level_row(hospital: str, group: str, factor: str, level: str, count: int | None) -> Row:
    return {"hospital": hospital, "group": group, "factor": factor, "level": level, "n": count}


def _number_rows(data: StudyData, factor: DescribedFactor, groups: OutcomeGroups, parts: Table1Parts) -> Iterator[Row]:
    counts = cell_counts(groups.codes, factor.codes, (len(groups.names), factor.cells))
    if parts.overall is None:
        everyone = tuple(range(len(data.cases)))
        n = shown_n(groups, Table1Cell(EVERYBODY, everyone, None, (everyone,)))
        yield _number_row(EVERYBODY, ALL, factor.name, n, None)
    for cell in table1_cells(data, groups, parts):
        group = ALL if cell.group is None else groups.names[cell.group]
        summary = _summary(factor, groups, cell, shown_counts(counts, cell, parts))
        yield _number_row(cell.label, group, factor.name, shown_n(groups, cell), summary)


def _number_row(hospital: str, group: str, factor: str, n: int, summary: NumberSummary | None) -> Row:
    return {
        "hospital": hospital,
        "group": group,
        "factor": factor,
        "n": n,
        **{name: None if summary is None else getattr(summary, name) for name in _FIGURES},
    }


def _summary(
    factor: DescribedFactor, groups: OutcomeGroups, cell: Table1Cell, shown: Sequence[int]
) -> NumberSummary | None:
    if factor.values:
        return summarise_counts(factor.values, shown)
    values = _values(factor.numbers, groups, cell)
    return None if is_concentrated(values) or _has_few(values) else summarise(values)


def _has_few(values: Floats) -> bool:
    """Return whether a group has few values of a column that has many: their counts could follow from mean and SD."""
    distinct = np.unique(values).size
    return distinct <= 2 or (distinct <= MAX_FEW_VALUES and 2 * distinct < values.size)


def _values(numbers: Sequence[Floats], groups: OutcomeGroups, cell: Table1Cell) -> Floats:
    chosen = [
        numbers[index] if cell.group is None else numbers[index][groups.codes[index] == cell.group]
        for index in cell.hospitals
    ]
    return np.concatenate(chosen)
