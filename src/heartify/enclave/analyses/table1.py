"""Table 1: the factors of the complete cases by hospital and outcome group. Rows are exact only where a grid follows.

Counts are sums of cells rounded here, so that rows add up and a total tells nothing that its parts don't. Numbers of
few values are summarised from rounded counts. A table that would be too long shows less detail, by hospital first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.cohort_rules import can_show
from heartify.disclosure.facts import OutcomeCount
from heartify.disclosure.merging import Merging
from heartify.disclosure.rounding import round_count
from heartify.disclosure.suppression import can_show_outcomes
from heartify.disclosure.tables import TABLES, ExactTable
from heartify.enclave.analyses.table1_factors import (
    MAX_FEW_VALUES,
    Codes,
    DescribedFactor,
    cell_counts,
    describe_factors,
)
from heartify.enclave.analyses.table1_parts import Table1Parts, choose_parts
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.stats.description import NumberSummary, is_concentrated, summarise, summarise_counts

EVERYBODY, OTHERS, SOME = "all hospitals", "other hospitals", "hospitals shown"
ALL, EVENT, COMPETING, NO_EVENT = "all", "event", "competing event", "no event"
Row = Mapping[str, Cell]
_FIGURES = ("mean", "sd", "median", "p05", "p95")


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class OutcomeGroups:
    """The outcome groups' names, and each hospital's codes (n_h,) of them."""

    names: tuple[str, ...]
    codes: tuple[Codes, ...]
    hidden: frozenset[int]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class _Cell:
    """One row's patients: hospitals, and an outcome group or None for all of them."""

    label: str
    hospitals: tuple[int, ...]
    group: int | None
    counted_by: tuple[tuple[int, ...], ...]
    """The disjoint sets of hospitals whose rounded cells make up the row's counts."""


def table1(data: StudyData) -> tuple[ExactTable, ExactTable]:
    """Return the tables of numbers and of levels."""
    groups = _outcome_groups(data)
    factors = describe_factors(data)
    levels = [factor for factor in factors if not factor.is_number]
    numbers = [factor for factor in factors if factor.is_number]
    return (
        ExactTable("table1_numbers", _bounded("table1_numbers", data, numbers, groups, _number_rows)),
        ExactTable("table1_levels", _bounded("table1_levels", data, levels, groups, _level_rows)),
    )


def _outcome_groups(data: StudyData) -> OutcomeGroups:
    """Group by event code where the competing events are enough to be a group, else by the outcome alone."""
    events = tuple(case.event[case.complete] for case in data.cases)
    outcomes = [OutcomeCount(int(codes.size), int((codes == 1).sum())) for codes in events]
    hidden = frozenset(index for index, count in enumerate(outcomes) if not can_show_outcomes(count))
    totals = [sum(int((codes == code).sum()) for codes in events) for code in (0, 1, 2)]
    if all(can_show(total) for total in totals):
        order = np.array([2, 0, 1])  # event codes are 0: none, 1: the outcome, 2: the competing event
        return OutcomeGroups((EVENT, COMPETING, NO_EVENT), tuple(order[codes] for codes in events), hidden)
    return OutcomeGroups((EVENT, NO_EVENT), tuple(np.where(codes == 1, 0, 1) for codes in events), hidden)


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


def _cells(data: StudyData, groups: OutcomeGroups, parts: Table1Parts) -> Iterator[_Cell]:
    """Yield the rows' patients: all, each hospital, the others together; first over all outcomes, then by outcome."""
    everyone = len(data.cases)
    for merging, outcomes in ((parts.overall, (None,)), (parts.split, tuple(range(len(groups.names))))):
        if merging is None:
            continue
        total = EVERYBODY if len(merging.units) == everyone else SOME
        rows = [(total, merging.units, merging.parts)]
        rows += [(data.cases[unit].name, (unit,), ((unit,),)) for unit in merging.own if everyone > 1]
        if merging.own and merging.merged:
            rows.append((OTHERS, merging.merged, (merging.merged,)))
        for label, hospitals, counted_by in rows:
            yield from (_Cell(label, hospitals, group, counted_by) for group in outcomes)


def _level_rows(data: StudyData, factor: DescribedFactor, groups: OutcomeGroups, parts: Table1Parts) -> Iterator[Row]:
    counts = cell_counts(groups.codes, factor.codes, (len(groups.names), len(factor.levels)))
    if parts.overall is None:
        yield from (_level_row(EVERYBODY, ALL, factor.name, level, None) for level in factor.levels)
    for cell in _cells(data, groups, parts):
        group = ALL if cell.group is None else groups.names[cell.group]
        for level, count in zip(factor.levels, _shown_counts(counts, cell, parts), strict=True):
            yield _level_row(cell.label, group, factor.name, level, count)


def _level_row(hospital: str, group: str, factor: str, level: str, count: int | None) -> Row:
    return {"hospital": hospital, "group": group, "factor": factor, "level": level, "n": count}


def _shown_counts(counts: Sequence[Codes], cell: _Cell, parts: Table1Parts) -> tuple[int, ...]:
    """Return the sums of rounded cells by level: what is split is rounded in its split."""
    total = np.zeros(counts[0].shape[1], dtype=np.int64)
    split = parts.split.own if parts.split else ()
    for part in cell.counted_by:
        exact = np.sum([counts[hospital] for hospital in part], axis=0)
        if cell.group is not None:
            total += _rounded(exact[cell.group])
        elif len(part) == 1 and part[0] in split:
            total += np.sum([_rounded(group) for group in exact], axis=0)
        else:
            total += _rounded(exact.sum(axis=0))
    return tuple(int(count) for count in total)


def _rounded(counts: Codes) -> Codes:
    return np.array([round_count(int(count)) for count in counts], dtype=np.int64)


def _number_rows(data: StudyData, factor: DescribedFactor, groups: OutcomeGroups, parts: Table1Parts) -> Iterator[Row]:
    counts = cell_counts(groups.codes, factor.codes, (len(groups.names), factor.cells))
    if parts.overall is None:
        everyone = tuple(range(len(data.cases)))
        n = _shown_n(groups, _Cell(EVERYBODY, everyone, None, (everyone,)))
        yield _number_row(EVERYBODY, ALL, factor.name, n, None)
    for cell in _cells(data, groups, parts):
        group = ALL if cell.group is None else groups.names[cell.group]
        summary = _summary(factor, groups, cell, _shown_counts(counts, cell, parts))
        yield _number_row(cell.label, group, factor.name, _shown_n(groups, cell), summary)


def _number_row(hospital: str, group: str, factor: str, n: int, summary: NumberSummary | None) -> Row:
    return {
        "hospital": hospital,
        "group": group,
        "factor": factor,
        "n": n,
        **{name: None if summary is None else getattr(summary, name) for name in _FIGURES},
    }


def _summary(factor: DescribedFactor, groups: OutcomeGroups, cell: _Cell, shown: Sequence[int]) -> NumberSummary | None:
    if factor.values:
        return summarise_counts(factor.values, shown)
    values = _values(factor.numbers, groups, cell)
    return None if is_concentrated(values) or _has_few(values) else summarise(values)


def _has_few(values: Floats) -> bool:
    """Return whether a group has few values of a column that has many: their counts could follow from mean and SD."""
    distinct = np.unique(values).size
    return distinct <= 2 or (distinct <= MAX_FEW_VALUES and 2 * distinct < values.size)


def _values(numbers: Sequence[Floats], groups: OutcomeGroups, cell: _Cell) -> Floats:
    chosen = [
        numbers[index] if cell.group is None else numbers[index][groups.codes[index] == cell.group]
        for index in cell.hospitals
    ]
    return np.concatenate(chosen)


def _shown_n(groups: OutcomeGroups, cell: _Cell) -> int:
    """Return the number of patients as the result shows it: sums of hospitals' rounded n, and of rounded groups."""
    total = 0
    for part in cell.counted_by:
        codes = [groups.codes[index] for index in part]
        everybody = sum(round_count(int(code.size)) for code in codes)
        by_group = [
            round_count(sum(int((code == group).sum()) for code in codes)) for group in range(len(groups.names))
        ]
        if cell.group is None:
            total += everybody
        elif cell.group < len(groups.names) - 1:
            total += by_group[cell.group]
        else:
            # What the others leave of n: rounding it too would narrow n down.
            total += max(everybody - sum(by_group[:-1]), 10)
    return total
