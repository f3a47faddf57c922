"""The splines of the model, logistic or Cox: their knots, and the fitted curve of each against a reference value.

Nothing is shown of a spline whose outer knots, being percentiles, have fewer than ten patients beyond (rule 11): a
fifth smallest value is somebody's. A curve's many points would average out the rounding of its few coefficients, so
these are rounded first (rule 7), in directions in which they are independent of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from heartify.disclosure.cells import Cell
from heartify.disclosure.rounding import GRID_PER_SE, round_significant
from heartify.disclosure.tables import TABLES, ExactTable
from heartify.enclave.analyses.analysis import Analysis, AnalysisSkippedError
from heartify.enclave.analyses.round_points import enough_beyond, round_points, round_reference, shown_range
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan import Plan
from heartify.stats.design import Categorical, Contrasts, Spline, linear_contrasts

MAX_POINTS = 25

Row = Mapping[str, Cell]


def _is_requested(plan: Plan) -> bool:
    return any(factor.spline is not None for factor in plan.factors)


def _run(data: StudyData) -> Sequence[ExactTable]:
    splines = [term for term in data.model.design.terms if isinstance(term, Spline)]
    shown = [spline for spline in splines if _may_be_shown(data, spline)]
    if not shown:
        raise AnalysisSkippedError("small_cell")
    points = min(MAX_POINTS, TABLES["curves"].max_rows // len(shown))
    return (
        ExactTable("knots", [row for spline in shown for row in _knot_rows(spline)]),
        ExactTable("curves", [row for spline in shown for row in _curve_rows(data, spline, points)]),
    )


def _may_be_shown(data: StudyData, spline: Spline) -> bool:
    """Return whether the knots are the plan's own, or percentiles with enough patients beyond."""
    given = any(factor.name == spline.column and factor.knots for factor in data.plan.factors)
    return given or enough_beyond(_values(data, spline.column), spline.knots[0], spline.knots[-1])


def _knot_rows(spline: Spline) -> Iterator[Row]:
    for number, knot in enumerate(spline.knots, start=1):
        yield {"factor": spline.column, "knot": number, "at": knot}


def _curve_rows(data: StudyData, spline: Spline, most: int) -> Iterator[Row]:
    """Yield the rows of a curve; none where its range is too narrow for round points. At the reference is no row."""
    values = _values(data, spline.column)
    limits = shown_range(values)
    reference = None if limits is None else round_reference(values, *limits)
    if limits is None or reference is None:
        return
    at = [point for point in round_points(*limits, most) if point != reference]
    curve = _curve(data, spline, at, reference) if at else None
    if curve is None:
        return
    for index, point in enumerate(at):
        yield {
            "factor": spline.column,
            "at": point,
            "reference": reference,
            "se": float(curve.se[index]),
            "estimate": float(curve.estimate[index]),
            "ci_low": float(curve.ci_low[index]),
            "ci_high": float(curve.ci_high[index]),
        }


def _curve(data: StudyData, spline: Spline, at: Sequence[float], reference: float) -> Contrasts | None:
    """Return the differences from the reference (g points), the factors that it interacts with held where they are."""
    setting = _held(data)
    points = {name: np.full(len(at), value) for name, value in setting.items()} | {spline.column: np.array(at)}
    base = {name: np.array([value]) for name, value in setting.items()} | {spline.column: np.array([reference])}
    difference = data.model.matrix(points) - data.model.matrix(base)
    columns = np.flatnonzero(np.any(difference != 0.0, axis=0))
    covariance = data.fit.term_covariance[np.ix_(columns, columns)]
    coef = _rounded_jointly(data.fit.term_coef[columns], covariance)
    return None if coef is None else linear_contrasts(difference[:, columns], coef, covariance)


def _held(data: StudyData) -> dict[str, float]:
    """Return where the other factors are held: categories at their reference, flags at 0, numbers at a round median."""
    held: dict[str, float] = {}
    for term in data.model.design.terms:
        for name in term.sources - held.keys():
            values = _values(data, name)
            is_flag = bool(np.isin(values, (0.0, 1.0)).all())
            held[name] = 0.0 if is_flag else round_significant(float(np.median(values)), 2)
    references = {t.column: t.reference for t in data.model.design.terms if isinstance(t, Categorical)}
    return held | references


def _rounded_jointly(coef: Floats, covariance: Floats) -> Floats | None:
    """Return coef (k,) rounded to a tenth of an SE in coordinates in which the covariance (k, k) is the identity.

    Every combination of them is then off by at most some hundredths of its own SE, and all points of a curve tell no
    more than k numbers on the grid of rule 7. None where the covariance is singular.
    """
    scale = np.sqrt(np.diag(covariance))
    try:
        factor = cholesky(covariance / np.outer(scale, scale), lower=True)
    except (LinAlgError, ValueError):
        return None
    independent = solve_triangular(factor, coef / scale, lower=True)
    rounded: Floats = scale * (factor @ (np.round(independent * GRID_PER_SE) / GRID_PER_SE))
    return rounded


def _values(data: StudyData, factor: str) -> Floats:
    return np.concatenate([case.factors[factor][case.complete] for case in data.cases])


CURVES = Analysis("curves", _is_requested, _run)
