"""[missing] by multiple imputation: what stands beside the pooled weights, which are the main ones.

The pooled weights again with their t intervals and missing information (the weights' own intervals are normal ones),
the complete cases as a sensitivity analysis, which gaps occur together, and whether the chains agree. At least ten
patients have a gap, or nothing was imputed; so none of this tells two cohorts apart that differ by fewer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from heartify.disclosure.cells import Cell
from heartify.disclosure.cohort_rules import can_show
from heartify.disclosure.rounding import Z_95, round_count, round_estimate
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError
from heartify.enclave.imputation import Imputation
from heartify.enclave.main_fit import MainFit
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.stats.missing import Convergence, JointPattern, PooledScalar

NO_GAP = "no gap"
OTHER_PATTERNS = "other patterns"
MOST_PATTERNS = 30
MOST_NAMES = 5
_LARGEST_DF = 1e10

Row = dict[str, Cell]


def missing_tables(imputation: Imputation) -> Sequence[ExactTable]:
    """Return the tables of a multiple imputation."""
    names = imputation.fit.term_names
    pooled = [pooled_row(name, item) for name, item in zip(names, imputation.parameters, strict=True)]
    return (
        ExactTable("imputation", pooled),
        ExactTable("complete_cases", complete_rows(imputation.complete)),
        ExactTable("missing_patterns", pattern_rows(imputation.patterns)),
        ExactTable("chains", chain_rows(imputation.chains)),
    )


def pooled_row(name: str, pooled: PooledScalar) -> Row:
    """Return a pooled weight with its t interval and p-value, both of the shown estimate and error."""
    row: Row = {"factor": name, "imputations": pooled.m, "missing_information": pooled.fmi, "df": pooled.df}
    try:
        shown = round_estimate(pooled.estimate, pooled.se)
    except ValueError:
        return row | dict.fromkeys(("se", "estimate", "ci_low", "ci_high", "p"))
    df = pooled.df
    quantile = ndtri(0.975) if df > _LARGEST_DF else stdtrit(df, 0.975)
    tail = ndtr(-abs(shown.z)) if df > _LARGEST_DF else stdtr(df, -abs(shown.z))
    half = float(quantile) * shown.se
    return row | {
        "se": shown.se,
        "estimate": shown.beta,
        "ci_low": shown.beta - half,
        "ci_high": shown.beta + half,
        "p": math.log(max(2.0 * float(tail), 1e-300)),
    }


def complete_rows(fit: MainFit) -> list[Row]:
    """Return the weights of the complete cases alone, with normal intervals of the shown numbers."""
    rows: list[Row] = []
    for name, coef, se in zip(fit.term_names, fit.term_coef, fit.term_se, strict=True):
        shown = round_estimate(float(coef), float(se))
        half = Z_95 * shown.se
        bounds = {"ci_low": shown.beta - half, "ci_high": shown.beta + half}
        rows.append({"factor": name, "se": shown.se, "estimate": shown.beta, **bounds})
    return rows


def pattern_rows(patterns: Sequence[JointPattern]) -> list[Row]:
    """Return the patterns of gaps with ten patients or more, and all others together.

    Where the others are fewer than ten in all, the rarest shown pattern joins them: a hidden row would be the
    difference between the patients and the shown ones.
    """
    counts: dict[str, int] = {}
    for pattern in patterns:
        text = _text(pattern) if can_show(pattern.rows) else OTHER_PATTERNS
        counts[text] = counts.get(text, 0) + pattern.rows
    others = counts.pop(OTHER_PATTERNS, 0)
    named = [text for text in counts if text != NO_GAP]
    while named and (len(named) > MOST_PATTERNS or 0 < others < 10):
        others += counts.pop(named.pop())
    # By shown counts: an order by exact ones would tell them apart.
    shown = sorted(counts.items(), key=lambda item: (item[0] != NO_GAP, -round_count(item[1]), item[0]))
    shown += [(OTHER_PATTERNS, others)] if others else []
    return [{"missing": text, "n": rows} for text, rows in shown]


def chain_rows(chains: Convergence) -> list[Row]:
    """Return R-hat of each incomplete factor: the larger of that of the imputed values' mean and of their SD."""
    both = zip(chains.names, chains.mean_rhat, chains.sd_rhat, strict=True)
    found = [(name, [value for value in pair if not np.isnan(value)]) for name, *pair in both]
    return [{"factor": name, "rhat": float(max(values)) if values else None} for name, values in found]


def _text(pattern: JointPattern) -> str:
    if not pattern.missing:
        return NO_GAP
    text = " + ".join(pattern.missing)
    return text if len(pattern.missing) <= MOST_NAMES and len(text) <= 200 else OTHER_PATTERNS


def _is_requested(plan: Plan) -> bool:
    return plan.missing.method == "multiple-imputation"


def _run(data: StudyData) -> Sequence[ExactTable]:
    if data.imputation is None:
        raise AnalysisSkippedError("small_cell")
    return missing_tables(data.imputation)


MISSING_DATA = Analysis("missing", _is_requested, _run)
