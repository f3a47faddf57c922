"""The cells of Table 1: whose patients each row counts, by hospital and outcome group, and its rounded counts.

A row's counts are sums of cells that are rounded one by one, so that rows add up and a total tells nothing that its
parts don't. What a hospital shows by outcome is rounded there, and its row over all outcomes is the sum of that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from heartify.disclosure.cohort_rules import MIN_CELL, can_show
from heartify.disclosure.facts import OutcomeCount
from heartify.disclosure.rounding import round_count
from heartify.disclosure.suppression import can_show_outcomes
from heartify.enclave.analyses.table1_factors import Codes
from heartify.enclave.analyses.table1_parts import Table1Parts
from heartify.enclave.study_data import StudyData

EVERYBODY, OTHERS, SOME = "all hospitals", "other hospitals", "hospitals shown"
ALL, EVENT, COMPETING, NO_EVENT = "all", "event", "competing event", "no event"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class OutcomeGroups:
    """The outcome groups' names, and each hospital's codes (n_h,) of them."""

    names: tuple[str, ...]
    codes: tuple[Codes, ...]
    hidden: frozenset[int]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Table1Cell:
    """One row's patients: hospitals, and an outcome group or None for all of them."""

    label: str
    hospitals: tuple[int, ...]
    group: int | None
    counted_by: tuple[tuple[int, ...], ...]
    """The disjoint sets of hospitals whose rounded cells make up the row's counts."""


def outcome_groups(data: StudyData) -> OutcomeGroups:
    """Group by event code where the competing events are enough to be a group, else by the outcome alone."""
    events = tuple(case.event[case.complete] for case in data.cases)
    outcomes = [OutcomeCount(int(codes.size), int((codes == 1).sum())) for codes in events]
    hidden = frozenset(index for index, count in enumerate(outcomes) if not can_show_outcomes(count))
    totals = [sum(int((codes == code).sum()) for codes in events) for code in (0, 1, 2)]
    if all(can_show(total) for total in totals):
        order = np.array([2, 0, 1])  # event codes are 0: none, 1: the outcome, 2: the competing event
        return OutcomeGroups((EVENT, COMPETING, NO_EVENT), tuple(order[codes] for codes in events), hidden)
    return OutcomeGroups((EVENT, NO_EVENT), tuple(np.where(codes == 1, 0, 1) for codes in events), hidden)


def table1_cells(data: StudyData, groups: OutcomeGroups, parts: Table1Parts) -> Iterator[Table1Cell]:
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
            yield from (Table1Cell(label, hospitals, group, counted_by) for group in outcomes)


def shown_counts(counts: Sequence[Codes], cell: Table1Cell, parts: Table1Parts) -> tuple[int, ...]:
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


def shown_n(groups: OutcomeGroups, cell: Table1Cell) -> int:
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
            total += max(everybody - sum(by_group[:-1]), MIN_CELL)
    return total
