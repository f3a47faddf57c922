"""Which hospitals Table 1 shows on their own, which only together, and whether by outcome: decided on exact counts.

What an attacker can subtract from: each hospital's n, its events unless they are hidden, and a factor's pooled counts.
So hospitals are merged by `merge_units`; a hospital of hidden outcomes never stands alone in a split by outcome, and
enters one only if those of at least two add up to 10 or more. A hospital whose events are known, but not split by a
factor's levels, must not show the levels either: three margins of a small table can give its inside away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from heartify.disclosure.merging import Merging, can_show_all, merge_units
from heartify.enclave.analyses.table1_factors import Codes


@dataclasses.dataclass(frozen=True, slots=True)
class Table1Parts:
    """How one factor may be shown: over all outcomes, and split by them; None where not at all."""

    overall: Merging | None
    split: Merging | None


def choose_parts(cells: Sequence[Codes], hidden_outcomes: frozenset[int]) -> Table1Parts:
    """Choose for one factor from each hospital's exact counts (outcome groups, cells).

    `hidden_outcomes` are the hospitals whose events the result doesn't show.
    """
    levels = [tuple(table.sum(axis=0).tolist()) for table in cells]
    inside = [tuple(table.ravel().tolist()) for table in cells]
    everyone = tuple(range(len(cells)))
    in_split = _in_split(cells, hidden_outcomes)
    allowed = set(everyone)
    while True:
        overall = merge_units(levels, everyone, allowed)
        alone = set(overall.own) - hidden_outcomes if overall else set()
        split = merge_units(inside, in_split, alone) if overall else None
        exposed = _exposed(overall, split, hidden_outcomes) if len(levels[0]) > 1 else set()
        if not exposed:
            return Table1Parts(overall, split)
        allowed -= exposed


def _in_split(cells: Sequence[Codes], hidden_outcomes: frozenset[int]) -> tuple[int, ...]:
    """Return the hospitals of a split: without those of hidden outcomes if these would not hide one another."""
    everyone = range(len(cells))
    if not hidden_outcomes:
        return tuple(everyone)
    together = np.sum([cells[index].sum(axis=1) for index in hidden_outcomes], axis=0).tolist()
    hide_one_another = len(hidden_outcomes) >= 2 and can_show_all(together)
    return tuple(index for index in everyone if hide_one_another or index not in hidden_outcomes)


def _exposed(overall: Merging | None, split: Merging | None, hidden_outcomes: frozenset[int]) -> set[int]:
    if overall is None or split is None:
        return set()
    return {index for index in overall.own if index not in split.own and index not in hidden_outcomes}
