"""[weights]: the factors' weights on further scales, each with bootstrap intervals and intervals of ranks.

Per SD, partial chi2 less df, general dominance, attributable fraction; for logistic and Cox models. All intervals are
percentiles of one bootstrap of patients within hospitals. Maximum likelihood on complete cases: where the plan's fit is
Firth's there are no refits, and only the first two scales, without intervals. Dominance is of the model of main
effects. What is a function of one coefficient is made from the rounded one or lies on a grid as coarse (rule 7).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.facts import TermFacts
from heartify.disclosure.rounding import round_chi_square, round_estimate, round_sd, two_valued_sd
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis
from heartify.enclave.analyses.bootstrap_cells import MIN_DRAWS, percentile_interval, rank_cells
from heartify.enclave.analyses.exposures import ReferenceLevel, reference_levels
from heartify.enclave.analyses.refits import Estimates, Floats, Refits
from heartify.enclave.analyses.sdc_gate import facts_of
from heartify.enclave.analyses.shapley_shares import ShapleyShares
from heartify.enclave.analyses.weight_measures import (
    Draws,
    Measure,
    build_refits,
    draw,
    fraction_measure,
    scale_measure,
    share_measure,
    terms_of,
)
from heartify.enclave.analyses.weight_scales import WeightScales, weight_scales
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.protocol.plan_analyses import WeightsSpec
from heartify.stats.intervals import Z_95
from heartify.stats.logistic import PooledLogisticFit

MAX_REPLICATE_ROWS = 40_000_000  # rows times replicates: bounds the bootstrap's time
Row = dict[str, Cell]


def _is_requested(plan: Plan) -> bool:
    return plan.weights is not None


def weigh(data: StudyData) -> list[ExactTable]:
    """Return the tables of weights that the plan asks for.

    Raises:
        StatsError: the model can't be fitted to the complete cases by maximum likelihood.
    """
    spec = data.plan.weights or WeightsSpec()
    scales = weight_scales(terms_of(data, data.model.terms), [block.X for block in data.blocks])
    if data.fit.firth is not None:
        return _without_refits(data, scales, data.fit.firth.estimates, spec.bootstrap)
    refits = build_refits(data, range(len(data.names)))
    dominance = _dominance(data, refits) if spec.dominance else None
    references = reference_levels(data) if spec.attributable else ()
    measures = [scale_measure(scales, refits)]
    if dominance is not None:
        measures.append(dominance.measure)
    if references:
        measures.append(fraction_measure(references, refits))
    draws = draw(measures, refits, affordable_replicates(spec.bootstrap, refits), lambda: data.random("weights"))
    tables = [*_scale_tables(data, scales, refits.fit(), draws), _replicate_table(spec.bootstrap, draws, dominance)]
    if dominance is not None:
        tables.append(_dominance_table(dominance, refits, draws))
    if references:
        tables.append(_fraction_table(references, refits, measures[-1], draws))
    return tables


WEIGHTS = Analysis("weights", _is_requested, weigh)


def affordable_replicates(asked: int, refits: Refits) -> int:
    """Return how many of the replicates asked for the enclave draws: none where too few for an interval are."""
    affordable = MAX_REPLICATE_ROWS // (refits.fit_cost * sum(refits.rows))
    return min(asked, affordable) if affordable >= MIN_DRAWS else 0


def _without_refits(data: StudyData, scales: WeightScales, fit: PooledLogisticFit, asked: int) -> list[ExactTable]:
    own = slice(1, 1 + len(data.names))
    found, none = Estimates(fit.term_coef, fit.covariance[own, own], np.zeros(0)), Draws({}, 0, 0, 0)
    return [*_scale_tables(data, scales, found, none), _replicate_table(asked, none, None)]


def _scale_tables(data: StudyData, scales: WeightScales, found: Estimates, draws: Draws) -> list[ExactTable]:
    drawn = draws.of("scales", MIN_DRAWS)
    parts = [(scales.vector(found)[part], None if drawn is None else drawn[:, part]) for part in scales.parts()]
    per_unit, spread, excess = parts
    return [
        ExactTable("weights_per_sd", _per_sd_rows(data, scales, found, per_unit[1], rank_cells(*spread))),
        ExactTable("partial_chi2", _chi2_rows(scales, excess[0], excess[1])),
    ]


def _per_sd_rows(
    data: StudyData, scales: WeightScales, found: Estimates, drawn: Floats | None, ranks: list[Row]
) -> list[Row]:
    imputed = data.fit.imputations > 0
    coef = found.coef if imputed else data.fit.term_coef
    se = np.sqrt(np.diag(found.covariance)) if imputed else data.fit.term_se
    sd = [_shown_sd(term) for term in facts_of(data, data.cases, data.blocks).terms]
    rows: list[Row] = []
    for term, rank in zip(scales.terms, ranks, strict=True):
        row: Row = {"term": term.name, "se": None, "estimate": None, "ci_low": None, "ci_high": None, **rank}
        if len(term.columns) == 1:
            j = term.columns[0]
            shown = round_estimate(float(coef[j]), float(se[j]))
            low, high = percentile_interval(None if drawn is None else drawn[:, j] * sd[j])
            wald = Z_95 * shown.se * sd[j]
            row |= {"se": shown.se * sd[j], "estimate": shown.beta * sd[j]}
            row |= {"ci_low": shown.beta * sd[j] - wald if low is None else low}
            row |= {"ci_high": shown.beta * sd[j] + wald if high is None else high}
        rows.append(row)
    return rows


def _shown_sd(term: TermFacts) -> float:
    """Return the SD that the release shows: a flag's exact one would give its exact count away."""
    if term.two_valued is None:
        return round_sd(term.sd)
    return two_valued_sd(term.two_valued.spread, term.two_valued.n_low, term.two_valued.n_high)


def _chi2_rows(scales: WeightScales, excess: Floats, drawn: Floats | None) -> list[Row]:
    rows: list[Row] = []
    for t, (term, rank) in enumerate(zip(scales.terms, rank_cells(excess, drawn), strict=True)):
        df = len(term.columns)
        low, high = percentile_interval(None if drawn is None else drawn[:, t] + df)
        chi2 = round_chi_square(float(max(excess[t] + df, 0.0)))
        rows.append(
            {
                "term": term.name,
                "chi2": chi2,
                "df": df,
                "chi2_minus_df": chi2 - df,
                "ci_low": None if low is None else round_chi_square(max(low, 0.0)) - df,
                "ci_high": None if high is None else round_chi_square(max(high, 0.0)) - df,
                **rank,
            }
        )
    return rows


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class _Dominance:
    terms: tuple[str, ...]
    shares: ShapleyShares
    measure: Measure


def _dominance(data: StudyData, refits: Refits) -> _Dominance:
    """Return the dominance of the plan's factors in the model without interactions."""
    names = tuple(factor.name for factor in data.plan.factors)
    columns = [column for name in names for column in data.model.columns_of(name)]
    main = build_refits(data, columns) if len(columns) < len(data.names) else refits
    shares = ShapleyShares(main, terms_of(data, names), lambda: data.random("orders of terms"))
    return _Dominance(names, shares, share_measure(shares, main, refits))


def _dominance_table(dominance: _Dominance, refits: Refits, draws: Draws) -> ExactTable:
    drawn, shares = draws.of("shares", MIN_DRAWS), dominance.shares
    rows: list[Row] = []
    for t, (name, rank) in enumerate(zip(dominance.terms, rank_cells(shares.share, drawn), strict=True)):
        low, high = percentile_interval(None if drawn is None else drawn[:, t])
        row: Row = {"term": name, "measure": refits.r2_measure, "r2": float(shares.gain[t])}
        rows.append({**row, "share": float(shares.share[t]), "ci_low": low, "ci_high": high, **rank})
    return ExactTable("dominance", rows)


def _fraction_table(
    references: tuple[ReferenceLevel, ...], refits: Refits, measure: Measure, draws: Draws
) -> ExactTable:
    drawn, m = draws.of("fractions", MIN_DRAWS), len(references)
    rows: list[Row] = []
    for e, level in enumerate(references):
        for number, method in enumerate(refits.fraction_methods):
            at = number * m + e
            low, high = percentile_interval(None if drawn is None else drawn[:, at])
            rows.append(
                {
                    "term": level.exposure.term.name,
                    "reference": level.label,
                    "at": level.at,
                    "method": method,
                    "fraction": float(measure.cohort[at]),
                    "ci_low": low,
                    "ci_high": high,
                }
            )
    return ExactTable("attributable_fraction", rows)


def _replicate_table(asked: int, draws: Draws, dominance: _Dominance | None) -> ExactTable:
    counts = {
        "replicates asked for": asked,
        "replicates drawn": draws.asked if asked > 1 else 0,
        "replicates used": draws.used,
        "replicates without estimate": draws.failed,
    }
    if dominance is not None:
        # 0: all subsets of terms were fitted.
        counts["orders of terms sampled for dominance"] = 2 * dominance.shares.order_pairs
    return ExactTable("bootstrap", [{"measure": name, "value": value} for name, value in counts.items()])
