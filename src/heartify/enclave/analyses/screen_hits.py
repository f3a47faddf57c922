"""The hits of a screen: score test, agreement of the hospitals, and a full refit of each.

Everything that is shown of a test is computed from its z in tenths, the q-value too, or it would give the estimate back
more finely than its grid (rule 7); who is a hit is decided on exact p-values. Only hospitals that pass the rules alone
are compared: of two hospitals, pooled estimate and heterogeneity give each one's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.rounding import Z_95, round_chi_square, round_estimate
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.screen_candidates import NOT_ESTIMABLE, candidate_values
from heartify.enclave.analyses.screen_null import ScreenNull
from heartify.enclave.analyses.screen_tests import Screened, affordable
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.stats.blocks import CohortBlock
from heartify.stats.errors import StatsError
from heartify.stats.firth import fit_firth
from heartify.stats.logistic import PooledLogisticFit
from heartify.stats.screening import heterogeneity, refit_hits
from heartify.stats.survival import BaselineHazard, CoxFit, SurvivalBlock, Ties, fit_cox

MAX_HITS = 200
MAXIMUM_LIKELIHOOD = "maximum-likelihood"
FIRTH = "firth"
NOT_REFITTED = "not refitted"

Row = dict[str, Cell]
_NO_REFIT: Row = {f"refit_{name}": None for name in ("se", "estimate", "ci_low", "ci_high")}


def hits_table(
    data: StudyData, null: ScreenNull, screened: Screened, hits: Sequence[int], q: Floats, fdr: float
) -> ExactTable:
    """Return the hits (indices, most significant first) with their shown q-values (m,).

    A q that rounding lifts over the plan's false discovery rate is shown as that rate: that it isn't above is known.
    """
    refits = affordable(sum(block.n for block in data.blocks))
    rows: list[Row] = []
    for place, j in enumerate(hits[:MAX_HITS]):
        candidate = screened.candidates[j]
        beta, se = float(screened.beta[j]), float(screened.se[j])
        row: Row = {"candidate": candidate.name, "n": candidate.n, **estimate_cells(beta, se)}
        row["q"] = float(np.log(max(min(float(q[j]), fdr), 1e-300)))
        row |= _agreement(screened, j)
        row |= _refit(data, null, screened, j) if place < refits else {"refit": NOT_REFITTED, **_NO_REFIT}
        rows.append(row)
    return ExactTable("screen_hits", rows)


def estimate_cells(beta: float, se: float, prefix: str = "", name: str = "estimate") -> Row:
    """Return an estimate with the normal interval of its shown numbers; nothing where it can't be shown."""
    try:
        shown = round_estimate(beta, se)
    except ValueError:
        return dict.fromkeys((f"{prefix}se", name, f"{prefix}ci_low", f"{prefix}ci_high"))
    half = Z_95 * shown.se
    low, high = shown.beta - half, shown.beta + half
    return {f"{prefix}se": shown.se, name: shown.beta, f"{prefix}ci_low": low, f"{prefix}ci_high": high}


def _agreement(screened: Screened, j: int) -> Row:
    precision = np.where(screened.candidates[j].alone, screened.precision_h[:, j], 0.0)
    found = heterogeneity(screened.beta_h[:, [j]], precision[:, None])
    hospitals = int(found.hospitals[0])
    if hospitals < 2:
        return {"hospitals": hospitals, "heterogeneity": None, "heterogeneity_df": None, "i2": None}
    statistic, df = round_chi_square(float(found.Q[0])), hospitals - 1
    return {
        "hospitals": hospitals,
        "heterogeneity": statistic,
        "heterogeneity_df": df,
        "i2": max(0.0, 1.0 - df / statistic) if statistic else 0.0,
    }


def _refit(data: StudyData, null: ScreenNull, screened: Screened, j: int) -> Row:
    name = screened.candidates[j].name
    if data.fit.cox is not None:
        method, beta, se = _refit_cox(data, data.fit.cox, name)
    else:
        method, beta, se = _refit_logistic(data, null, name, needs_firth=bool(screened.needs_firth[j]))
    if method == NOT_ESTIMABLE:
        return {"refit": method, **_NO_REFIT}
    return {"refit": method, **estimate_cells(beta, se, "refit_", "refit_estimate")}


def _refit_logistic(data: StudyData, null: ScreenNull, name: str, *, needs_firth: bool) -> tuple[str, float, float]:
    # Factors have names of their own, which a column may bear too.
    base = [f"term {place}" for place in range(len(data.names))]
    preferred = (name,) if needs_firth else ()
    block = null.load(data, [name])
    found = refit_hits(data.blocks, base, block, fallback=_firth_estimates, prefer_fallback=preferred)[0]
    if found.per_unit is None:
        return NOT_ESTIMABLE, 0.0, 0.0
    method = MAXIMUM_LIKELIHOOD if found.method == "ml" else FIRTH
    return method, found.per_unit.beta, found.per_unit.se


def _firth_estimates(blocks: Sequence[CohortBlock], names: Sequence[str]) -> PooledLogisticFit:
    return fit_firth(blocks, names).estimates


def _refit_cox(data: StudyData, fit: CoxFit, name: str) -> tuple[str, float, float]:
    pairs = zip(data.survival, candidate_values(data, name), strict=True)
    blocks = [_extended(block, values) for block, values in pairs if not np.isnan(values).all()]
    terms = [f"term {place}" for place in range(len(data.names) + 1)]
    try:
        found = fit_cox(blocks, terms, ties=Ties(fit.ties), baseline=BaselineHazard.PER_HOSPITAL)
    except StatsError:
        return NOT_ESTIMABLE, 0.0, 0.0
    return MAXIMUM_LIKELIHOOD, float(found.coef[-1]), float(found.se[-1])


def _extended(block: SurvivalBlock, values: Floats) -> SurvivalBlock:
    """Return a block's rows that know the candidate, with it as the last column."""
    known = ~np.isnan(values)
    return SurvivalBlock(
        block.name,
        np.column_stack([block.X[known], values[known]]),
        block.time[known],
        block.event[known],
        entry=None if block.entry is None else block.entry[known],
        stratum=None if block.stratum is None else block.stratum[known],
    )
