"""[heterogeneity]: how the hospitals differ, as estimates, in meta-analysis, by test, and in validation.

Per-hospital figures only of hospitals that pass the rules alone; everything pooled or tested here is made of the
hospitals whose own figures are shown. Were a hidden one among them, inverse-variance algebra on the shown figures would
give its estimate. The main model is pooled in one stage over all hospitals: that is the plan's result, not this one.
"""

from __future__ import annotations

from heartify.disclosure.tables import TABLES, ExactTable
from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError
from heartify.enclave.analyses.effect_cells import Row, effect_cells
from heartify.enclave.analyses.hospital_fits import ESTIMATED, HospitalFits, fit_hospitals
from heartify.enclave.analyses.hospital_interactions import interaction_rows
from heartify.enclave.analyses.left_out import left_out_tables
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.protocol.plan_analyses import HeterogeneitySpec
from heartify.stats.errors import StatsError
from heartify.stats.heterogeneity import (
    HospitalEstimate,
    Interval,
    MetaAnalysis,
    TermHeterogeneity,
    meta_analyse,
)

FIXED, RANDOM = "fixed effect", "random effects"
FEWEST_FOR_FIXED, FEWEST_FOR_RANDOM = 2, 3


def _is_requested(plan: Plan) -> bool:
    return plan.heterogeneity is not None


def compare_hospitals(data: StudyData) -> list[ExactTable]:
    """Return the tables of heterogeneity that the plan asks for.

    Raises:
        AnalysisSkippedError: there is one hospital only, or more columns and hospitals than a table has rows.
    """
    if len(data.blocks) < FEWEST_FOR_FIXED:
        raise AnalysisSkippedError("too_few_hospitals")
    if len(data.names) * len(data.blocks) > TABLES["hospital_estimates"].max_rows:
        raise AnalysisSkippedError("too_many_terms")
    fits = fit_hospitals(data)
    tables = [
        ExactTable("hospital_estimates", _estimate_rows(data, fits)),
        ExactTable("meta_analysis", meta_rows(fits)),
    ]
    if len(fits.shown) >= FEWEST_FOR_FIXED:
        tables.append(ExactTable("hospital_interactions", interaction_rows(data, fits.shown)))
    spec = data.plan.heterogeneity or HeterogeneitySpec()
    return [*tables, *left_out_tables(data)] if spec.leave_one_out else tables


HETEROGENEITY = Analysis("heterogeneity", _is_requested, compare_hospitals)


def _estimate_rows(data: StudyData, fits: HospitalFits) -> list[Row]:
    return [_estimate_row(data, fits, h, j) for j in range(len(data.names)) for h in range(len(data.blocks))]


def _estimate_row(data: StudyData, fits: HospitalFits, h: int, j: int) -> Row:
    status = fits.status(h, j)
    row: Row = {"factor": data.names[j], "hospital": data.blocks[h].name, "status": status}
    if status != ESTIMATED:
        return row | dict.fromkeys(("n", "se", "estimate", "ci_low", "ci_high"))
    found = fits.by_hospital[h]
    return row | {"n": found.n} | effect_cells(float(found.coef[j]), float(found.se[j]))


def meta_rows(fits: HospitalFits) -> list[Row]:
    """Return the pooling of every column that at least two of these hospitals have an estimate of."""
    if len(fits.shown) < FEWEST_FOR_FIXED:
        return []
    rows: list[Row] = []
    for column in range(len(next(iter(fits.by_hospital.values())).term_names)):
        found = _pooled(fits, column)
        if found is not None:
            rows += _pooled_rows(found)
    return rows


def _pooled(fits: HospitalFits, column: int) -> TermHeterogeneity | None:
    """Return one column's pooling; None where too few hospitals have it, or REML doesn't settle."""
    if sum(found.reasons[column] is None for found in fits.by_hospital.values()) < FEWEST_FOR_FIXED:
        return None
    try:
        return meta_analyse([_one_column(found, column) for found in fits.by_hospital.values()])[0]
    except StatsError:
        return None


def _one_column(found: HospitalEstimate, column: int) -> HospitalEstimate:
    own = slice(column, column + 1)
    return HospitalEstimate(
        found.hospital,
        found.n,
        found.events,
        found.term_names[own],
        found.coef[own],
        found.se[own],
        found.covariance[own, own],
        found.reasons[own],
    )


def _pooled_rows(found: TermHeterogeneity) -> list[Row]:
    pooled = ((FIXED, found.fixed, FEWEST_FOR_FIXED), (RANDOM, found.random, FEWEST_FOR_RANDOM))
    return [meta_row(found.term, model, own) for model, own, fewest in pooled if own is not None and own.k >= fewest]


def meta_row(factor: str, model: str, pooled: MetaAnalysis) -> Row:
    """Return a row; `se` is the plain standard error in both models, and bounds are shifts of the shown estimate.

    Hartung and Knapp's SE vanishes where hospitals agree by chance: as a grid it would show the estimate too finely.
    """
    cells = effect_cells(pooled.estimate, pooled.se)
    is_random = model == RANDOM
    if is_random and pooled.hartung_knapp is not None:
        cells |= _moved(pooled.hartung_knapp.ci, pooled.estimate, cells, ("ci_low", "ci_high"))
    return {
        "factor": factor,
        "model": model,
        "hospitals": pooled.k,
        **cells,
        "tau2": pooled.tau2 if is_random else None,
        **_ends("tau2", pooled.tau2_ci if is_random else None),
        "i2": pooled.i2,
        **_ends("i2", pooled.i2_ci if is_random else None),
        "q": pooled.q,
        "df": pooled.q_df,
        **_prediction(pooled if is_random else None, cells),
    }


def _prediction(pooled: MetaAnalysis | None, cells: Row) -> Row:
    names = ("prediction_low", "prediction_high")
    if pooled is None or pooled.prediction is None or pooled.prediction.hartung_knapp is None:
        return dict.fromkeys(names)
    return _moved(pooled.prediction.hartung_knapp, pooled.estimate, cells, names)


def _ends(prefix: str, interval: Interval | None) -> Row:
    ends = (None, None) if interval is None else (interval.low, interval.high)
    return dict(zip((f"{prefix}_low", f"{prefix}_high"), ends, strict=True))


def _moved(interval: Interval, exact: float, cells: Row, names: tuple[str, str]) -> Row:
    """Return an interval about the shown estimate instead of the exact one; nothing where none is shown."""
    shown = cells["estimate"]
    if shown is None:
        return dict.fromkeys(names)
    shift = float(shown) - exact
    return {names[0]: interval.low + shift, names[1]: interval.high + shift}
