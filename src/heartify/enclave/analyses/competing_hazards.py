"""Hazards under competing events: the cause-specific ones of both, and the subdistribution hazard of the outcome.

The cause-specific hazard ratio is for aetiology, the subdistribution's orders absolute risks (Latouche et al. 2013, J
Clin Epidemiol 66:648). Baselines are per hospital and stratum, and for Fine and Gray so is the censoring. Errors of
cause-specific hazards are of the plan's kind, those of Fine and Gray always from their sandwich.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.disclosure.cells import Cell
from heartify.disclosure.rounding import round_estimate
from heartify.disclosure.tables import ExactTable
from heartify.enclave.main_fit import cox_covariance
from heartify.enclave.study_data import StudyData
from heartify.stats.competing import FollowUp, fit_fine_gray
from heartify.stats.errors import StatsError
from heartify.stats.survival import SurvivalBlock, Ties, fit_cox

CAUSE_SPECIFIC_OUTCOME = "cause-specific: outcome"
CAUSE_SPECIFIC_COMPETING = "cause-specific: competing"
SUBDISTRIBUTION_OUTCOME = "subdistribution: outcome"

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Row = dict[str, Cell]
_NO_EFFECT: Row = {"se": None, "estimate": None, "ci_low": None, "ci_high": None}
Estimates = tuple[Floats, Floats]
"""Coefficients (p,) and their standard errors (p,)."""


def hazard_table(data: StudyData) -> ExactTable:
    """Return the three models' log hazard ratios; a model without estimates has rows without figures."""
    swapped = [_swapped(block) for block in data.survival]
    rows = [*_rows(data, CAUSE_SPECIFIC_OUTCOME, _cause_specific(data, data.survival))]
    rows += _rows(data, CAUSE_SPECIFIC_COMPETING, _cause_specific(data, swapped))
    rows += _rows(data, SUBDISTRIBUTION_OUTCOME, _subdistribution(data))
    return ExactTable("hazards", rows)


def _cause_specific(data: StudyData, blocks: Sequence[SurvivalBlock]) -> Estimates | None:
    analysis = data.plan.analysis
    try:
        fit = fit_cox(blocks, data.names, ties=Ties(analysis.ties))
        covariance = cox_covariance(blocks, fit, analysis)
    except StatsError:
        return None
    return fit.coef, np.sqrt(np.diag(covariance))


def _subdistribution(data: StudyData) -> Estimates | None:
    matrix = np.concatenate([block.X for block in data.survival])
    entries = [block.entry for block in data.survival if block.entry is not None]
    rows = FollowUp(
        np.concatenate([block.time for block in data.survival]),
        np.concatenate([block.event for block in data.survival]),
        np.concatenate(entries) if entries else None,
    )
    try:
        fit = fit_fine_gray(matrix, rows, data.names, stratum=stratum_codes(data.survival))
    except StatsError:
        return None
    return fit.coef, fit.se


def stratum_codes(blocks: Sequence[SurvivalBlock]) -> Codes:
    """Return one code (n,) for each hospital and stratum in it, over all blocks' rows."""
    codes, first = [], 0
    for block in blocks:
        own = np.zeros(block.n, np.int64) if block.stratum is None else np.unique(block.stratum, return_inverse=True)[1]
        codes.append(own.reshape(-1) + first)
        first += int(own.max()) + 1
    return np.concatenate(codes)


def _swapped(block: SurvivalBlock) -> SurvivalBlock:
    """Return the block with the competing event as the event of interest, and the outcome as what competes with it."""
    event = np.array([0, 2, 1])[block.event]
    return SurvivalBlock(block.name, block.X, block.time, event, block.entry, block.stratum)


def _rows(data: StudyData, model: str, found: Estimates | None) -> Iterator[Row]:
    for index, factor in enumerate(data.names):
        effect = _NO_EFFECT if found is None else _effect(float(found[0][index]), float(found[1][index]))
        yield {"model": model, "factor": factor, **effect}


def _effect(coef: float, se: float) -> Row:
    """Return an estimate with the Wald interval of the shown numbers: exact limits would say more than these do."""
    try:
        shown = round_estimate(coef, se)
    except ValueError:
        return _NO_EFFECT
    low, high = shown.ci
    return {"se": se, "estimate": coef, "ci_low": low, "ci_high": high}
