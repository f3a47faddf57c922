"""From hospitals' cases with gaps to the table that chained equations fill, and back to cases without a gap.

Eligible are patients whose outcome is known, and their follow-up where the plan has one; their factors may have gaps. A
patient with a level that no complete case has is not: the model has no column for it. Rows never leave.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.enclave.cases import Floats, HospitalCases
from heartify.enclave.model import Model
from heartify.protocol.plan import Plan
from heartify.stats.design import Categorical
from heartify.stats.missing import Column, Completed, IncompleteTable, binary, categorical, continuous, nelson_aalen

MOST_STRATA = 40  # beyond, strata are left out of the predictors
EVENT, HAZARD = "the event", "its hazard"
COMPETING, COMPETING_HAZARD = "the competing event", "the hazard of the competing event"
STRATUM = "the stratum"
Parts = Sequence[Floats]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ImputationTable:
    """The table over all hospitals, its outcome columns, and the eligible cases: its rows, hospital by hospital.

    `levels` are those of categorical factors: the table holds their indices.
    """

    table: IncompleteTable
    outcome: tuple[str, ...]
    cases: tuple[HospitalCases, ...]
    levels: dict[str, tuple[float, ...]]

    def complete(self, done: Completed) -> tuple[HospitalCases, ...]:
        """Return the eligible cases with an imputed value in every gap, all of them complete."""
        factors = {name: self._decoded(name, done.values[name]) for name in self.cases[0].factors}
        found = []
        for h, case in enumerate(self.cases):
            own = {name: values[done.hospital == h] for name, values in factors.items()}
            found.append(dataclasses.replace(case, factors=own, complete=np.ones(case.rows, dtype=np.bool_)))
        return tuple(found)

    def _decoded(self, name: str, values: Floats) -> Floats:
        levels = self.levels.get(name)
        return values if levels is None else np.array(levels)[values.astype(np.int64)]


def build_imputation_table(plan: Plan, model: Model, cases: Sequence[HospitalCases]) -> ImputationTable:
    """Return the eligible rows of all hospitals, factors first, then the outcome as an imputation sees it."""
    levels = {
        factor.name: term.levels
        for factor, term in zip(plan.factors, model.design.terms, strict=False)
        if isinstance(term, Categorical)
    }
    kept = tuple(_eligible(case, levels) for case in cases)
    columns = [_factor(name, [case.factors[name] for case in kept], levels.get(name)) for name in kept[0].factors]
    outcome = _outcome(plan, kept)
    hospital = np.repeat(np.arange(len(kept)), [case.rows for case in kept])
    table = IncompleteTable((*columns, *outcome), hospital, tuple(case.name for case in kept))
    return ImputationTable(table, tuple(column.name for column in outcome), kept, levels)


def _eligible(case: HospitalCases, levels: dict[str, tuple[float, ...]]) -> HospitalCases:
    rows = case.has_outcome.copy()
    for name, known in levels.items():
        values = case.factors[name]
        rows &= np.isnan(values) | np.isin(values, known)

    def take(values: Floats | None) -> Floats | None:
        return None if values is None else values[rows]

    return dataclasses.replace(
        case,
        factors={name: values[rows] for name, values in case.factors.items()},
        outcome=case.outcome[rows],
        competing=take(case.competing),
        time=take(case.time),
        entry=take(case.entry),
        strata=take(case.strata),
        columns={},
        complete=case.complete[rows],
    )


def _factor(name: str, parts: Parts, levels: tuple[float, ...] | None) -> Column:
    values = np.concatenate(parts)
    if levels is not None:
        codes = np.where(np.isnan(values), np.nan, np.searchsorted(levels, np.nan_to_num(values)))
        return categorical(name, codes, len(levels))
    is_flag = np.isin(values[~np.isnan(values)], (0.0, 1.0)).all()
    return binary(name, values) if is_flag else continuous(name, values)


def _outcome(plan: Plan, cases: Sequence[HospitalCases]) -> list[Column]:
    """Return the outcome; of a survival outcome the event and its cumulative hazard (White and Royston 2009)."""
    if plan.analysis.model != "cox":
        return [binary(EVENT, np.concatenate([case.outcome for case in cases]))]
    columns = [*_cause(cases, 1, EVENT, HAZARD)]
    if cases[0].competing is not None:
        columns += _cause(cases, 2, COMPETING, COMPETING_HAZARD)
    strata = [case.strata for case in cases if case.strata is not None]
    codes = _stratum_codes(strata)
    if codes is not None:
        columns.append(categorical(STRATUM, codes, int(codes.max()) + 1))
    return columns


def _cause(cases: Sequence[HospitalCases], cause: int, event: str, hazard: str) -> list[Column]:
    events = [(case.event == cause).astype(np.float64) for case in cases]
    hazards = [nelson_aalen(case.time, own) for case, own in zip(cases, events, strict=True) if case.time is not None]
    return [binary(event, np.concatenate(events)), continuous(hazard, np.concatenate(hazards))]


def _stratum_codes(strata: Parts) -> NDArray[np.int64] | None:
    """Return one code for each hospital's own strata (their codes hold within a hospital only), if there are few."""
    if not strata:
        return None
    pairs = np.column_stack([np.repeat(np.arange(len(strata)), [own.size for own in strata]), np.concatenate(strata)])
    codes = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return codes if 1 <= codes.max() < MOST_STRATA else None
