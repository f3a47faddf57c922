"""[selection]: which columns an elastic net keeps, by cross-validation, and how often on random halves of the cohort.

All columns of the model are penalised, hospital intercepts are not. Only hospitals with ten events and ten non-events
take part: folds and halves need both of every hospital. Penalties themselves are not shown: the first of a path is the
strongest column's correlation with the outcome, from which counts could be had.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.disclosure.facts import OutcomeCount
from heartify.disclosure.rounding import AUC_DECIMALS, GRID_PER_SE, round_decimals
from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError
from heartify.enclave.analyses.sdc_gate import has_outcomes
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.protocol.plan_analyses import SelectionSpec
from heartify.stats.blocks import CohortBlock
from heartify.stats.errors import InvalidBlockError, StatsError
from heartify.stats.logistic import PooledLogisticFit
from heartify.stats.penalised import (
    CrossValidation,
    StabilitySelection,
    assign_folds,
    choose_q,
    cross_validate,
    nested_cross_validate,
    select_stable,
)

FOLDS = 10
OUTER_FOLDS = INNER_FOLDS = 5
NESTED_ROWS = 20_000  # beyond, the AUC in the data is not optimistic enough to fit 25 more paths
EXPECTED_FALSE = 1.0
SELECTED, NOT_SELECTED = "selected", "not selected"

Row = dict[str, Cell]


def run_selection(data: StudyData, spec: SelectionSpec) -> Sequence[ExactTable]:
    """Return the tables of a selection; without stability where the penalty is ridge, which selects nothing.

    Raises:
        AnalysisSkippedError: no hospital has enough events and non-events.
        StatsError: there is no path.
    """
    blocks = [block for block in data.blocks if has_outcomes(OutcomeCount(block.n, block.events))]
    if not blocks:
        raise AnalysisSkippedError("too_few_patients")
    folds = assign_folds(blocks, FOLDS, data.random("selection folds"))
    found = cross_validate(blocks, data.names, folds, alpha=spec.mixing)
    stable = _stability(data, blocks, spec)
    summary = [
        _row("hospitals", len(blocks)),
        _row("cross-validated deviance, best penalty", float(found.deviance[found.index_min])),
        _row("cross-validated deviance, one-se penalty", float(found.deviance[found.index_1se])),
        _row("columns kept, best penalty", int(found.path.n_selected[found.index_min])),
        _row("columns kept, one-se penalty", int(found.path.n_selected[found.index_1se])),
        *_nested_rows(data, blocks, spec),
        *(_stability_rows(stable) if stable is not None else ()),
    ]
    return (
        elastic_net_table(data, found),
        ExactTable("stability", () if stable is None else _frequencies(stable)),
        ExactTable("selection_summary", summary),
    )


def elastic_net_table(data: StudyData, found: CrossValidation) -> ExactTable:
    """Return the penalised coefficients per SD at both penalties.

    No finer than a tenth of the standard error of the unpenalised weight: near the best penalty they are that weight.
    """
    grid = _grid(data.fit.logistic, found.path.scale)
    columns = [
        np.round(found.path.coef[index] * found.path.scale / grid) * grid
        for index in (found.index_min, found.index_1se)
    ]
    return ExactTable(
        "elastic_net",
        [
            {"factor": name, "beta_per_sd_min": float(least), "beta_per_sd_1se": float(simple)}
            for name, least, simple in zip(data.names, *columns, strict=True)
        ],
    )


def _grid(fit: PooledLogisticFit | None, scale: Floats) -> Floats:
    finest = np.full(scale.size, 0.01)
    return finest if fit is None else np.maximum(finest, fit.term_se * scale / GRID_PER_SE)


def _stability(data: StudyData, blocks: Sequence[CohortBlock], spec: SelectionSpec) -> StabilitySelection | None:
    if spec.mixing == 0.0:
        return None
    try:
        q = choose_q(len(data.names), spec.threshold, EXPECTED_FALSE)
    except InvalidBlockError:
        q = 1
    rng = data.random("selection halves")
    return select_stable(blocks, data.names, q, spec.threshold, rng, pairs=spec.pairs, alpha=spec.mixing)


def _frequencies(stable: StabilitySelection) -> list[Row]:
    return [
        {
            "factor": name,
            "frequency": float(frequency),
            "selected": SELECTED if name in stable.selected else NOT_SELECTED,
        }
        for name, frequency in zip(stable.term_names, stable.frequency, strict=True)
    ]


def _stability_rows(stable: StabilitySelection) -> list[Row]:
    return [
        _row("pairs of halves", stable.pairs),
        _row("threshold", stable.threshold),
        _row("columns per half, at most", stable.q),
        _row("expected false selections, at most", stable.expected_false),
        _row("expected false selections if unimodal, at most", stable.expected_false_unimodal),
    ]


def _nested_rows(data: StudyData, blocks: Sequence[CohortBlock], spec: SelectionSpec) -> list[Row]:
    if sum(block.n for block in blocks) > NESTED_ROWS:
        return []
    rng = data.random("selection nested")
    try:
        folds = assign_folds(blocks, OUTER_FOLDS, rng)
        found = nested_cross_validate(blocks, data.names, folds, rng, inner_k=INNER_FOLDS, alpha=spec.mixing)
    except StatsError:
        return []
    return [
        _row("nested cross-validated deviance", found.deviance),
        _row("nested cross-validated auc", round_decimals(found.auc, AUC_DECIMALS)),
    ]


def _row(measure: str, value: float) -> Row:
    return {"measure": measure, "value": value}


def _is_requested(plan: Plan) -> bool:
    return plan.selection is not None


def _run(data: StudyData) -> Sequence[ExactTable]:
    return run_selection(data, data.plan.selection) if data.plan.selection is not None else ()


SELECTION = Analysis("selection", _is_requested, _run)
